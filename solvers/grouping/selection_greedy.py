"""Choosing networks one after the other."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.formulations.grouping.selection.useful import Useful, useful
from dnnplan.solvers.grouping.selection_limits import covers
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


class Greedy:
    """The candidate that helps most, again and again, while the limits allow one; once by its cost, once as it is.

    First what serves most tasks that have no network yet, then what lowers the sum of scores most (Nemhauser, Wolsey
    and Fisher 1978, for sums like this one). Every choice on the way is an answer. O(k m n) for k chosen of m.
    """

    summary = "adds the candidate that helps most, by cost and as it is"
    capabilities = Capabilities(problem="selection", objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Propose both choices."""
        if covers(problem, search):
            propose_greedy(problem, search, useful(problem))


def propose_greedy(
    problem: SelectionProblem, search: TaskSearch[SelectionProblem], candidates: Useful
) -> None:
    """Propose what the greedy rules choose."""
    for by_cost in (True, False):
        chosen: list[int] = []
        for c in _in_turn(candidates, by_cost=by_cost):
            if search.finished():
                return
            chosen.append(int(candidates.candidates[c]))
            search.propose(tuple(chosen))


def _in_turn(candidates: Useful, *, by_cost: bool) -> list[int]:
    """Candidates in the order in which they are added."""
    best = np.full(candidates.score.shape[1], np.inf)
    room = candidates.room
    chosen: list[int] = []
    price = candidates.cost if by_cost else np.ones(len(candidates.cost))
    while len(chosen) < candidates.most:
        newly, gain = _help(candidates.score, best)
        affordable = candidates.cost <= room
        affordable[chosen] = False
        wanted = newly if (newly[affordable] > 0).any() else gain
        worth = np.where(affordable & (wanted > 0), wanted / np.maximum(price, 1e-12), -np.inf)
        if not len(worth) or not np.isfinite(worth.max()):
            break
        # Of candidates that are worth the same the one that lowers scores most.
        ties = np.flatnonzero(worth == worth.max())
        c = int(ties[np.argmax(gain[ties])])
        chosen.append(c)
        room -= float(candidates.cost[c])
        best = np.minimum(best, candidates.score[c])
    return chosen


def _help(score: FloatArray, best: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(m,) tasks that each candidate would serve first, and by how much it would lower the scores of the others."""
    alone = np.isinf(best)
    newly = np.isfinite(score[:, alone]).sum(axis=1).astype(float)
    first = np.where(np.isfinite(score[:, alone]), -score[:, alone], 0.0).sum(axis=1)
    gain = np.maximum(best[~alone] - score[:, ~alone], 0.0).sum(axis=1)
    return newly, np.asarray(gain + (first if alone.any() else 0.0))
