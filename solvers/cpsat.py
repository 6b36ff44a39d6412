"""Exact mapping and scheduling with CP-SAT."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

log = logging.getLogger("dnnplan")
RESOLUTION = 1e8
"""Ticks in the value of the incumbent: rounding down n layers costs at most n / RESOLUTION of it."""


class CpSat:
    """The formulation of `dnnplan.formulations.mapping.cpsat`, solved by OR-Tools CP-SAT.

    Starts from simple plans, hints all variables of the best one, and reports each plan and bound as it comes.
    """

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(
        exact=True, bounds=True, objectives=("latency", "energy", "traffic", "weighted_completion", "tardiness")
    )

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Bounds, simple plans, then CP-SAT until the limits."""
        bound = objective_bound(problem)
        if bound is not None:
            search.improve_bound(bound.value, bound.name)
        propose_simple_plans(problem, search)
        if not search.finished():
            solve_exactly(problem, search)


def choose_tick(problem: MappingProblem, search: Search) -> float:
    """Seconds in a tick: 1 if all times are whole seconds, else so that rounding costs next to nothing."""
    times = [problem.duration, problem.release, problem.move, problem.load]
    whole = all(bool(np.all(np.mod(t[np.isfinite(t)], 1.0) == 0)) for t in times)
    longest = sum(float(t[np.isfinite(t)].max(initial=0.0)) for t in times)
    if whole and longest * max(problem.n, 1) < RESOLUTION:
        return 1.0
    latency = search.best.cost.latency if search.best is not None else longest * max(problem.n, 1)
    return latency / RESOLUTION if latency > 0 else 1.0


def solve_exactly(
    problem: MappingProblem, search: Search, *, time_limit: float | None = None, presolve: bool = True
) -> None:
    """Build the model, hint the incumbent, and run CP-SAT until the limits of the search."""
    from ortools.sat.python import cp_model  # noqa: PLC0415

    from dnnplan.formulations.mapping.cpsat import build, extract, hint  # noqa: PLC0415

    tick = choose_tick(problem, search)
    latency_only = problem.stages[0] == (("latency", 1.0),)
    horizon = search.best.cost.latency if search.best is not None and latency_only else None
    variables = build(problem, tick, horizon=horizon, keep_going=lambda: not search.finished())
    if variables is None:
        return
    if search.best is not None and not hint(variables, search.best.decisions):
        log.debug("the incumbent does not fit the rounded model; no hint")
    solver = cp_model.CpSolver()
    _set_parameters(solver, search, time_limit, presolve)
    reports = _Reports(search, variables.unit)

    class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
        def on_solution_callback(self) -> None:
            reports.plan(extract(problem, variables, self.value))

    solver.best_bound_callback = reports.bound
    status = _run_in_thread(lambda: solver.solve(variables.model, Watch()), solver.stop_search, reports, search)
    reports.flush()
    search.work += solver.deterministic_time if hasattr(solver, "deterministic_time") else 0.0
    name = solver.status_name(status)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        search.improve_bound(_safe_bound(solver.best_objective_bound, variables.unit), "CP-SAT")
    elif status == cp_model.INFEASIBLE:
        _infeasible(problem, search, presolve)
    elif status == cp_model.MODEL_INVALID:
        raise AssertionError(f"CP-SAT refuses the model: {variables.model.validate()}")
    log.debug("CP-SAT ended: %s, %s", name, solver.response_stats())


def _safe_bound(bound: float, unit: float) -> float:
    return math.ceil(bound - 1e-6) * unit * (1 - 1e-12)


def _infeasible(problem: MappingProblem, search: Search, presolve: bool) -> None:
    """Believe INFEASIBLE only without a plan, and only if the search without presolve agrees.

    CP-SAT has reported feasible models infeasible (google/or-tools #4546, #4370, #4426, #5274).
    """
    if search.best is not None:
        log.warning("CP-SAT says infeasible, yet there is a checked plan; solving again without presolve")
        if presolve:
            solve_exactly(problem, search, presolve=False)
    elif presolve:
        solve_exactly(problem, search, presolve=False)
    else:
        search.infeasible = "no plan keeps all constraints and limits (proved by CP-SAT, with and without presolve)"


def _set_parameters(solver: object, search: Search, time_limit: float | None, presolve: bool) -> None:
    parameters = solver.parameters  # type: ignore[attr-defined]
    limit = min(search.remaining, math.inf if time_limit is None else time_limit)
    if math.isfinite(limit):
        parameters.max_time_in_seconds = max(limit, 0.01)
    if math.isfinite(search.remaining_work):
        parameters.max_deterministic_time = search.remaining_work
    parameters.num_workers = search.settings.workers
    parameters.random_seed = search.settings.seed
    parameters.relative_gap_limit = search.settings.gap / 2
    parameters.cp_model_presolve = presolve
    parameters.catch_sigint_signal = False


class _Reports:
    """Plans and bounds that CP-SAT finds, handed to the search from the thread that started it."""

    def __init__(self, search: Search, unit: float) -> None:
        self.search, self.unit = search, unit
        self.lock = threading.Lock()
        self.plans: list[Decisions] = []
        self.best_bound = -math.inf

    def plan(self, decisions: Decisions) -> None:
        with self.lock:
            self.plans.append(decisions)

    def bound(self, value: float) -> None:
        with self.lock:
            self.best_bound = max(self.best_bound, value)

    def flush(self) -> None:
        with self.lock:
            plans, self.plans = self.plans, []
            bound = self.best_bound
        for decisions in plans[-3:]:
            self.search.propose(decisions)
        if math.isfinite(bound):
            self.search.improve_bound(_safe_bound(bound, self.unit), "CP-SAT")


def _run_in_thread(
    work: Callable[[], int], stop: Callable[[], None], reports: _Reports, search: Search
) -> int:
    """Run the native search beside this thread, which stays free for Ctrl-C, limits and reports."""
    outcome: list[int] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001
            failure.append(error)

    thread = threading.Thread(target=target, name="cp-sat", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
            reports.flush()
            if search.finished():
                stop()
                thread.join()
    except KeyboardInterrupt:
        search.interrupted = True
        stop()
        thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
