"""The default solver of grouping."""

from __future__ import annotations

import math

from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.bounds import grouping_bounds, limit_out_of_reach
from dnnplan.formulations.grouping.criteria import criteria_of
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.grouping.cpsat import solve_grouping_cpsat
from dnnplan.solvers.grouping.enumeration import KERNEL as ENUMERATION_KERNEL
from dnnplan.solvers.grouping.enumeration import can_enumerate, enumerate_graphs, search_first
from dnnplan.solvers.grouping.lattice import MOST_TASKS
from dnnplan.solvers.grouping.local_search import beside, improve_graph
from dnnplan.solvers.grouping.reasons import least_breaks, reason
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

BOUND_KERNEL = "dnnplan.formulations.grouping.bounds_kernels:least_by_width"
COMPILER_SECONDS, LOADING_SECONDS = 25.0, 2.0
"""Time left from which waiting is worth it for the compiler of the bounds, and for code compiled before."""
FIRST_PART, FIRST_SECONDS, FEASIBLE_SECONDS = 0.1, 6.0, 1.0
"""Part of the time for the first local search, its longest, and that where nothing is known that keeps the limits."""
MODEL_TASKS, MODEL_PART, MODEL_FIRST = 16, 0.6, 0.25
"""Tasks up to which the exact model has a part of the time that the bounds leave, how large it is, and the part that it
has before anything else where the enumeration would have to be compiled first."""


class Auto:
    """Simple task graphs, then all partitions of a few tasks; with more, local search, bounds and the exact model.

    Few tasks are proven by `enumeration`. With more, local search goes first and last, and bounds between say how
    good it is; up to `MODEL_TASKS` tasks CP-SAT has a part of the time. Where the time limit does not allow for
    compiled code, CP-SAT has all of it.
    """

    summary = "default: enumeration of a few tasks, else local search, bounds and CP-SAT"
    capabilities = Capabilities(problem="grouping", exact=True, bounds=True, objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Until the limits, or until nothing is left to try (a minute each of search and model, without limits)."""
        propose_simple_graphs(problem, search)
        if cannot_be_kept(problem, search):
            return
        search.improve_bound(float(criteria_of(problem).constant[0]), "stem and heads")
        waits = problem.n <= MOST_TASKS and not is_compiled(search)
        # The model may be done before the compiler is.
        if waits and solve_grouping_cpsat(problem, search, part_of(search, MODEL_FIRST)):
            return
        if can_enumerate(problem, search):
            search_first(problem, search)
            if enumerate_graphs(problem, search):
                return
        first = min(FIRST_SECONDS, part_of(search, FIRST_PART))
        improve_graph(problem, search, min(FEASIBLE_SECONDS, first) if search.best is None else first)
        with beside(problem, search):
            report_bounds(problem, search)
        if search.finished():
            return
        if problem.n <= MODEL_TASKS and solve_grouping_cpsat(problem, search, part_of(search, MODEL_PART)):
            return
        improve_graph(problem, search)
        if not search.finished():
            solve_grouping_cpsat(problem, search, part_of(search, 1.0))


def part_of(search: TaskSearch[GroupingProblem], part: float) -> float:
    """A part of the time that is left, of the work where that is limited, or of a minute where nothing is."""
    if search.settings.work_limit is not None:
        return part * search.remaining_work
    return part * UNLIMITED_SECONDS if math.isinf(search.remaining) else search.share(part)


def is_compiled(search: TaskSearch[GroupingProblem]) -> bool:
    """Whether the enumeration was compiled before, on this machine."""
    return worth_waiting(search, ENUMERATION_KERNEL, math.inf, LOADING_SECONDS)


def cannot_be_kept(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> bool:
    """Whether the least possible value of some measure is above its limit; the search is told."""
    if search.best is not None:
        return False
    broken = [text for name in problem.limits if (text := least_breaks(problem, name))]
    if broken:
        search.infeasible = broken[0]
    return bool(broken)


def report_bounds(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
    """Report lower bounds, from the quick ones to the strong ones, until one proves the incumbent."""
    if not worth_waiting(search, BOUND_KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
        return
    if search.best is None and limit_out_of_reach(problem, lambda: not search.finished()):
        search.infeasible = reason(problem)
        return
    for bound in grouping_bounds(problem, lambda: not search.finished()):
        if math.isfinite(bound.value):
            search.improve_bound(bound.value, bound.name)
        elif search.best is None:
            search.infeasible = reason(problem)
        if search.finished():
            return
