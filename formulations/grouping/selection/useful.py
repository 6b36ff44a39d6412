"""Which candidates, and which tasks in them, a choice that is better than a known one can use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.objectives import TOLERANCE
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
    """

    candidates: IntArray
    score: FloatArray
    cost: FloatArray
    room: float
    most: int
    least: FloatArray

    def usable(self, value: float | None) -> np.ndarray:
        """(m', n) whether a task may take a candidate in a choice of at most this value (None: any).

        All other tasks take at least their least scores.
        """
        finite = np.isfinite(self.score)
        if value is None:
            return finite
        extra = self.score - self.least
        slack = 1e-9 * (abs(value) + float(np.abs(self.least).sum()))
        return finite & (extra <= value - float(self.least.sum()) + slack)


def useful(problem: SelectionProblem) -> Useful:
    """Without candidates that no budget pays for, and those that another one replaces at no more cost and loss.

    O(m^2 n).
    """
    room = problem.budget + TOLERANCE * abs(problem.budget) + 1e-12
    kept = np.flatnonzero(problem.cost <= room)
    score, cost = problem.score[kept], problem.cost[kept]
    alive = np.ones(len(kept), dtype=bool)
    for c in range(len(kept)):
        better = alive & (cost <= cost[c]) & (score <= score[c]).all(axis=1)
        better[c] = False
        alive[c] = not better.any()
    score, cost = score[alive], cost[alive]
    least = score.min(axis=0, initial=np.inf) if len(score) else np.full(problem.n, np.inf)
    return Useful(candidates=kept[alive], score=score, cost=cost, room=room, most=problem.most, least=least)
