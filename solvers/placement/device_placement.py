"""Problems that `auto` gives to the solvers of device placement: the largest load, and calls with a limit."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.formulations.mapping.calls import path_bound
from dnnplan.solvers.placement.calls import limit_of
from dnnplan.solvers.placement.calls_exact import improve_calls, models, solve_calls_exactly
from dnnplan.solvers.placement.calls_search import anneal_calls_for, propose_splits
from dnnplan.solvers.placement.max_load import is_max_load, solve_max_load
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

EXACT_FIRST = 1_000
"""Layers x calls up to which the whole model of calls comes before annealing."""
FIRST_SHARE, ANNEAL_SHARE = 0.4, 0.7
"""Share of the time of that model, and of annealing in what is left then; the rest is neighbourhoods."""


def solve_device_placement(problem: MappingProblem, search: Search) -> bool:
    """Solve the problem if it is one of device placement; False if others should go on."""
    if "calls_per_device" in problem.limits:
        solve_calls(problem, search)
        return True
    if is_max_load(problem):
        solve_max_load(problem, search)
        return search.best is not None or search.finished()
    return False


def solve_calls(problem: MappingProblem, search: Search) -> None:
    """Bounds, simple plans and splits; the exact model where it is small; annealing; neighbourhoods of calls."""
    bound = objective_bound(problem)
    search.improve_bound(bound.value, bound.name)
    propose_simple_plans(problem, search)
    propose_splits(problem, search)
    latency = problem.stages[0] == (("latency", 1.0),)
    if latency and not search.finished():
        better = path_bound(problem, search.finished)
        search.improve_bound(better.value, better.name)
    if models(problem) and problem.n * problem.m * (limit_of(problem) or 1) <= EXACT_FIRST:
        solve_calls_exactly(problem, search, FIRST_SHARE)
    if search.finished():
        return
    share = ANNEAL_SHARE if models(problem) and search.settings.work_limit is None else 1.0
    anneal_calls_for(problem, search, search.share(share))
    if models(problem):
        improve_calls(problem, search)
