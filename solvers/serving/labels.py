"""Labels, best first: proven optima of some ten to fifty samples on one device."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.constructive import propose_simple

MOST_SAMPLES = 400
"""Samples whose labels fit into memory at all."""
CHUNK_SECONDS, FIRST_CHUNK = 0.15, 200
"""Time between looks at the limits; labels of the first chunk."""
LABELS_PER_WORK = 20_000
BEAMS = (20, 200)
"""Widths of the searches for a first plan."""


class Labels:
    """States by batches, best first (A*: Hart, Nilsson and Raphael 1968), with bounds from shares and payments.

    A state is who has run how many stages. Labels of a state are left out where another one is free earlier at no more
    cost, or later by less than it costs to wait for it. What a state still costs at least is the larger of two bounds:
    shortest remaining shares first, and what samples pay for each other (`dnnplan.formulations.serving.bounds`). Time
    and memory grow with the number of states, so with how many samples are there at once.
    """

    summary = "dynamic programming over who has run which stages, best first; one device"
    capabilities = Capabilities(problem="serving", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """Simple plans, then labels until the limits.

        Raises
        ------
        UnsupportedError
            Several devices, or too many samples.
        """
        from dnnplan.solvers.serving.label_store import refusal

        if problem.n > MOST_SAMPLES:
            raise UnsupportedError(f"labels: {problem.n} samples, expected at most {MOST_SAMPLES}; use auto")
        if (why := refusal(problem)) is not None:
            raise UnsupportedError(f"labels: {why}; use auto")
        propose_simple(problem, search)
        prove(problem, search)


def prove(problem: OfflineServing, search: TaskSearch[Any], seconds: float = math.inf) -> bool:
    """Search labels until the limits, at most for some seconds; whether nothing is left to do."""
    from dnnplan.solvers.serving.label_search import LabelSearch

    ids = np.flatnonzero(problem.weight > 0)
    if len(ids) == 0:
        search.improve_bound(0.0, "no weights")
        return True
    until = search.seconds + seconds
    # Numbers of late samples come in steps: nothing lies between them.
    labels = LabelSearch(problem, ids, gap=0.0 if problem.name == "late" else search.settings.gap / 2)
    if search.value is not None:
        labels.know(search.value)
    for width in BEAMS:
        if search.finished() or search.seconds >= until:
            return False
        if labels.beam(width, search.finished):
            search.propose(with_the_rest(problem, labels.batches()))
    labels.begin()
    chunk = FIRST_CHUNK
    while not search.finished() and search.seconds < until:
        began = time.perf_counter()
        better, ended = labels.step(chunk)
        search.work += chunk / LABELS_PER_WORK
        if better:
            search.propose(with_the_rest(problem, labels.batches()))
        search.improve_bound(labels.bound, "labels")
        if ended:
            return labels.complete
        spent = time.perf_counter() - began
        chunk = int(min(max(chunk * CHUNK_SECONDS / max(spent, 1e-4), 10), 4 * chunk))
        if search.settings.work_limit is not None:
            chunk = FIRST_CHUNK
    return False


def with_the_rest(
    problem: OfflineServing, batches: list[tuple[int, tuple[int, ...]]]
) -> list[tuple[int, tuple[int, ...]]]:
    """Batches, and behind them full ones of all samples that are in none: those whose latency does not matter."""
    done = problem.first.copy()
    for q, members in batches:
        done[list(members)] = q + 1
    found = list(batches)
    largest = problem.serving.max_batch
    for q in range(len(problem.serving.stages)):
        ids: IntArray = np.flatnonzero((done == q) & (q < problem.beyond))
        done[ids] = q + 1
        found += [(q, tuple(ids[k : k + largest].tolist())) for k in range(0, len(ids), largest)]
    return found
