"""Orders as paths from an artificial first node to an artificial last one: what searches and bounds work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import FloatArray, IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Path:
    """Paths through all of N = n + 2 nodes: node 0 first, tasks 1 to n, node n + 1 last.

    Parameters
    ----------
    cost
        (N, N) cost of the column's node right after the row's; infinite where that is not allowed.
    before
        (N, N) whether the row's node has to come before the column's; transitively closed.
    """

    cost: FloatArray
    before: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of nodes, the artificial ones included."""
        return len(self.cost)


def paths(problem: OrderingProblem) -> Iterator[Path]:
    """The orders of a problem as paths: one family where it is open, one for each first task where it is closed.

    In a closed order the last step depends on the first task, so that this one is fixed. Where closing is a step
    like any other and nothing has to come before anything, an order can begin anywhere, and one family is enough.
    """
    if not problem.closed:
        yield path_of(problem, problem.first, np.zeros(problem.n))
        return
    starts = [t for t in range(problem.n) if not problem.before[:, t].any()]
    if turns(problem):
        starts = starts[:1]
    for start in starts:
        first = np.full(problem.n, np.inf)
        first[start] = 0.0
        yield path_of(problem, first, problem.close[:, start])


def turns(problem: OrderingProblem) -> bool:
    """Whether a closed order costs the same from wherever it starts: closing is a step like any other."""
    return problem.is_free and bool(np.array_equal(problem.close, problem.switch))


def path_of(problem: OrderingProblem, first: FloatArray, last: FloatArray) -> Path:
    """The family of paths with these costs of the first and after the last task."""
    n = problem.n
    cost = np.full((n + 2, n + 2), np.inf)
    cost[1:-1, 1:-1] = problem.switch
    cost[0, 1:-1], cost[1:-1, -1] = first, last
    before = np.zeros((n + 2, n + 2), dtype=bool)
    before[1:-1, 1:-1] = problem.before
    before[0, 1:], before[:-1, -1] = True, True
    only = np.flatnonzero(np.isfinite(first))
    if len(only) == 1:
        # The one task that can be first comes before all others.
        others = np.arange(n) != only[0]
        before[1 + only[0], 1:-1] |= others
    np.fill_diagonal(cost, np.inf)
    cost[before.T] = np.inf
    cost[_skips(before)] = np.inf
    return Path(cost=cost, before=before)


def _skips(before: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Steps over a node that has to come between: i before k before j excludes j right after i."""
    counts = before.astype(np.float32) @ before.astype(np.float32)
    return np.asarray(counts > 0)


def closure_lists(before: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Rows of a relation one after the other: where each begins, and its members."""
    start = np.zeros(len(before) + 1, dtype=np.int64)
    np.cumsum(before.sum(axis=1), out=start[1:])
    return start, np.nonzero(before)[1].astype(np.int64)
