"""Which candidates, and which tasks in them, a choice that is better than a known one can use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.judged import loosened
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.selection import SelectionProblem


@dataclass(frozen=True, eq=False, kw_only=True)
class Useful:
    """Candidates that a best choice may need, in the order of the problem.

    Parameters
    ----------
    candidates
        (m',) their positions in the problem.
    score
        (m', n) as in the problem.
    cost
        (m',) their costs.
    room
        The budget, with the tolerance of the cost model.
    most
        Largest number of them.
    least
        (n,) least score of each task; infinite where no candidate serves it.
    worst
        Largest sum of scores, by a limit on the loss, with the tolerance of the cost model; infinite without one.
    """

    candidates: IntArray
    score: FloatArray
    cost: FloatArray
    room: float
    most: int
    least: FloatArray
    worst: float

    def usable(self, value: float | None) -> np.ndarray:
        """(m', n) whether a task may take a candidate in a choice of at most this value (None: any that is allowed).

        All other tasks take at least their least scores.
        """
        finite = np.isfinite(self.score)
        most = self.worst if value is None else min(value, self.worst)
        return finite if math.isinf(most) else finite & (self.score - self.least <= self.above_least(most))

    def above_least(self, value: float) -> float:
        """A value less the least scores of all tasks, rounded up."""
        slack = 1e-9 * (abs(value) + float(np.abs(self.least).sum()))
        return value - float(self.least.sum()) + slack


def useful(problem: SelectionProblem) -> Useful:
    """Without candidates that no budget pays for, and those that another one replaces at no more cost and loss.

    O(m^2 n).
    """
    room = loosened(problem.budget)
    kept = np.flatnonzero(problem.cost <= room)
    score, cost = problem.score[kept], problem.cost[kept]
    alive = np.ones(len(kept), dtype=bool)
    for c in range(len(kept)):
        better = alive & (cost <= cost[c]) & (score <= score[c]).all(axis=1)
        better[c] = False
        alive[c] = not better.any()
    score, cost = score[alive], cost[alive]
    least = score.min(axis=0, initial=np.inf) if len(score) else np.full(problem.n, np.inf)
    return Useful(
        candidates=kept[alive],
        score=score,
        cost=cost,
        room=room,
        most=problem.most,
        least=least,
        worst=loosened(problem.limits.get("loss", math.inf)),
    )
