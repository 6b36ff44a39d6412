"""Exact grouping of a few tasks: all partitions, with bounds."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import Criteria, criteria_of
from dnnplan.instances.result import GAP_TOLERANCE
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.grouping.labels import ROUNDING, Labels
from dnnplan.solvers.grouping.lattice import MOST_TASKS, Lattice, lattice_of, level_costs
from dnnplan.solvers.grouping.local_search import improve_graph
from dnnplan.solvers.grouping.reasons import reason
from dnnplan.solvers.grouping.relaxation import Priced, dual_prices
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

KERNEL = "dnnplan.solvers.kernels.partition_labels:extend"
COMPILER_SECONDS, LOADING_SECONDS = 25.0, 2.0
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
MOST_TASKS_SECONDS = 8.0
"""Time left from which the largest number of tasks is worth a try."""
PRICES = 4
"""Prices besides those of single sums that bound labels."""
SEARCHED_TASKS, SEARCH_SECONDS = 9, 0.4
"""Tasks from which a local search comes first, since a good task graph saves labels, and its seconds."""
EXACT = 1e-9
"""Relative gap up to which an answer is looked at again, so that it is best to the last digit."""


class Enumeration:
    """Exact for at most `MOST_TASKS` tasks: a dynamic programme over chains of partitions, limits relaxed first.

    All measures are sums over branch points of something that depends on the partition alone. Without limits a task
    graph is a shortest path through the lattice of partitions, branch point after branch point. With limits the same
    path at the best prices of the limits gives a bound and task graphs, and labels (vectors of the objective and the
    limited sums, Martins 1984) close what is left between them.
    """

    summary = f"exact up to {MOST_TASKS} tasks: dynamic programme over all partitions"
    capabilities = Capabilities(problem="grouping", exact=True, bounds=True, objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, then all of them; with more tasks the simple ones are all it has."""
        propose_simple_graphs(problem, search)
        if can_enumerate(problem, search):
            search_first(problem, search)
            enumerate_graphs(problem, search)


def can_enumerate(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> bool:
    """Whether there are few enough tasks, and the time left allows for loading or compiling the kernels."""
    if problem.n > MOST_TASKS or search.finished():
        return False
    if problem.n == MOST_TASKS and search.remaining < MOST_TASKS_SECONDS:
        return False
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def search_first(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
    """A short local search, where there are so many partitions that a good task graph saves more time."""
    if problem.n >= SEARCHED_TASKS:
        improve_graph(
            problem, search, min(SEARCH_SECONDS, 0.1 * min(search.remaining, search.remaining_work))
        )


def enumerate_graphs(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> bool:
    """Find the best task graph, or prove that there is none; False if limits of the search came before."""
    if problem.levels == 0:
        search.propose(())
        return _settle(problem, search)
    criteria, lattice = criteria_of(problem), lattice_of(problem.n)
    costs = level_costs(problem, criteria, lattice)
    relaxed = dual_prices(
        lattice,
        costs,
        criteria.limit - criteria.constant,
        lambda one: _report(problem, search, criteria, lattice, one),
    )
    if over(search):
        return search.proved
    labels = Labels(lattice, costs, _bounding(relaxed, len(criteria.limit)))
    if not labels.run(labels.thresholds(corner(criteria, search.value)[None]), lambda: not over(search)):
        return False
    for label in labels.best():
        search.propose(lattice.groups(labels.chain(label)))
    return _settle(problem, search)


def over(search: TaskSearch[GroupingProblem]) -> bool:
    """Whether to end: at the limits of the search, or with a gap of 0; a small gap does only if it was asked for."""
    if not search.finished():
        return False
    close = search.infeasible is None and search.gap is not None and search.gap > EXACT
    asked = search.settings.gap > GAP_TOLERANCE
    limited = search.interrupted or search.remaining <= 0 or search.remaining_work <= 0
    return asked or limited or not close


def corner(criteria: Criteria, value: float | None) -> FloatArray:
    """(C,) what a task graph must stay below to be better than a value and to keep all limits."""
    found = criteria.limit - criteria.constant
    found = found + ROUNDING * (1.0 + np.abs(criteria.limit))
    better = np.inf if value is None else value - 10 * ROUNDING * abs(value)
    found[0] = better - criteria.constant[0]
    # No sum is infinite, and prices of 0 must not meet infinite thresholds.
    return np.minimum(found, np.finfo(float).max / 1e8)


def _report(
    problem: GroupingProblem,
    search: TaskSearch[GroupingProblem],
    criteria: Criteria,
    lattice: Lattice,
    one: Priced,
) -> bool:
    """Propose a chain, and report its bound if it is one on the objective; False if the search is over."""
    search.propose(lattice.groups(one.chain))
    if one.price[0] == 1.0:
        least = one.value - float(one.price[1:] @ (criteria.limit - criteria.constant)[1:])
        spent = np.abs(one.price[1:] * criteria.limit[1:]).sum()
        bound = least - ROUNDING * (abs(least) + float(spent)) + criteria.constant[0]
        search.improve_bound(max(0.0, float(bound)), "relaxed limits")
    return not over(search)


def _bounding(relaxed: list[Priced], sums: int) -> list[Priced]:
    """The chains whose prices bound labels: those of single sums, and the best ones."""
    return [*relaxed[:sums], *relaxed[max(sums, len(relaxed) - PRICES) :]]


def _settle(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> bool:
    """Everything was looked at: what was found is best, or there is nothing to find."""
    if search.value is None:
        search.infeasible = reason(problem)
    else:
        search.improve_bound(search.value, "all partitions")
    return True
