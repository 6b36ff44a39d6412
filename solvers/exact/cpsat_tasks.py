"""CP-SAT on a model of task graphs, orders or choices of networks, reporting to a search."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnnplan.instances import SolverError
from dnnplan.solvers.exact.cpsat import Limits, set_parameters
from dnnplan.solvers.exact.cpsat_reports import Reports, run_in_thread, safe_bound
from dnnplan.solvers.search import TaskSearch

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

log = logging.getLogger("dnnplan")
GRACE = 0.1
"""Seconds beyond the limit of the search, which ends the run itself, so that it is over when CP-SAT is."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TaskModel:
    """A built model.

    Parameters
    ----------
    model
        The model, with hints.
    unit, constant
        Value of one unit of its objective, and what every answer costs beside it.
    extract
        The answer of a solution, from a function that gives the value of a variable.
    answers
        What is looked for, for messages: ``task graph``.
    gap
        Relative gap of the model at which CP-SAT stops; None: that of the search.
    strategies
        Strategies of CP-SAT, by its names, for as many threads; none: its own choice.
    part
        Whether the model leaves answers out, so that its bounds say nothing.
    """

    model: cp_model.CpModel
    unit: float
    constant: float
    extract: Callable[[Callable[[object], int]], Any]
    answers: str
    gap: float | None = None
    strategies: tuple[str, ...] = ()
    part: bool = False


def run_task_model(built: TaskModel, search: TaskSearch[Any], seconds: float = math.inf) -> bool:
    """Run CP-SAT until the limits of the search, at most `seconds` (units of work, where those are limited).

    Returns
    -------
    Whether nothing is left to do: proven optimal or infeasible.
    """
    limits = Limits(min(search.remaining + GRACE, seconds), search.remaining_work)
    if search.settings.work_limit is not None:
        limits = Limits(search.remaining + GRACE, min(search.remaining_work, seconds))
    return _run(built, search, limits, presolve=True)


def _run(built: TaskModel, search: TaskSearch[Any], limits: Limits, *, presolve: bool) -> bool:
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    set_parameters(solver, search.settings, limits, presolve)
    # OR-Tools 9.15 drops literals of enforced rows here, and with them solutions (google/or-tools #5293, #5294).
    solver.parameters.presolve_inclusion_work_limit = 0
    if built.gap is not None:
        solver.parameters.relative_gap_limit = built.gap
    solver.parameters.subsolvers.extend(built.strategies)
    reports = Reports(search, built.unit, built.constant)

    class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
        def on_solution_callback(self) -> None:
            reports.plan(built.extract(self.value))

    if not built.part:
        solver.best_bound_callback = reports.bound
    status = run_in_thread(lambda: solver.solve(built.model, Watch()), solver.stop_search, reports, search)
    reports.flush(ended=True)
    search.work += float(solver.response_proto.deterministic_time)
    if built.part and status != cp_model.MODEL_INVALID:
        return status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        search.improve_bound(safe_bound(solver.best_objective_bound, built.unit, built.constant), "CP-SAT")
    elif status == cp_model.INFEASIBLE:
        _infeasible(built, search, limits, presolve=presolve)
    elif status == cp_model.MODEL_INVALID:
        raise SolverError(f"CP-SAT refuses the model: {built.model.validate()}")
    return status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)


def _infeasible(built: TaskModel, search: TaskSearch[Any], limits: Limits, *, presolve: bool) -> None:
    """Believe INFEASIBLE only without an answer, and only if the search without presolve agrees."""
    if search.best is not None:
        log.warning("CP-SAT says infeasible, yet there is a checked %s; solving again", built.answers)
    if presolve:
        _run(built, search, limits, presolve=False)
    elif search.best is None:
        search.infeasible = f"no {built.answers} keeps all limits (CP-SAT, with and without presolve)"
