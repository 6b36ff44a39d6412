"""Choosing networks by looking at all choices that can still be best."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.formulations.grouping.selection.useful import Useful, useful
from dnnplan.solvers.grouping.selection_greedy import propose_greedy
from dnnplan.solvers.grouping.selection_limits import covers, explain
from dnnplan.solvers.grouping.selection_subsets import rounding
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

STEPS_PER_WORK = 10_000
"""Choices looked at, each with all that one more candidate makes of it, in a unit of work."""


class Enumeration:
    """Depth-first over candidates, in or out, with two bounds; exact (Standley et al. 2020 choose in this way).

    With scores s of what is chosen, a choice that adds candidates from a list is worth no less than

    - the sum over tasks of the least of s and of all scores in the list;
    - the sum of s less what the candidates lower it by, each alone, in a knapsack of the room that is left, fractions
      allowed, and no more of them than may be added (a set lowers the sum by no more than its members do, one by one).

    The last candidate that may be added is found for all of the list at once. Exponential in the candidates chosen.
    """

    summary = "exact: depth-first over choices of candidates with bounds"
    capabilities = Capabilities(problem="selection", exact=True, bounds=True, objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Greedy choices, then all that may be better."""
        if not covers(problem, search):
            return
        candidates = useful(problem)
        if not np.isfinite(candidates.least).all():
            search.infeasible = explain(problem)
            return
        propose_greedy(problem, search, candidates)
        weight = problem.stages[0][0][1]
        walk = _Walk(candidates, search, np.inf if search.value is None else search.value / weight)
        if not walk.run():
            return
        if search.value is None:
            search.infeasible = explain(problem)
        else:
            search.improve_bound(search.value - weight * rounding(candidates), "enumeration")


class _Walk:
    """A depth-first walk; `value` is the best sum of scores so far."""

    def __init__(self, candidates: Useful, search: TaskSearch[SelectionProblem], value: float) -> None:
        self.search, self.value = search, value
        # Large and good candidates first: the list that is left then has little to offer.
        served = np.isfinite(candidates.score)
        extra = np.where(served, candidates.score - candidates.least, 0.0).sum(axis=1)
        order = np.lexsort((extra, -served.sum(axis=1)))
        self.position: IntArray = candidates.candidates[order]
        self.score, self.cost = candidates.score[order], candidates.cost[order]
        self.room, self.most = candidates.room, candidates.most
        self.rest = np.full((len(order) + 1, candidates.score.shape[1]), np.inf)
        for c in reversed(range(len(order))):
            self.rest[c] = np.minimum(self.rest[c + 1], self.score[c])

    def run(self) -> bool:
        """Walk; False if the limits came first."""
        return self._from(0, np.full(self.score.shape[1], np.inf), self.room, ())

    def _from(self, start: int, best: FloatArray, room: float, chosen: tuple[int, ...]) -> bool:
        """All choices that add candidates from `start` on to what is chosen."""
        if self.search.finished():
            return self.search.proved
        self.search.work += 1.0 / STEPS_PER_WORK
        left = self.most - len(chosen)
        rows = start + np.flatnonzero(self.cost[start:] <= room) if left else np.zeros(0, dtype=np.int64)
        if not len(rows):
            return True
        scores = np.minimum(best, self.score[rows])
        totals = scores.sum(axis=1)
        self._keep(chosen, rows, totals)
        if left == 1:
            return True
        least = np.minimum(scores, self.rest[rows + 1]).sum(axis=1)
        for row, after, bound in zip(rows.tolist(), scores, least.tolist(), strict=True):
            spare = room - float(self.cost[row])
            promising = bound < self.value and self._least(row + 1, after, spare, left - 1) < self.value
            if promising and not self._from(row + 1, after, spare, (*chosen, row)):
                return False
        return True

    def _keep(self, chosen: tuple[int, ...], rows: IntArray, totals: FloatArray) -> None:
        last = int(np.argmin(totals))
        if totals[last] < self.value:
            self.value = float(totals[last])
            picked = (*chosen, int(rows[last]))
            self.search.propose(tuple(sorted(self.position[list(picked)].tolist())))

    def _least(self, start: int, best: FloatArray, room: float, left: int) -> float:
        """A lower bound on what at most `left` candidates from `start` on make of the scores."""
        if not np.isfinite(best).all():
            return -np.inf
        gain = np.maximum(best - self.score[start:], 0.0).sum(axis=1)
        cost = self.cost[start:]
        useful = np.flatnonzero((gain > 0) & (cost <= room))
        gain, cost = gain[useful], cost[useful]
        few = float(np.sort(gain)[::-1][:left].sum())
        ratio = np.argsort(-gain / np.maximum(cost, 1e-300), kind="stable")
        gain, spent = gain[ratio], np.cumsum(cost[ratio])
        whole = int(np.searchsorted(spent, room, side="right"))
        knapsack = float(gain[:whole].sum())
        if whole < len(gain):
            before = float(spent[whole - 1]) if whole else 0.0
            knapsack += float(gain[whole]) * (room - before) / (float(spent[whole]) - before)
        return float(best.sum()) - min(few, knapsack)
