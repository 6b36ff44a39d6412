"""The default: bounds and fast heuristics, then exact search, then what is left goes to local search."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.solvers.anneal import anneal_for, worth_compiling
from dnnplan.solvers.cpsat import CpSat, solve_exactly
from dnnplan.solvers.lns import improve
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

EXACT_ALONE = 1_200
EXACT_AT_ALL = 2_000
PARTS_AT_ALL = 12_000
"""Layers x devices up to which CP-SAT gets all the time that is left, a part of it, or only neighbourhoods."""


class Auto:
    """Bounds, list schedules and annealing first; CP-SAT with a complete hint; then LNS and annealing in turn.

    Returns the best checked plan with the best bound that any of them proved.
    """

    summary = "bounds, heuristics, exact search and local search in turn (the default)"
    capabilities = Capabilities(exact=True, bounds=True, objectives=CpSat.capabilities.objectives)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Until optimality is proven or the limits are reached."""
        bound = objective_bound(problem)
        if bound is not None:
            search.improve_bound(bound.value, bound.name)
        propose_simple_plans(problem, search)
        if search.finished():
            return
        size = problem.n * problem.m
        anneals = problem.execution.memory != "live" and worth_compiling(search)
        if anneals:
            anneal_for(problem, search, min(0.1 * search.remaining, 0.002 * size))
        if search.finished():
            return
        if size <= EXACT_ALONE:
            solve_exactly(problem, search)
            return
        if size <= EXACT_AT_ALL:
            solve_exactly(problem, search, time_limit=0.5 * search.remaining)
        if anneals and not search.finished():
            anneal_for(problem, search, 0.4 * search.remaining)
        if size <= PARTS_AT_ALL:
            improve(problem, search)
        elif anneals:
            anneal_for(problem, search, search.remaining)
