"""How small a mean latency can be, whatever a policy knows: for traces of any length."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import IntArray, Samples, ServingProblem
from dnnplan.formulations.serving.shares import shares_of


def latency_bound(problem: ServingProblem, samples: Samples) -> float:
    """Lower bound in seconds on the mean latency of samples, all of one weight.

    A batch of b samples takes each of them at least the share min over b of L(q, b) / b of its device. With shares as
    work, on one device alone and with preemption, the k-th sample leaves no earlier than the k-th under shortest
    remaining work first (Schrage 1968). Nor does it before the k-th smallest arrival + sum of min over b of L(q, b),
    the time that a sample takes at least. The mean of the larger of all these is the bound. O(D n log n).

    Raises
    ------
    ValueError
        There are no samples.

    Examples
    --------
    >>> from dnnplan.instances.catalogue import load_bundled
    >>> from dnnplan.costs.serving import serving_problem
    >>> from dnnplan.serving.draws import draw_samples
    >>> problem = serving_problem(load_bundled("serving/resnet50-os32"))
    >>> 0.001 < latency_bound(problem, draw_samples(problem, 1000)) < 0.1
    True
    """
    from dnnplan.formulations.serving.bounds_kernels import shortest_first  # loads numba

    if not len(samples):
        raise ValueError("no samples, expected at least one")
    order = np.argsort(samples.arrival, kind="stable")
    arrival = np.ascontiguousarray(samples.arrival[order], dtype=float)
    first = problem.first[np.array([stream.model for stream in problem.streams])[samples.stream[order]]]
    beyond = first + samples.depth[order]
    shares = shares_of(problem.latency)
    least = np.sort(arrival + _sums(shares.least, first, beyond))
    for device in range(len(problem.devices)):
        work = _sums(np.where(problem.device == device, shares.share, 0.0), first, beyond)
        least = np.maximum(least, shortest_first(arrival, work))
    return float(least.mean() - arrival.mean())


def _sums(each: FloatArray, first: IntArray, beyond: IntArray) -> FloatArray:
    """(n,) sums of a figure of stages (Q,) from the first stage of each sample to its last."""
    total = np.concatenate([[0.0], np.cumsum(each)])
    found: FloatArray = total[beyond] - total[first]
    return found
