"""Choosing networks by a dynamic programme over sets of tasks."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.formulations.grouping.selection.useful import Useful, useful
from dnnplan.solvers.grouping.selection_labels import choose_within_budget
from dnnplan.solvers.grouping.selection_limits import covers, explain
from dnnplan.solvers.grouping.selection_sets import MOST_TASKS, least_by_number, partition, sums_over_sets
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

MOST_SETS = 16
"""Tasks beyond which even asking for it does not list their sets."""


class Subsets:
    """Which candidate serves which set of tasks, set by set; exact.

    In a best choice every task takes one candidate, so the tasks fall into at most as many sets as candidates are
    chosen, and each set has the candidate that is best for its sum:

        best(k, S) = min over parts T of S with its first task of  min over c of score(c, T) + best(k - 1, S without T).

    O(3^n k) for n tasks and k candidates chosen, and O(2^n m) for the best of m candidates for each set. Under a budget
    `best` is the set of all partial choices that no other one beats (`selection_labels`).
    """

    summary = "exact: dynamic programme over sets of tasks (up to 16 tasks)"
    capabilities = Capabilities(problem="selection", exact=True, bounds=True, objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Find the best choice, or why there is none."""
        if covers(problem, search) and problem.n <= MOST_SETS:
            solve_by_subsets(problem, search)


def suits_subsets(problem: SelectionProblem) -> bool:
    """Whether the sets of tasks are few enough to be listed at once."""
    return problem.n <= MOST_TASKS


def solve_by_subsets(problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> bool:
    """Report the best choice and its value as the bound; False if limits, or too many partial choices, came first."""
    candidates = useful(problem)
    if not np.isfinite(candidates.least).all():
        found: tuple[int, ...] | None = ()
    elif float(candidates.cost.sum()) <= candidates.room:
        found = _choose(candidates, problem.n)
    else:
        weight = problem.stages[0][0][1]
        value = None if search.value is None else search.value / weight
        found = choose_within_budget(candidates, value, search.finished)
    if found is None:
        return False
    if not found:
        if search.best is None:
            search.infeasible = explain(problem)
        return True
    judged = problem.judge(found)
    search.accept(judged)
    search.improve_bound(judged.value - rounding(candidates) * problem.stages[0][0][1], "sets of tasks")
    if search.best is None:
        # The least loss is above its limit.
        search.infeasible = explain(problem)
    return True


def _choose(candidates: Useful, n: int) -> tuple[int, ...]:
    """The best choice without a budget; empty if none serves all tasks."""
    sums = sums_over_sets(candidates.score)
    best, part = least_by_number(sums.min(axis=0), min(candidates.most, n))
    number = int(np.argmin(best[:, -1]))
    if not np.isfinite(best[number, -1]):
        return ()
    chosen = {int(np.argmin(sums[:, tasks])) for tasks in partition(part, number)}
    return tuple(sorted(int(candidates.candidates[c]) for c in chosen))


def rounding(candidates: Useful) -> float:
    """By how much a better choice may have been missed for the rounding of sums; whole numbers are exact."""
    finite = candidates.score[np.isfinite(candidates.score)]
    largest = float(np.abs(finite).max(initial=0.0))
    if largest < 2.0**48 and bool(np.all(finite == np.round(finite))):
        return 0.0
    return float(4.0 * candidates.score.shape[1] * np.finfo(float).eps * largest)
