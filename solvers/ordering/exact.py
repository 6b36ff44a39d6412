"""Exact ordering with CP-SAT and MILP."""

from __future__ import annotations

import math

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.exact.milp_tasks import TaskMilpParameters, TaskProgramme, run_task_programme
from dnnplan.solvers.ordering.constructive import nearest_orders
from dnnplan.solvers.ordering.depth_first import repaired
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

OBJECTIVES = ("switching", "expected", "energy")


class CpSat:
    """The formulation of `dnnplan.formulations.ordering.cpsat`, solved by OR-Tools CP-SAT."""

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(problem="ordering", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Simple orders, then CP-SAT until the limits.

        Raises
        ------
        UnsupportedError
            A memory for things of different sizes or in a closed order, or too many sets of tasks that can run.
        """
        propose_listed(problem, search)
        if not search.finished():
            solve_order_cpsat(problem, search)


class Milp:
    """The formulation of `dnnplan.formulations.ordering.milp`, solved by HiGHS or any solver that PuLP knows."""

    summary = "exact: mixed-integer programming with HiGHS, or any solver that PuLP knows; up to 40 tasks"
    capabilities = Capabilities(problem="ordering", exact=True, bounds=True, objectives=OBJECTIVES)

    def __init__(self, parameters: TaskMilpParameters | None = None) -> None:
        self.parameters = parameters or TaskMilpParameters()

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Simple orders, then the MILP until the limits; errors are those of `CpSat`, and more than 40 tasks."""
        propose_listed(problem, search)
        if not search.finished():
            run_task_programme(lambda: _build(problem, search), search, self.parameters.backend)


def propose_listed(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """The tasks as listed, and nearest neighbours."""
    search.propose(repaired(problem, list(range(problem.n))))
    for order in nearest_orders(problem):
        search.propose(order)


def solve_order_cpsat(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], seconds: float = math.inf
) -> bool:
    """Build the model, hint the incumbent, run CP-SAT; whether nothing is left to do."""
    from dnnplan.formulations.ordering.cpsat import build, extract, hint

    v = build(problem)
    if search.best is not None:
        hint(v, search.best.decisions)
    built = TaskModel(
        model=v.model,
        unit=v.unit,
        constant=0.0,
        extract=lambda value: extract(v, value),
        answers="order",
    )
    return run_task_model(built, search, seconds)


def _build(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> TaskProgramme | None:
    from dnnplan.formulations.ordering.milp import build, extract

    v = build(problem, keep_going=lambda: not search.finished())
    if v is None:
        return None
    return TaskProgramme(
        pulp=v.model,
        unit=v.unit,
        constant=0.0,
        largest=v.largest,
        least=0.0 if v.never_negative else -math.inf,
        extract=lambda values: extract(v, values),
        answers="order",
    )
