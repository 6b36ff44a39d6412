"""HEFT: heterogeneous earliest finish time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of, mapping_problem
from dnnplan.costs.arrays import Arrays
from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.list_schedule import device_order, schedule, upward_ranks
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search

COMPILE_FROM = 10_000
"""Layers x devices from which compiled code is worth the wait for the compiler (seconds, once a machine)."""


class Heft:
    """Layers by upward rank, each on the device where it ends first, in the earliest gap that holds it.

    Topcuoglu, Hariri, Wu (IEEE TPDS 13(3), 2002), section 4. Averages are over the devices that can run a layer.
    Transfers under host staging, without overlap or with contention are scheduled as plain delays; the plan is
    then judged as it will execute.
    """

    summary = (
        "heterogeneous earliest finish time: rank, then earliest end with insertion (Topcuoglu et al. 2002)"
    )
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the HEFT plan."""
        decisions = heft(problem)
        if decisions is not None:
            search.propose(decisions)


def heft(problem: MappingProblem, *, bias: FloatArray | None = None) -> Decisions | None:
    """The plan of HEFT; None if pinned weights leave some layer without room."""
    arrays = problem.arrays
    order = rank_order(problem, arrays)
    return decode_list(problem, arrays, order, bias=bias)


def decode_list(
    problem: MappingProblem,
    arrays: Arrays,
    order: IntArray,
    *,
    forced: IntArray | None = None,
    bias: FloatArray | None = None,
) -> Decisions | None:
    """Schedule the layers in the given order; None if some layer has no room.

    Colocation groups that the schedule tears apart move to one device, and all is scheduled again.
    """
    if forced is None:
        forced = np.full(problem.n, -1, dtype=np.int64)
    if bias is None:
        bias = np.zeros((problem.n, problem.m))
    decode = fast(schedule, problem)
    place, start, end = decode(arrays, order, forced, bias)
    if problem.colocate and (place >= 0).all():
        together = colocated(problem, place.copy())
        if (together != place).any():
            place, start, end = decode(arrays, order, together, bias)
    if (place < 0).any():
        return None
    return decisions_of(problem, place.tolist(), device_order(place, start, end, order, problem.m))


def warm_up() -> None:
    """Load or compile the kernels, so that even small list schedules use them from now on."""
    from dnnplan.instances.generators import chain

    problem = mapping_problem(chain(layers=3, devices=2, seed=0))
    ranks = compiled(upward_ranks)
    topological = np.array(problem.topological, dtype=np.int64)
    ranks(problem.arrays, topological, mean_times(problem), mean_delays(problem, problem.arrays))
    forced = np.full(problem.n, -1, dtype=np.int64)
    compiled(schedule)(problem.arrays, topological, forced, np.zeros((problem.n, problem.m)))


def fast(kernel: Callable[..., Any], problem: MappingProblem) -> Callable[..., Any]:
    """The compiled kernel where it is ready or the problem is large, else its plain twin."""
    return compiled(kernel) if is_ready(kernel) or problem.n * problem.m >= COMPILE_FROM else kernel


def rank_order(problem: MappingProblem, arrays: Arrays) -> IntArray:
    """Layers by decreasing upward rank; ties in topological order."""
    topological = np.array(problem.topological, dtype=np.int64)
    rank = fast(upward_ranks, problem)(arrays, topological, mean_times(problem), mean_delays(problem, arrays))
    position = np.empty(problem.n, dtype=np.int64)
    position[topological] = np.arange(problem.n)
    order: IntArray = np.lexsort((position, -rank)).astype(np.int64)
    return order


def mean_times(problem: MappingProblem) -> FloatArray:
    """(n,) mean seconds of each layer over the devices that can run it."""
    finite = np.isfinite(problem.duration)
    total = np.where(finite, problem.duration, 0.0).sum(axis=1)
    mean: FloatArray = total / np.maximum(finite.sum(axis=1), 1)
    return mean


def mean_delays(problem: MappingProblem, arrays: Arrays) -> FloatArray:
    """(K,) mean delay of each tensor over pairs of different devices that have a route."""
    m = problem.m
    pairs = ~np.eye(m, dtype=bool) & np.isfinite(arrays.latency[:m, :m])
    if not pairs.any():
        return np.zeros(len(problem.tensors))
    mean: FloatArray = (
        arrays.latency[:m, :m][pairs].mean() + arrays.size * arrays.per_byte[:m, :m][pairs].mean()
    )
    for k in np.flatnonzero(arrays.row >= 0):
        times = arrays.table[arrays.row[k], :m, :m][~np.eye(m, dtype=bool)]
        finite = times[np.isfinite(times)]
        mean[k] = finite.mean() if len(finite) else 0.0
    return mean
