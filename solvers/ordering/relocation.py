"""Local search that judges whole orders: for conditions, and wherever no kernel knows the cost."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.solvers.search import TaskSearch

IDLE = 3
"""Rounds without a gain after which the search ends, by number of tasks."""


def improve_by_relocation(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], seconds: float = 10.0
) -> None:
    """Move tasks and short blocks to other places as long as that pays, and start again from kicked orders.

    Each order is evaluated as a whole, so that expectations and memories count as they are. O(n^2) evaluations a round.
    """
    if search.best is None or problem.n < 2:
        return
    rng = np.random.default_rng(search.settings.seed)
    until = search.seconds + min(seconds, search.remaining)
    current, cost = list(search.best.decisions), problem.cost(search.best.decisions)
    idle = 0
    while search.seconds < until and not search.finished() and idle < IDLE * problem.n:
        trial = _kicked(problem, current, rng) if idle else list(current)
        trial, value = _descend(problem, trial, search, until)
        idle += 1
        if value < cost - 1e-12 * abs(cost):
            current, cost, idle = trial, value, 1
            search.propose(current)


def _descend(
    problem: OrderingProblem, order: list[int], search: TaskSearch[OrderingProblem], until: float
) -> tuple[list[int], float]:
    """Best relocation of a block of one to three tasks, again and again."""
    cost = problem.cost(order)
    while True:
        best, found = cost, None
        for trial in _relocations(order):
            if search.seconds >= until or search.finished():
                return order, cost
            if problem.keeps(trial) and (value := problem.cost(trial)) < best - 1e-12 * abs(best):
                best, found = value, trial
        if found is None:
            return order, cost
        order, cost = found, best


def _relocations(order: list[int]) -> list[list[int]]:
    n = len(order)
    found = []
    for size in (1, 2, 3):
        for start in range(n - size + 1):
            block, rest = order[start : start + size], order[:start] + order[start + size :]
            found += [rest[:p] + block + rest[p:] for p in range(len(rest) + 1) if p != start]
    return found


def _kicked(problem: OrderingProblem, order: list[int], rng: np.random.Generator) -> list[int]:
    """The order after some random relocations that keep precedences."""
    for _ in range(4):
        task = int(rng.integers(len(order)))
        rest = order[:task] + order[task + 1 :]
        place = int(rng.integers(len(order)))
        trial = [*rest[:place], order[task], *rest[place:]]
        if problem.keeps(trial):
            order = trial
    return order
