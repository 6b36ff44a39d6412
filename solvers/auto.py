"""The default: bounds and fast heuristics, then exact search, then what is left goes to local search."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.solvers.back_ends import attempt
from dnnplan.solvers.exact.cpsat import solve_exactly
from dnnplan.solvers.lists.lp_guided import relax_and_guide
from dnnplan.solvers.local.host_search import searches_host
from dnnplan.solvers.local.through_host import plan_through_host
from dnnplan.solvers.local.turns import improve_for, take_turns
from dnnplan.solvers.placement.device_placement import solve_device_placement
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

EXACT_SMALL, EXACT_ALONE, EXACT_AT_ALL = 600, 1_200, 2_000
"""Possible (layer, device) pairs up to which CP-SAT gets nearly all of the time that is left, most of it, or a part."""
SMALL_SHARE, ALONE_SHARE, PART_SHARE = 0.9, 0.75, 0.4
"""These shares; all of it where no compiled search could use the rest."""

EXACT_FIRST, FIRST_SHARE = 600, 0.2
"""Pairs up to which CP-SAT comes before anything that has to be compiled or loaded, and its share then."""


class Auto:
    """Bounds, list schedules and local search first; CP-SAT with a complete hint; then windows and local search.

    Returns the best checked plan with the best bound that any of them proved.
    """

    summary = "bounds, heuristics, exact search and local search in turn (the default)"
    capabilities = Capabilities(exact=True, bounds=True, calls=True, objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Until optimality is proven or the limits are reached."""
        if solve_device_placement(problem, search):
            return
        bound = objective_bound(problem)
        search.improve_bound(bound.value, bound.name)
        propose_simple_plans(problem, search)
        if search.finished():
            return
        if searches_host(problem) and search.best is not None:
            plan_through_host(problem, search)
            return
        size = problem.choices
        if size <= EXACT_FIRST:
            attempt(
                search, lambda: solve_exactly(problem, search, time_limit=FIRST_SHARE * time_left(search))
            )
            if search.finished():
                return
        improved = improve_for(
            problem,
            search,
            min(0.1 * search.remaining, 0.005 * size),
            min(0.1 * search.remaining_work, 1e-3 * size),
        )
        attempt(search, lambda: relax_and_guide(problem, search))
        if search.finished():
            return
        if size <= EXACT_AT_ALL:
            share = SMALL_SHARE if size <= EXACT_SMALL else ALONE_SHARE if size <= EXACT_ALONE else PART_SHARE
            share = share if improved else 1.0
            attempt(search, lambda: solve_exactly(problem, search, time_limit=share * time_left(search)))
        take_turns(problem, search)


def time_left(search: Search) -> float:
    """Seconds that are left, or units of work under a work limit."""
    return search.remaining_work if search.settings.work_limit is not None else search.remaining
