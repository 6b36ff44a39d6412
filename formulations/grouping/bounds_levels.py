"""Bounds from branch points on their own: sizes of groups decide, and numbers of groups do not fall."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.criteria import symmetric_distances
from dnnplan.formulations.grouping.levels import figures_of_sizes

CLIQUE_TASKS, CLIQUE_STEPS = 100, 3_000
"""Tasks up to which least diameters come from cliques, and steps of one search for a clique."""
SIZE_TASKS = 200
"""Tasks up to which sizes of groups are gone through: O(n^4) steps."""
MOST_SUMS = 5_000
"""Sums that are told apart at a branch point for each number of groups; where there are more, near ones are one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sizes:
    """What a group of a given size takes at least, wherever it lies.

    Parameters
    ----------
    n
        Number of tasks.
    diameter
        (L, n + 1) least diameter of a set of each size.
    size, cost
        (L, n + 1) least bytes and execution cost of a node that so many tasks share.
    """

    n: int
    diameter: FloatArray
    size: FloatArray
    cost: FloatArray

    @property
    def levels(self) -> int:
        """L."""
        return len(self.diameter)

    def slope(self, weights: FloatArray) -> FloatArray:
        """(n + 1, n + 1) what a unit of diameter costs in a weighted sum, by numbers of groups and the size of one."""
        groups, tasks = np.arange(self.n + 1.0)[:, None], np.arange(self.n + 1.0)[None, :]
        return np.asarray(weights[0] / np.maximum(groups, 1.0) + weights[1] * tasks / self.n)

    def base(self, level: int, weights: FloatArray) -> FloatArray:
        """(n + 1,) what a group of each size costs beside its diameter."""
        return np.asarray(weights[2] * self.size[level] + weights[3] * self.cost[level])

    def others(self, level: int, weights: FloatArray) -> FloatArray:
        """(n + 1, n + 1) least cost of all groups but the largest: see `bounds_kernels.by_sizes`."""
        from dnnplan.formulations.grouping.bounds_kernels import by_sizes

        return by_sizes(self.slope(weights), self.base(level, weights), self.diameter[level])

    def least(self, weights: FloatArray) -> FloatArray:
        """(L, n + 1) least weighted sum of each branch point by its number of groups; infinite for 0."""
        found = np.full((self.levels, self.n + 1), np.inf)
        slope = self.slope(weights)
        for level in range(self.levels):
            own = slope * self.diameter[level] + self.base(level, weights)
            found[level, 1:] = (own + self.others(level, weights))[1:, 1:].min(axis=1)
        return found


def sizes_of_groups(problem: GroupingProblem, keep_going: Callable[[], bool] = lambda: True) -> Sizes:
    """The least figures of groups of each size.

    A set of s tasks has no diameter below the least one at which a graph of near tasks has a clique of s: found by
    branch and bound, or with many tasks, or once `keep_going` says False, from the (s - 1)th nearest of each task. It
    takes no fewer bytes than the s smallest tasks.
    """
    from dnnplan.formulations.grouping.bounds_kernels import smallest_diameters

    figures = [figures_of_sizes(problem, level) for level in range(problem.levels)]
    diameter = np.array([row["variety"] for row in figures]).reshape(problem.levels, problem.n + 1)
    if problem.n <= CLIQUE_TASKS:
        distance = symmetric_distances(problem)
        every = np.ones(distance.shape[1:], dtype=np.bool_)
        for level, one in enumerate(distance):
            if keep_going():
                diameter[level] = np.maximum(diameter[level], smallest_diameters(one, every, CLIQUE_STEPS))
    return Sizes(
        n=problem.n,
        diameter=diameter,
        size=np.array([row["size"] for row in figures]).reshape(diameter.shape),
        cost=np.array([row["execution_cost"] for row in figures]).reshape(diameter.shape),
    )


def bound_by_counts(
    objective: FloatArray, limited: FloatArray, limit: float, keep_going: Callable[[], bool] = lambda: True
) -> float:
    """Least sum of the objective over branch points under a limit on another sum, numbers of groups not falling.

    A dynamic programme over branch points and numbers of groups; its states are pairs of sums of which none is as
    good as another in both.

    Parameters
    ----------
    objective, limited
        (L, n + 1) least share of each branch point by its number of groups.
    limit
        Upper limit of the second sum.

    Returns
    -------
    Infinite if the limit cannot be kept; 0 if `keep_going` says False.
    """
    n = objective.shape[1] - 1
    front = [np.zeros((1, 2))] + [np.empty((0, 2))] * n
    for level in range(len(objective)):
        pool = front[0]
        following = [np.empty((0, 2))]
        for k in range(1, n + 1):
            if not keep_going():
                return 0.0
            pool = _best_pairs(np.concatenate([pool, front[k]]))
            pairs = pool + np.array([objective[level, k], limited[level, k]])
            following.append(pairs[pairs[:, 1] <= limit])
        front = following
    ends = np.concatenate(front)
    return float(ends[:, 0].min()) if len(ends) else math.inf


def _best_pairs(pairs: FloatArray) -> FloatArray:
    """The pairs that no other one is as good as, by falling first member; of too many, the lower corners of a grid."""
    ordered = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
    if not len(ordered):
        return ordered
    before = np.concatenate([[np.inf], np.minimum.accumulate(ordered[:, 0])[:-1]])
    kept = ordered[ordered[:, 0] < before]
    if len(kept) <= MOST_SUMS:
        return kept
    low, high = kept[0, 1], kept[-1, 1]
    cell = np.floor((kept[:, 1] - low) / (high - low) * (MOST_SUMS / 2))
    first = np.searchsorted(cell, np.unique(cell), side="left")
    last = np.searchsorted(cell, np.unique(cell), side="right") - 1
    return np.column_stack([kept[last, 0], kept[first, 1]])
