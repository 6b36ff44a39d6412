"""Exact search for the whole plan: all task graphs, or one model of everything."""

from __future__ import annotations

from dnnplan.costs.whole import WholeProblem
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.task_graphs import can_enumerate, solve_task_graphs


def solve_whole_exactly(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
    """Search until optimality is proven or the limits are reached."""
    if can_enumerate(problem):
        solve_task_graphs(problem, search)
