"""Exact serving with CP-SAT and MILP."""

from __future__ import annotations

import math
from typing import Any

from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.formulations.serving.bounds import serving_bounds
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.exact.milp_tasks import TaskMilpParameters, TaskProgramme, run_task_programme
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.constructive import propose_simple

STRATEGIES = ("max_lp", "reduced_costs")
"""What samples wait for each other shows in the linear relaxation, not in propagation."""


class CpSat:
    """The formulation of `dnnplan.formulations.serving.cpsat`, solved by OR-Tools CP-SAT."""

    summary = "exact: constraint programming with OR-Tools CP-SAT; some ten samples, any number of devices"
    capabilities = Capabilities(problem="serving", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """Simple plans, then CP-SAT until the limits.

        Raises
        ------
        UnsupportedError
            Costs of parked samples, or too many operations.
        """
        propose_simple(problem, search)
        improve_bounds(problem, search)
        if not search.finished():
            solve_cpsat(problem, search)


class Milp:
    """The formulation of `dnnplan.formulations.serving.milp`, solved by HiGHS or any solver that PuLP knows."""

    summary = "exact: mixed-integer programming with HiGHS, or any solver that PuLP knows; some ten samples"
    capabilities = Capabilities(problem="serving", exact=True, bounds=True, objectives=OBJECTIVES)

    def __init__(self, parameters: TaskMilpParameters | None = None) -> None:
        self.parameters = parameters or TaskMilpParameters()

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """Simple plans, then the MILP until the limits; errors are those of `CpSat`."""
        propose_simple(problem, search)
        improve_bounds(problem, search)
        if not search.finished():
            run_task_programme(lambda: _build(problem, search), search, self.parameters.backend)


def improve_bounds(problem: OfflineServing, search: TaskSearch[Any]) -> None:
    """Report the bounds of `dnnplan.formulations.serving.bounds`."""
    for bound in serving_bounds(problem):
        search.improve_bound(bound.value, bound.name)
        if search.finished():
            return


def solve_cpsat(problem: OfflineServing, search: TaskSearch[Any], seconds: float = math.inf) -> bool:
    """Build the model, hint the incumbent, run CP-SAT; whether nothing is left to do."""
    from dnnplan.formulations.serving.cpsat import build, extract, hint

    v = build(problem)
    if search.best is not None:
        hint(v, search.best.decisions)
    built = TaskModel(
        model=v.model,
        unit=v.unit,
        constant=v.constant,
        extract=lambda value: extract(v, value),
        answers="plan",
        strategies=STRATEGIES[: search.settings.workers],
    )
    return run_task_model(built, search, seconds)


def _build(problem: OfflineServing, search: TaskSearch[Any]) -> TaskProgramme | None:
    from dnnplan.formulations.serving.milp import build, extract

    v = build(problem, keep_going=lambda: not search.finished())
    if v is None:
        return None
    return TaskProgramme(
        pulp=v.model,
        unit=v.unit,
        constant=v.constant,
        largest=v.largest,
        least=0.0,
        extract=lambda values: extract(v, values),
        answers="plan",
    )
