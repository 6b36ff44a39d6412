"""Problems and task graphs as the compiled local search has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import Criteria, symmetric_distances

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.grouping_state import State, Tables

SEEDS = 2_147_483_646
"""States of the generator of the kernels."""


def tables_of(problem: GroupingProblem, criteria: Criteria) -> Tables:
    """A problem as the kernels see it."""
    from dnnplan.solvers.kernels.grouping_state import Tables

    rows, costs = problem.rows, problem.costs
    return Tables(
        distance=symmetric_distances(problem),
        bytes=np.ascontiguousarray(costs.bytes[rows]),
        compute=np.ascontiguousarray(costs.compute[rows]),
        load=np.ascontiguousarray(costs.load[rows]),
        share_compute=problem.share_compute,
        share_load=problem.share_load,
        weights=criteria.weights,
        constant=criteria.constant,
        limit=criteria.limit,
    )


def state_of(groups: Groups, n: int, seed: int = 1) -> State:
    """A task graph as slots; its figures are still to be measured."""
    from dnnplan.solvers.kernels.grouping_state import State

    home = np.zeros((len(groups), n), dtype=np.int64)
    for level, partition in enumerate(groups):
        for slot, group in enumerate(partition):
            home[level, list(group)] = slot
    return State(
        home=home,
        members=np.zeros(home.shape, dtype=np.int64),
        figure=np.zeros((*home.shape, len(MEASURES))),
        total=np.zeros((len(home), len(MEASURES))),
        random=np.array([1 + seed % SEEDS], dtype=np.int64),
    )


def groups_of(home: IntArray) -> Groups:
    """Slots as partitions: groups by their smallest task."""
    found = []
    for row in home.tolist():
        level: dict[int, list[int]] = {}
        for task, slot in enumerate(row):
            level.setdefault(slot, []).append(task)
        found.append(tuple(tuple(group) for group in level.values()))
    return tuple(found)
