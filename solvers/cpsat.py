"""Exact mapping and scheduling with CP-SAT."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.instances import SolverError
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.cpsat import Variables

log = logging.getLogger("dnnplan")
GRACE, LOADING_SECONDS, BUILDING_SECONDS = 0.2, 0.4, 1e-4
"""Seconds that a limit may be overrun by, that loading OR-Tools takes, and building by layer and device."""
RESOLUTION = 1e8
"""Ticks in the value of the incumbent: rounding down n layers costs at most n / RESOLUTION of it."""


class CpSat:
    """The formulation of `dnnplan.formulations.mapping.cpsat`, solved by OR-Tools CP-SAT.

    Starts from simple plans, hints all variables of the best one, and reports each plan and bound as it comes.
    """

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(
        exact=True,
        bounds=True,
        objectives=("latency", "energy", "traffic", "weighted_completion", "tardiness"),
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


def solve_exactly(problem: MappingProblem, search: Search, *, time_limit: float | None = None) -> None:
    """Build the model, hint the incumbent, and run CP-SAT until the limits of the search.

    Nothing is done where loading OR-Tools and building the model would overrun the time limit for nothing.
    """
    if search.remaining + GRACE < expected_seconds(problem):
        return
    back_end = BackEnd(problem, search, choose_tick(problem, search))
    if back_end.build():
        back_end.solve_whole(time_limit)


def expected_seconds(problem: MappingProblem) -> float:
    """About how long it takes to load OR-Tools, if it is not, and to build the model."""
    loading = 0.0 if "ortools.sat.python.cp_model" in sys.modules else LOADING_SECONDS
    return loading + BUILDING_SECONDS * problem.n * problem.m


class BackEnd:
    """One CP-SAT model of a problem, solved whole or in part, reporting to a search."""

    def __init__(self, problem: MappingProblem, search: Search, tick: float) -> None:
        self.problem, self.search, self.tick = problem, search, tick
        self.variables: Variables | None = None

    def build(self) -> bool:
        """Build the model; False if the limits came first."""
        from dnnplan.formulations.mapping.cpsat import build

        search, problem = self.search, self.problem
        # Better plans end before the incumbent. (Plans for live memory may wait, and keep the loose horizon.)
        bounded = problem.stages[0] == (("latency", 1.0),) and problem.execution.memory != "live"
        horizon = search.best.cost.latency if search.best is not None and bounded else None
        self.variables = build(problem, self.tick, horizon=horizon, keep_going=lambda: not search.finished())
        return self.variables is not None

    def solve_whole(self, time_limit: float | None = None, *, presolve: bool = True) -> None:
        """Search the whole model; bounds count."""
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.cpsat import hint

        v, search = self.variables, self.search
        assert v is not None
        if search.best is not None and not hint(v, search.best.decisions):
            log.debug("the incumbent does not fit the rounded model; no hint")
        status, solver = self._run(v.model, time_limit, presolve=presolve, bounds=True)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            search.improve_bound(_safe_bound(solver.best_objective_bound, v.unit), "CP-SAT")
        elif status == cp_model.INFEASIBLE:
            self._infeasible(presolve)
        elif status == cp_model.MODEL_INVALID:
            raise SolverError(f"CP-SAT refuses the model: {v.model.validate()}")

    def solve_part(self, free: set[int], pairs: list[tuple[int, int]], time_limit: float) -> bool:
        """Search for better plans in which only the `free` layers change; True if the part was exhausted.

        `pairs` are (earlier, later) layers that keep their order on their device.
        """
        from ortools.sat.python import cp_model

        v, best = self.variables, self.search.best
        assert v is not None
        assert best is not None
        model = v.model.clone()

        def twin(variable: cp_model.IntVar) -> cp_model.IntVar:
            return model.get_int_var_from_proto_index(variable.index)

        place = best.decisions.place
        for i, row in enumerate(v.x):
            if i not in free:
                for d, x in row.items():
                    model.add(twin(x) == int(place[i] == d))
        for i, j in pairs:
            model.add(twin(v.start[j]) >= twin(v.end[i]))
        if self.problem.stages[0] == (("latency", 1.0),):
            model.add(twin(v.makespan) <= int(best.cost.latency / self.tick * (1 - 1e-6)))
        status, _ = self._run(model, time_limit, presolve=True, bounds=False)
        return status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)

    def _run(
        self, model: cp_model.CpModel, time_limit: float | None, *, presolve: bool, bounds: bool
    ) -> tuple[int, cp_model.CpSolver]:
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.cpsat import extract

        v, problem = self.variables, self.problem
        assert v is not None
        solver = cp_model.CpSolver()
        _set_parameters(solver, self.search, time_limit, presolve)
        reports = _Reports(self.search, v.unit)

        def report(value: Callable[[object], int]) -> None:
            assert v is not None
            # The variables of a clone have the same indices, and the callback reads by index.
            reports.plan(extract(problem, v, value))

        class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            def on_solution_callback(self) -> None:
                report(self.value)

        if bounds:
            solver.best_bound_callback = reports.bound
        status = _run_in_thread(
            lambda: solver.solve(model, Watch()), solver.stop_search, reports, self.search
        )
        reports.flush()
        self.search.work += float(solver.response_proto.deterministic_time)
        return status, solver

    def _infeasible(self, presolve: bool) -> None:
        """Believe INFEASIBLE only without a plan, and only if the search without presolve agrees.

        CP-SAT has reported feasible models infeasible (google/or-tools #4546, #4370, #4426, #5274).
        """
        if self.search.best is not None:
            log.warning("CP-SAT says infeasible, yet there is a checked plan; solving again without presolve")
        if presolve:
            self.solve_whole(presolve=False)
        elif self.search.best is None:
            self.search.infeasible = (
                "no plan keeps all constraints and limits (CP-SAT, with and without presolve)"
            )


def _safe_bound(bound: float, unit: float) -> float:
    return math.ceil(bound - 1e-6) * unit * (1 - 1e-12)


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
        except BaseException as error:
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
