"""Best batches in order of arrival that run to their end: a shortest path over how many samples have been served."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs.serving.evaluate import LATE
from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.dispatch import Batch

MOST_LABELS = 200
"""Labels kept for a number of samples; with more the answer may not be the best of its kind."""


class FifoBatches:
    """The best batches of samples that came one after the other, each through all of its stages at once.

    Labels (time, cost) for the number of samples served: Ikura and Gimple (1986) and Baptiste (2000) for batches whose
    time does not depend on their size, a shortest path over batches as of Bhimaraju, Etesami and Varshney (2023) for
    size-dependent times. Optimal where all samples are alike and need one stage on one device: then some optimal plan
    has such batches. Else a heuristic without preemption. O(n B labels).
    """

    summary = "best batches in order of arrival, run to their end; optimal for one stage"
    capabilities = Capabilities(problem="serving", bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """One plan, proven where it is optimal."""
        path = best_path(problem, search.finished)
        if path is None:
            return
        search.propose(in_stages(problem, path.groups, path.given_up))
        if path.whole and is_exact(problem) and search.value is not None:
            # Sums in another order differ in the last digits.
            search.improve_bound(min(path.cost, search.value), "batches in order of arrival")


@dataclass(frozen=True, eq=False, kw_only=True)
class Path:
    """Groups of samples that run together, samples that are given up, and what it costs.

    `whole`: no label was left out for want of room.
    """

    groups: list[list[int]]
    given_up: list[int]
    cost: float
    whole: bool


@dataclass(frozen=True, eq=False, slots=True)
class _Label:
    time: float
    cost: float
    size: int
    before: _Label | None


def is_exact(problem: OfflineServing) -> bool:
    """Whether some optimal plan has batches of samples that came one after the other.

    One stage and one device; samples of equal weight and SLO. Of two batches that run one after the other, the earlier
    one may take the samples that came first: they are there in time, sizes and times stay, and so does the sum of
    completions; with deadlines, the samples that came first are due first, and those that are late run last.
    """
    slo = {problem.serving.streams[s].slo for s in problem.samples.stream.tolist()}
    return (
        bool((problem.samples.depth == 1).all())
        and len(set(problem.first.tolist())) == 1
        and len(set(problem.weight.tolist())) == 1
        and (problem.name != "late" or len(slo) == 1)
        and not problem.serving.switch[problem.first].any()
    )


def best_path(problem: OfflineServing, stop: Callable[[], bool]) -> Path | None:
    """The cheapest way to serve all samples in batches of samples that came one after the other; None: stopped."""
    n, late = problem.n, problem.name == "late"
    arrival, weight = problem.samples.arrival.tolist(), problem.weight.tolist()
    left = np.concatenate([np.cumsum(problem.weight[::-1])[::-1], [0.0]]).tolist()
    labels: list[list[_Label]] = [[] for _ in range(n + 1)]
    labels[0] = [_Label(time=-math.inf, cost=0.0, size=0, before=None)]
    whole = True
    for i in range(n):
        if i % 64 == 63 and stop():
            return None
        if len(labels[i]) > MOST_LABELS:
            labels[i] = sorted(labels[i], key=lambda one: one.cost + left[i] * one.time)[:MOST_LABELS]
            whole = False
        groups = _groups_from(problem, i)
        for label in labels[i]:
            if late:
                _enter(labels[i + 1], _Label(label.time, label.cost + weight[i], 0, label), 0.0)
            for size, ends, seconds in groups:
                start = max(label.time, arrival[i + size - 1])
                cost = _cost(problem, i, start, ends)
                if math.isfinite(cost):
                    further = _Label(start + seconds, label.cost + cost, size, label)
                    _enter(labels[i + size], further, 0.0 if late else left[i + size])
        if i:
            labels[i] = []
    best = min(labels[n], key=lambda one: one.cost)
    return _read(best, whole)


def _groups_from(problem: OfflineServing, i: int) -> list[tuple[int, list[float], float]]:
    """Groups that begin with sample i: size, seconds from their start until each leaves, and until all have left."""
    found = []
    serving = problem.serving
    for size in range(1, min(serving.max_batch, problem.n - i) + 1):
        if problem.first[i + size - 1] != problem.first[i]:
            break
        depth = problem.samples.depth[i : i + size]
        seconds, ends = 0.0, [0.0] * size
        for k in range(int(depth.max())):
            q, here = int(problem.first[i]) + k, int((depth > k).sum())
            seconds += float(serving.latency[q, here])
            for x in np.flatnonzero(depth == k + 1).tolist():
                ends[x] = seconds
            seconds += float(serving.transfer[q, here])
        found.append((size, ends, max(ends)))
    return found


def _cost(problem: OfflineServing, i: int, start: float, ends: list[float]) -> float:
    """Cost of a group; infinite where one of it is late."""
    if problem.name == "late":
        due = problem.deadline[i : i + len(ends)] * (1 + LATE)
        return 0.0 if all(start + end <= d for end, d in zip(ends, due.tolist(), strict=True)) else math.inf
    return math.fsum(
        float(problem.weight[i + k]) * (start + end - float(problem.samples.arrival[i + k]))
        for k, end in enumerate(ends)
    )


def _enter(labels: list[_Label], new: _Label, left: float) -> None:
    """Keep a label unless another one is as good: free no later at no more cost, or later by less than that costs."""

    def beats(a: _Label, b: _Label) -> bool:
        later = a.time - b.time
        return a.cost + (later * left if later > 0 and left > 0 else 0.0) <= b.cost and (
            left > 0 or later <= 0
        )

    if any(beats(old, new) for old in labels):
        return
    labels[:] = [old for old in labels if not beats(new, old)]
    labels.append(new)


def _read(label: _Label, whole: bool) -> Path:
    """Groups from the last label back to the first."""
    sizes, cost = [], label.cost
    while label.before is not None:
        sizes.append(label.size)
        label = label.before
    groups: list[list[int]] = []
    given_up: list[int] = []
    at = 0
    for size in reversed(sizes):
        if size == 0:
            given_up.append(at)
        else:
            groups.append(list(range(at, at + size)))
        at += max(size, 1)
    return Path(groups=groups, given_up=given_up, cost=cost, whole=whole)


def in_stages(problem: OfflineServing, groups: list[list[int]], given_up: list[int]) -> list[Batch]:
    """Batches of groups that run to their end; behind them samples that are given up."""
    found: list[Batch] = []
    for group in [*groups, *([j] for j in given_up)]:
        first = int(problem.first[group[0]])
        for k in range(max(int(problem.samples.depth[j]) for j in group)):
            found.append((first + k, tuple(j for j in group if problem.samples.depth[j] > k)))
    return found
