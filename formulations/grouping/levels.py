"""The least that one branch point can add to a measure, by its number of groups: what ties levels of the models down."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.judged import Terms
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.grouping import GroupingProblem

MOST_TASKS = 12
"""Tasks up to which all subsets of subsets are looked at: 3^12 pairs."""


def figures_of_groups(problem: GroupingProblem, level: int) -> dict[str, FloatArray]:
    """(2^n,) what a group adds to each measure at a branch point, by the bit mask of its tasks.

    For ``variety`` it is its largest dissimilarity, which is still to be divided by the number of groups.
    """
    block = problem.rows.start + level
    diameter = _largest_pair(problem.dissimilarity[level])
    count = np.bitwise_count(np.arange(1 << problem.n)).astype(np.int64)
    compute, load, size = (
        _largest(figure[block]) for figure in (problem.costs.compute, problem.costs.load, problem.costs.bytes)
    )
    return {
        "variety": diameter,
        "task_variety": diameter * count / problem.n,
        "size": size,
        "execution_cost": compute * problem.share_compute[count] + load * problem.share_load[count],
    }


def least_by_count(problem: GroupingProblem, terms: Terms) -> FloatArray | None:
    """(L, n) least weighted sum of measures that any partition into 1 to n groups has at each branch point.

    Branch points are looked at one by one, without asking that they refine each other. For each of them a dynamic
    programme over subsets S of the tasks: with j groups S costs

        f(j, S) = min over groups T of S that hold its smallest task of  cost(T) + f(j - 1, S without T),

    where the cost of a group depends on the number k of groups of the whole partition if the variety is among the terms.

    Returns
    -------
    None for more than `MOST_TASKS` tasks: O(L 3^n n^2) steps.
    """
    n = problem.n
    if n > MOST_TASKS:
        return None
    divisors = np.arange(1, n + 1) if any(name == "variety" for name, _ in terms) else np.ones(1)
    found = np.zeros((problem.levels, n))
    for level in range(problem.levels):
        figures = figures_of_groups(problem, level)
        cost = np.zeros((len(divisors), 1 << n))
        for name, weight in terms:
            cost += weight * figures[name] / (divisors[:, None] if name == "variety" else 1.0)
        best = _partitions(cost, n)
        found[level] = np.diagonal(best[:, 1:]) if len(divisors) > 1 else best[0, 1:]
    return found


def _partitions(cost: FloatArray, n: int) -> FloatArray:
    """(K, n + 1) least cost of partitions of all n tasks into 0 to n groups; `cost` is (K, 2^n)."""
    best = np.full((len(cost), n + 1, 1 << n), np.inf)
    best[:, 0, 0] = 0.0
    everyone = (1 << n) - 1
    for tasks in (*range(2, everyone, 2), everyone):
        # What is left when groups with the smallest tasks are taken away never holds task 0.
        smallest = tasks & -tasks
        group = _subsets(tasks ^ smallest) | smallest
        rest = best[:, :-1, tasks ^ group]
        best[:, 1:, tasks] = (rest + cost[:, None, group]).min(axis=2)
    return np.asarray(best[:, :, everyone])


def _subsets(mask: int) -> IntArray:
    """All bit masks within a mask."""
    found = np.zeros(1, dtype=np.int64)
    while mask:
        bit = mask & -mask
        found = np.concatenate([found, found | bit])
        mask ^= bit
    return found


def _largest(figure: FloatArray) -> FloatArray:
    """(2^n,) largest figure among the tasks of each bit mask; 0 for no task."""
    found = np.zeros(1)
    for value in figure:
        found = np.concatenate([found, np.maximum(found, value)])
    return found


def _largest_pair(distance: FloatArray) -> FloatArray:
    """(2^n,) largest distance of two tasks (i < j) of each bit mask; 0 for fewer than two."""
    found = np.zeros(1)
    for j in range(len(distance)):
        found = np.concatenate([found, np.maximum(found, _largest(distance[:j, j]))])
    return found
