"""Plans of H2H after steps 1, 2 and 3: from a placement and an order to pins and kept tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.solvers.h2h.frontier import map_frontiers
from dnnplan.solvers.h2h.knapsack import Knapsack, never, pin_by_knapsack
from dnnplan.solvers.lists.colocation import colocated

Rows = list[list[int]]


@dataclass(frozen=True, kw_only=True)
class H2HSettings:
    """How step 2 chooses weights: ``exact`` as the paper says, ``published`` as the public code does."""

    knapsack: Knapsack = "exact"


def step_compute(problem: MappingProblem, finished: Callable[[], bool] = never) -> tuple[list[int], Rows]:
    """Placement and order of step 1; colocated layers then move together."""
    place, sequence = map_frontiers(problem, finished)
    together = colocated(problem, np.array(place, dtype=np.int64)).tolist() if problem.colocate else place
    rows: Rows = [[] for _ in range(problem.m)]
    for i in sequence:
        rows[together[i]].append(i)
    return together, rows


def settle(
    problem: MappingProblem,
    place: Sequence[int],
    rows: Sequence[Sequence[int]],
    step: int,
    settings: H2HSettings,
    finished: Callable[[], bool] = never,
) -> Decisions:
    """The plan of a placement and an order after step 1, 2 or 3."""
    pinned = [set[int]()] * problem.m
    if step > 1:
        pinned = pin_by_knapsack(problem, place, settings.knapsack, finished)
    kept = consecutive(problem, place, rows) if step > 2 else set()
    return decisions_of(problem, place, rows, pinned=pinned, kept=kept)


def consecutive(
    problem: MappingProblem, place: Sequence[int], rows: Sequence[Sequence[int]]
) -> set[tuple[int, int]]:
    """(tensor, device) pairs of producers and readers that are neighbours in the order of a device (step 3)."""
    if problem.execution.staging == "direct":
        return set()
    return {
        (k, place[i])
        for row in rows
        for i, j in pairwise(row)
        for k in problem.outputs[i]
        if j in problem.readers[k]
    }
