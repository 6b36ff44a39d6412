"""Lower bounds on serving that hold for every plan, for any number of samples.

Notation: sample j comes at r(j), needs stages q in S(j), leaves at C(j); a batch of b samples of stage q takes L(q, b)
and each of its samples the part s(q, b) = L(q, b) / b; the share of a stage is the least part of all sizes
(`dnnplan.formulations.serving.shares`). Weights are sums of steps: of a sum with weights w1 < w2 < ... the part with
the step w(k) - w(k - 1) counts the samples of weight w(k) and more, and a bound on these alone holds, since leaving
samples out of batches never takes longer. What parked samples cost to come back is left out of all bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.serving.evaluate import LATE
from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.formulations.serving.shares import shares_of

LONGEST_BLOCK = 4096
"""Samples whose deadlines are looked at together."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A lower bound on the value of every answer, and what proved it."""

    value: float
    name: str


@dataclass(frozen=True, eq=False, kw_only=True)
class DeviceWork:
    """What n samples need of one device.

    Parameters
    ----------
    runs
        (n,) whether a sample runs a stage there.
    head, work, tail
        (n,) least seconds from its arrival to its first stage there, sum of the shares there, and least seconds from
        the end of its last stage there until it leaves.
    lump
        (n,) lump of its last stage there.
    """

    runs: NDArray[np.bool_]
    head: FloatArray
    work: FloatArray
    tail: FloatArray
    lump: FloatArray


def serving_bounds(problem: OfflineServing) -> Iterator[Bound]:
    """Bounds on the value of every answer, the quick ones first."""
    if problem.name == "late":
        yield Bound(value=0.0, name="no sample late")
        yield Bound(value=late_bound(problem), name="deadlines on shares")
        return
    yield Bound(value=alone_bound(problem), name="samples alone")
    yield Bound(value=share_bound(problem), name="shortest remaining shares")


def mean_latency_bound(problem: ServingProblem, samples: Samples) -> float:
    """Lower bound in seconds on the weighted mean latency of samples, of all plans and policies.

    Raises
    ------
    ValueError
        There are no samples.
    """
    if not len(samples):
        raise ValueError("no samples, expected at least one")
    view = OfflineServing(serving=problem, samples=samples, stages=((("mean_latency", 1.0),),))
    return max(bound.value for bound in serving_bounds(view))


def alone_bound(problem: OfflineServing) -> float:
    """Sum over j of w(j) (sum over q in S(j) of min over b of L(q, b), and the least transfers between them).

    No sample passes a stage faster than in the fastest batch.
    """
    return float(np.dot(problem.weight, own_seconds(problem)))


def own_seconds(problem: OfflineServing) -> FloatArray:
    """(n,) least seconds from arrival to leaving."""
    least = problem.serving.latency[:, 1:].min(axis=1)
    between = problem.serving.transfer[:, 1:].min(axis=1)
    return _between(least, problem.first, problem.beyond) + _between(
        between, problem.first, problem.beyond - 1
    )


def share_bound(problem: OfflineServing) -> float:
    """Shortest remaining work first on the shares of one device; the best of all devices, level by level of weights.

    Proof. Fix a plan and a device, and let the device serve the members of each batch one after the other, each for its
    part, those first that have their last stage there. That is a schedule with preemption in which j gets the sum of
    its parts, at least the shares, and ends no later than C'(j), the end of its last batch there. (1) So the k-th
    smallest C' is at least the k-th completion of shortest remaining work first on the shares, which is the earliest
    possible (Schrage 1968); and it is at least the k-th smallest of arrival + least latencies. (2) Of the c <= b
    members with their last stage in a batch the one in place u ends (b - u) s(q, b) before the batch does, together at
    least c (b - 1) s(q, b) / 2; and work that is d longer makes the least sum of completions at least d larger (take d
    away from the end of that job). So the sum of C' is at least that of shortest remaining work first on the shares,
    plus for each sample min over b of s(q, b) (b + 1) / 2 less the share of its last stage q there: its lump.
    Samples leave no earlier than C' + tail. O(D n log n) for each weight.
    """
    from dnnplan.formulations.serving.bounds_kernels import shortest_first  # loads numba

    own = own_seconds(problem)
    alone = problem.samples.arrival + own
    works = [device_work(problem, d) for d in range(len(problem.serving.devices))]
    total, below = 0.0, 0.0
    for weight in np.unique(problem.weight).tolist():
        chosen = problem.weight >= weight
        least = np.sort(alone[chosen])
        best = 0.0
        for one in works:
            here = chosen & one.runs
            if not here.any():
                continue
            release = problem.samples.arrival[here] + one.head[here]
            order = np.argsort(release, kind="stable")
            ends = shortest_first(release[order], one.work[here][order])
            others = float(alone[chosen & ~one.runs].sum())
            best = max(best, others + float(ends.sum() + (one.tail[here] + one.lump[here]).sum()))
            if len(ends) == len(least):
                least = np.maximum(least, ends + float(one.tail[here].min()))
        best = max(best, float(least.sum()))
        total += (weight - below) * (best - float(problem.samples.arrival[chosen].sum()))
        below = weight
    return total - 1e-12 * abs(total)


