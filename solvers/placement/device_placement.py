"""Problems that `auto` gives to the solvers of device placement: the largest load, and calls with a limit."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.solvers.placement.calls_search import solve_calls
from dnnplan.solvers.placement.max_load import is_max_load, solve_max_load
from dnnplan.solvers.search import Search


def solve_device_placement(problem: MappingProblem, search: Search) -> bool:
    """Solve the problem if it is one of device placement; False if others should go on."""
    if "calls_per_device" in problem.limits:
        solve_calls(problem, search)
        return True
    if is_max_load(problem):
        solve_max_load(problem, search)
        return search.best is not None or search.finished()
    return False
