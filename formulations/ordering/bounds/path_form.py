"""Orders as paths from a first node to a last one: what bounds and exact searches of plain problems work on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
ARTIFICIAL = -1
"""The task of a node that stands for the start or the end of a period."""
MOST_DECIMALS = 6
"""Costs with more decimals than this count as real numbers."""
DECIMAL_ERROR, ROUNDING = 1e-9, 1e-6
"""How far costs may be from decimals, and a bound above a possible value before it is rounded up, by the step."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PathForm:
    """All paths through N nodes, from node 0 to node N - 1: a sequential ordering problem.

    Parameters
    ----------
    cost
        (N, N) of the column's node right after the row's; infinite where no order has such a step.
    before
        (N, N) whether the row's node has to come before the column's; transitively closed. Node 0 comes before, and
        node N - 1 after all others.
    tasks
        (N,) the task of each node; `ARTIFICIAL` for a start or an end that is none.
    constant
        Cost of every order beside its steps.
    """

    cost: FloatArray
    before: BoolArray
    tasks: IntArray
    constant: float

    @property
    def size(self) -> int:
        """Number of nodes N."""
        return len(self.cost)

    def order(self, path: Sequence[int] | IntArray) -> list[int]:
        """Tasks along a path of nodes."""
        return [int(self.tasks[node]) for node in path if self.tasks[node] != ARTIFICIAL]

    def path(self, order: Sequence[int]) -> IntArray | None:
        """(N,) nodes along an order of tasks; None if it begins or ends with a task that this form does not."""
        node = {int(task): v for v, task in enumerate(self.tasks.tolist()) if task != ARTIFICIAL}
        path = [node[task] for task in order]
        if self.tasks[0] == ARTIFICIAL:
            path.insert(0, 0)
        if self.tasks[-1] == ARTIFICIAL:
            path.append(self.size - 1)
        return np.array(path, dtype=np.int64) if path[0] == 0 and path[-1] == self.size - 1 else None

    @cached_property
    def direct(self) -> BoolArray:
        """(N, N) precedences that do not follow from others: the transitive reduction."""
        return self.before & ~_through(self.before)

    @cached_property
    def grid(self) -> tuple[float, float]:
        """(offset, step): every path costs offset + k step for a whole number k; step 0: any cost is possible.

        A path takes one step from each node but the last and one to each node but the first. So what is subtracted
        from a row or a column is paid by every path, and the step is the greatest common divisor of what is left.
        """
        usable = np.isfinite(self.cost[:-1, 1:])
        values = self.cost[:-1, 1:][usable]
        digits = next((d for d in range(MOST_DECIMALS + 1) if _are_whole(values * 10.0**d)), None)
        if digits is None or not values.size:
            return 0.0, 0.0
        scaled = np.where(usable, np.round(np.where(usable, self.cost[:-1, 1:], 0.0) * 10.0**digits), np.inf)
        rows = _finite_min(scaled, axis=1)
        scaled -= rows[:, None]
        columns = _finite_min(scaled, axis=0)
        scaled -= columns[None, :]
        step = int(np.gcd.reduce(scaled[usable].astype(np.int64)))
        offset = float(rows.sum() + columns.sum()) / 10.0**digits
        return offset, step / 10.0**digits

    def round_up(self, bound: float) -> float:
        """The least cost of a path (without the constant) that is not below a bound."""
        offset, step = self.grid
        if step == 0 or not math.isfinite(bound):
            return bound
        return offset + step * math.ceil((bound - offset) / step - ROUNDING)


def _are_whole(values: FloatArray) -> bool:
    near = np.abs(values - np.round(values)) <= DECIMAL_ERROR * np.maximum(1.0, np.abs(values))
    return bool(near.all()) and float(np.abs(values).max(initial=0.0)) < 2.0**50


def _finite_min(values: FloatArray, axis: int) -> FloatArray:
    least = values.min(axis=axis)
    return np.where(np.isfinite(least), least, 0.0)


def _through(before: BoolArray) -> BoolArray:
    """(N, N) whether some node has to come between: i before k before j excludes the step from i to j."""
    counts = before.astype(np.float32) @ before.astype(np.float32)
    return np.asarray(counts > 0)


def path_forms(problem: OrderingProblem) -> list[PathForm]:
    """The orders of a plain problem as paths: one form where it is open, one for each first task where it is closed.

    In a closed order the last step depends on the first task, which is therefore fixed. Where closing is a step like
    any other and there are no precedences, an order can begin anywhere, and one form is enough.
    """
    if not problem.closed:
        return [_open_form(problem, problem.first, np.zeros(problem.n), problem.before)]
    starts = [t for t in range(problem.n) if not problem.before[:, t].any()]
    if problem.is_free and np.array_equal(problem.close, problem.switch):
        starts = starts[:1]
    forms = []
    for start in starts:
        before = problem.before.copy()
        before[start] = np.arange(problem.n) != start
        first = np.where(np.arange(problem.n) == start, 0.0, np.inf)
        forms.append(_open_form(problem, first, problem.close[:, start], before))
    return forms


def relaxed_form(problem: OrderingProblem) -> PathForm:
    """One form whose paths cost no more than the orders of a plain problem, closed ones included.

    In a closed order ``close[a, b] >= end[a] + start[b]`` with start[b] the least of column b, and end[a] the least of
    what is left of row a, over tasks that can be last and first.
    """
    if not problem.closed or problem.n < 2:
        return path_forms(problem)[0]
    firsts, lasts = (~np.asarray(problem.before.any(axis=axis)) for axis in (0, 1))
    possible = lasts[:, None] & firsts[None, :] & ~np.eye(problem.n, dtype=bool)
    close = np.where(possible, problem.close, np.inf)
    start = close.min(axis=0)
    left = np.where(np.isfinite(close), close - np.where(np.isfinite(start), start, 0.0)[None, :], np.inf)
    return _open_form(problem, start, left.min(axis=1), problem.before)


def _open_form(problem: OrderingProblem, first: FloatArray, last: FloatArray, before: BoolArray) -> PathForm:
    """Paths with these costs of first and last task; a task that is always first or last is an end itself."""
    n = problem.n
    at_start = np.flatnonzero(before.sum(axis=1) == n - 1)
    at_end = np.flatnonzero(before.sum(axis=0) == n - 1) if n > 1 else np.array([], dtype=np.int64)
    head, tail = at_start.tolist() or [ARTIFICIAL], at_end.tolist() or [ARTIFICIAL]
    inner = [t for t in range(n) if t not in (head[0], tail[0])]
    tasks = np.array([*head, *inner, *tail], dtype=np.int64)
    size = len(tasks)
    real = tasks != ARTIFICIAL
    cost = np.full((size, size), np.inf)
    cost[np.ix_(real, real)] = problem.switch[np.ix_(tasks[real], tasks[real])]
    order = np.zeros((size, size), dtype=bool)
    order[np.ix_(real, real)] = before[np.ix_(tasks[real], tasks[real])]
    order[0, 1:], order[:-1, -1] = True, True
    constant = 0.0
    if real[0]:
        constant += float(first[tasks[0]])
    else:
        cost[0, real] = first[tasks[real]]
    if real[-1]:
        constant += float(last[tasks[-1]])
    else:
        cost[real, -1] = last[tasks[real]]
    unusable = order.T | _through(order) | np.eye(size, dtype=bool)
    return PathForm(cost=np.where(unusable, np.inf, cost), before=order, tasks=tasks, constant=constant)