def device_work(problem: OfflineServing, device: int) -> DeviceWork:
    """What all samples need of a device."""
    serving, first, beyond = problem.serving, problem.first, problem.beyond
    shares = shares_of(serving.latency)
    on = serving.device == device
    least = serving.latency[:, 1:].min(axis=1)
    step = least + serving.transfer[:, 1:].min(axis=1)
    here = _between(on.astype(float), first, beyond) > 0
    stages = np.arange(len(on))
    # The next stage of the device from each stage on, and the last one up to each stage.
    following = np.minimum.accumulate(np.where(on, stages, len(on))[::-1])[::-1]
    latest = np.maximum.accumulate(np.where(on, stages, -1))
    begin = np.where(here, following[np.minimum(first, len(on) - 1)], first)
    last = np.where(here, latest[beyond - 1], beyond - 1)
    between = serving.transfer[:, 1:].min(axis=1)
    # After the last stage there: its transfer, and all stages behind it without the transfer of the very last.
    tail = np.where(
        last + 1 < beyond,
        between[last] + _between(step, last + 1, beyond) - between[beyond - 1],
        0.0,
    )
    return DeviceWork(
        runs=here,
        head=_between(step, first, begin),
        work=_between(np.where(on, shares.share, 0.0), first, beyond),
        tail=tail,
        lump=shares.lump[last],
    )


def pair_bound(problem: OfflineServing) -> float:
    """What samples of one device pay for each other, from the first arrival on.

    Proof. Everything runs after the first arrival t. Number the samples by C. Before C(j) the device runs all
    operations (i, q) of the samples i up to j, and those of later samples that share a batch with one of them; each
    operation takes its part s(q, b). So C(j) - t is at least the sum of these. Summed over j, operation (i, q) counts
    once for i, once for each of the l samples after i, and of the b (b - 1) / 2 pairs of each batch one side counts the
    other's operation once more, (b - 1) / 2 for each of its operations. Together at least the sum of
    min over b of s(q, b) ((b + 1) / 2 + l), and at least the smallest such sum of all numberings. O(n^2 Q).
    """
    from dnnplan.formulations.serving.bounds_kernels import Needs, pairs_to_go  # loads numba
    from dnnplan.formulations.serving.shares import payments, rest_after

    if problem.n == 0:
        return 0.0
    shares = shares_of(problem.serving.latency)
    steps, level = np.unique(problem.weight, return_inverse=True)
    n, depth = problem.n, problem.samples.depth
    rest = rest_after(problem, shares.share)
    needs = Needs(
        release=problem.samples.arrival,
        first=problem.first,
        depth=depth,
        rest=rest,
        own=rest,
        lump=np.zeros(n),
        psi=payments(shares.part, n),
        level=level.ravel().astype(np.int64),
        step=np.diff(steps, prepend=0.0),
    )
    progress, order, price = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n)
    known = np.zeros((len(shares.share), rest.shape[1]))
    start, total = float(problem.samples.arrival[0]), 0.0
    for k, step in enumerate(needs.step.tolist()):
        paid = float(pairs_to_go(needs, progress, k, order, price, known))
        total += step * (paid - float((problem.samples.arrival[needs.level >= k] - start).sum()))
    return total - 1e-12 * abs(total)


def late_bound(problem: OfflineServing) -> float:
    """Least weight of late samples on the shares of one device; the best of all devices.

    Samples that are late even alone are late; of the others, in blocks that follow each other and are judged alone,
    as many as in the best schedule of their shares, with releases and deadlines made agreeable: each release as early
    as the earliest of the samples that are due no earlier (Kise, Ibaraki and Mine 1978, `fewest_late`). Heads and tails
    as in `share_bound`.
    """
    from dnnplan.formulations.serving.late_kernels import fewest_late  # loads numba

    due = problem.deadline * (1 + LATE) + 1e-15
    hopeless = problem.samples.arrival + own_seconds(problem) > due * (1 + 1e-12)
    best = 0.0
    for d in range(len(problem.serving.devices)):
        one = device_work(problem, d)
        total, below = 0.0, 0.0
        for weight in np.unique(problem.weight).tolist():
            chosen = (problem.weight >= weight) & one.runs & ~hopeless & np.isfinite(due)
            release, deadline = (problem.samples.arrival + one.head)[chosen], (due - one.tail)[chosen]
            work = one.work[chosen] * (1 - 1e-12)
            for block in _blocks(len(work)):
                order = np.argsort(deadline[block], kind="stable")
                ready = np.minimum.accumulate(release[block][order][::-1])[::-1].copy()
                total += (weight - below) * fewest_late(ready, deadline[block][order], work[block][order])
            below = weight
        best = max(best, total)
    return best + float(problem.weight[hopeless].sum())


def _blocks(count: int) -> Iterator[IntArray]:
    """Positions in blocks of samples that come one after the other."""
    for start in range(0, count, LONGEST_BLOCK):
        yield np.arange(start, min(start + LONGEST_BLOCK, count))


def _between(each: FloatArray, first: IntArray, beyond: IntArray) -> FloatArray:
    """(n,) sums of a figure of stages (Q,) from a stage to the one before another."""
    total = np.concatenate([[0.0], np.cumsum(each)])
    found: FloatArray = total[np.maximum(beyond, first)] - total[first]
    return found
