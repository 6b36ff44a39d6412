"""Many samples on one device, some at a time: plans by looking ahead, and bounds from samples judged alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.bounds import share_bound
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.dispatch import Batch

AHEAD, WIDTH = 20, 12
"""Samples that are looked at together for a plan, and width of that search."""
WINDOWS, LABELS_PER_SAMPLE = (12, 24, 40), 600
"""Samples that are judged alone for a bound, and labels for each of them."""
SEGMENT = 10
"""Windows that are judged together by their shares."""
FIRST_LABELS = 2048


def plan_ahead(problem: OfflineServing, search: TaskSearch[Any]) -> list[Batch] | None:
    """A plan made in the order of time: the next samples by labels, of which the first batches are kept; None: stopped.

    Rolling horizon: of the samples that are there those with the least work left, with them the next ones that come, at
    most `AHEAD` in all. Batches stay that start before it is time to look again, at least one. With deadlines, those
    that are given up wait until nothing else is left.
    """
    from dnnplan.solvers.serving.label_search import LabelSearch
    from dnnplan.solvers.serving.label_store import Figures

    figures = Figures(problem)
    arrival, n = problem.samples.arrival, problem.n
    progress = np.zeros(n, dtype=np.int64)
    open_ids = [int(j) for j in np.flatnonzero(problem.weight > 0)]
    now, found = float(arrival[0]), []
    while open_ids:
        if search.finished():
            return None
        now = max(now, float(arrival[open_ids[0]]))
        ids = _next_ids(problem, figures.rest, open_ids, progress, now)
        labels = LabelSearch(
            problem, ids, progress=progress[ids], time=now, figures=figures, labels=FIRST_LABELS
        )
        labels.beam(WIDTH)
        batches = labels.batches() if labels.has_plan else []
        until = _until(arrival, ids, open_ids, now)
        kept = 0
        for q, members in batches:
            start = max(now, float(arrival[list(members)].max()))
            if kept and start >= until:
                break
            now = start + float(problem.serving.latency[q, len(members)])
            progress[list(members)] = q + 1 - problem.first[list(members)]
            found.append((q, members))
            kept += 1
        if kept == 0:
            # All of them are given up.
            gone = set(ids.tolist())
            open_ids = [j for j in open_ids if j not in gone]
        else:
            open_ids = [j for j in open_ids if progress[j] < problem.samples.depth[j]]
            if problem.name == "late":
                open_ids = _in_time(problem, figures.own, open_ids, progress, now)
    return found


def _until(arrival: FloatArray, ids: IntArray, open_ids: list[int], now: float) -> float:
    """When to look again: half of the samples that were seen to come are there, or one comes that was not seen."""
    coming = ids[arrival[ids] > now]
    if len(coming):
        return float(arrival[coming[len(coming) // 2]])
    return next((float(arrival[j]) for j in open_ids if arrival[j] > now), np.inf)


def _next_ids(
    problem: OfflineServing, rest: FloatArray, open_ids: list[int], progress: IntArray, now: float
) -> IntArray:
    """Samples to look at: those that have started, those that are there, and the next ones."""
    arrival = problem.samples.arrival
    here: list[int] = []
    later: list[int] = []
    for j in open_ids:
        if arrival[j] <= now:
            here.append(j)
        elif len(later) < AHEAD:
            later.append(j)
        else:
            break
    if problem.name != "late":
        here.sort(key=lambda j: (progress[j] == 0, rest[j, progress[j]] / problem.weight[j], j))
    else:
        here.sort(key=lambda j: (progress[j] == 0, problem.deadline[j], j))
    chosen = here[:AHEAD]
    return np.array(sorted([*chosen, *later[: max(AHEAD - len(chosen), 0)]]), dtype=np.int64)


def _in_time(
    problem: OfflineServing, own: FloatArray, open_ids: list[int], progress: IntArray, now: float
) -> list[int]:
    """Without those that cannot be in time any more; those that have started stay with the rest of the plan."""
    return [
        j
        for j in open_ids
        if max(now, problem.samples.arrival[j]) + own[j, progress[j]] <= problem.deadline[j]
    ]


def window_bound(
    problem: OfflineServing, search: TaskSearch[Any], seconds: float, window: int = WINDOWS[0]
) -> float:
    """Sum over windows of samples of a bound on each alone, by labels; as far as the time goes, the rest by shares.

    Leaving samples out never makes the others later, and costs are sums over samples: so bounds on parts of the
    samples add up. Ten windows that follow each other are also judged together by their shares, where queues reach from
    one to the next.
    """
    from dnnplan.solvers.serving.label_search import LabelSearch
    from dnnplan.solvers.serving.label_store import Figures

    figures, until = Figures(problem), search.seconds + seconds
    ids = np.flatnonzero(problem.weight > 0)
    total = 0.0
    for begin in range(0, len(ids), SEGMENT * window):
        segment = ids[begin : begin + SEGMENT * window]
        if search.seconds >= until or search.finished():
            return total + _shares_of_part(problem, ids[begin:])
        parts = 0.0
        for at in range(0, len(segment), window):
            labels = LabelSearch(problem, segment[at : at + window], figures=figures, labels=FIRST_LABELS)
            labels.begin()
            for _ in range(LABELS_PER_SAMPLE * window // 500):
                if labels.step(500)[1]:
                    break
            parts += max(labels.bound, 0.0)
        total += max(parts, _shares_of_part(problem, segment))
    return total


def _shares_of_part(problem: OfflineServing, ids: IntArray) -> float:
    """Bound on the cost of some samples alone, by shares; 0 for deadlines."""
    if problem.name == "late" or len(ids) == 0:
        return 0.0
    part = problem.of_samples(ids)
    return share_bound(part) * float(problem.weight[ids].sum()) / float(part.weight.sum())
