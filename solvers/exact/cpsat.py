"""Exact mapping and scheduling with CP-SAT."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import energy_bound, latency_bounds, objective_bound
from dnnplan.instances import SolverError
from dnnplan.solvers.exact.cpsat_reports import Reports, run_in_thread, safe_bound
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search, Settings
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.cpsat import Variables

log = logging.getLogger("dnnplan")
GRACE, LOADING_SECONDS, BUILDING_SECONDS = 0.2, 0.4, 1e-4
"""Seconds that a limit may be overrun by, that loading OR-Tools takes, and building by layer and device."""
RESOLUTION = 1e8
"""Ticks in the value of the incumbent: rounding down n layers costs at most n / RESOLUTION of it."""

TURNS = (0.05, 0.08, 0.2, 0.35, 0.6, 1.0)
"""Shares of the time left for turns without and with linear relaxation. Without it CP-SAT closes instances in which
communication decides, many times faster; with it those in which devices are full (50 layers: either in seconds)."""
WITHOUT_RELAXATION = ("no_lp", "quick_restart_no_lp", "objective_lb_search_no_lp")
"""Strategies of CP-SAT without linear relaxation, for several threads."""
WORK_OF_A_TURN = 2.0
"""Units of work of the first turn where nothing limits the run; later ones get four times as many each."""


@dataclass(frozen=True)
class Limits:
    """Limits of one run of CP-SAT: seconds and units of work, infinite where there is none, and its relaxation.

    `relaxation` is CP-SAT's level of linearisation: 0 (none) or 1.
    """

    seconds: float
    work: float
    relaxation: int = 1


class CpSat:
    """The formulation of `dnnplan.formulations.mapping.cpsat`, solved by OR-Tools CP-SAT.

    Starts from simple plans, hints all variables of the best one, and reports each plan and bound as it comes.
    """

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(
        exact=True,
        bounds=True,
        objectives=ALL_OBJECTIVES,
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

    `time_limit` is in seconds, or in units of work where the search is limited by work.
    Nothing is done where loading OR-Tools and building the model would overrun the time limit for nothing.
    """
    if search.remaining + GRACE < expected_seconds(problem):
        return
    back_end = BackEnd(problem, search, choose_tick(problem, search))
    if back_end.build(proofs=True):
        back_end.solve_whole(time_limit)


def latest_end(problem: MappingProblem, search: Search) -> float | None:
    """Seconds by which every plan better than the incumbent ends; None where nothing is known.

    Plans for live memory may wait, and keep the loose horizon of the model.
    """
    best, stage = search.best, problem.stages[0]
    if best is None or problem.execution.memory == "live" or "memory" in problem.measured:
        return None
    if stage == (("latency", 1.0),):
        return best.cost.latency
    if stage == (("edp", 1.0),):
        energy = energy_bound(problem, latency_bounds(problem)[0].value).value
        return best.cost.edp / energy if energy > 0 else None
    return None


def expected_seconds(problem: MappingProblem) -> float:
    """About how long it takes to load OR-Tools, if it is not, and to build the model."""
    loading = 0.0 if "ortools.sat.python.cp_model" in sys.modules else LOADING_SECONDS
    return loading + BUILDING_SECONDS * problem.n * problem.m


class BackEnd:
    """One CP-SAT model of a problem, solved whole or in part, reporting to a search."""

    def __init__(self, problem: MappingProblem, search: Search, tick: float) -> None:
        self.problem, self.search, self.tick = problem, search, tick
        self.variables: Variables | None = None

    def build(self, *, proofs: bool = False) -> bool:
        """Build the model, with what only proofs need if asked to; False if the limits came first."""
        from dnnplan.formulations.mapping.cpsat import build

        search, problem = self.search, self.problem
        horizon = latest_end(problem, search)
        self.variables = build(
            problem,
            self.tick,
            horizon=horizon,
            proofs=proofs,
            keep_going=lambda: not search.finished(),
        )
        return self.variables is not None

    def solve_whole(self, time_limit: float | None = None) -> None:
        """Search the whole model, in turns without and with linear relaxation; bounds count."""
        search, began, worked = self.search, time.perf_counter(), self.search.work
        for turn, share in enumerate(TURNS):
            spent = search.work - worked if self.by_work else time.perf_counter() - began
            left = self._limits(math.inf if time_limit is None else time_limit - spent)
            if search.finished() or min(left.seconds, left.work) <= 0:
                return
            work = left.work * share
            if turn < len(TURNS) - 1 and math.isinf(left.seconds) and math.isinf(work):
                work = WORK_OF_A_TURN * 4.0**turn
            if self._turn(Limits(left.seconds * share, work, relaxation=turn % 2), presolve=True):
                return

    @property
    def by_work(self) -> bool:
        """Whether runs are limited by work, so that the clock must not decide anything."""
        return self.search.settings.work_limit is not None

    def _limits(self, limit: float, relaxation: int = 1) -> Limits:
        """What is left of the search, and at most `limit` seconds, or units of work where those are limited."""
        seconds, work = self.search.remaining, self.search.remaining_work
        if self.by_work:
            return Limits(seconds, min(work, limit), relaxation)
        return Limits(min(seconds, limit), work, relaxation)

    def _turn(self, limits: Limits, *, presolve: bool) -> bool:
        """One search of the whole model; True if there is nothing left to do."""
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.cpsat import hint

        v, search = self.variables, self.search
        assert v is not None
        if search.best is not None and not hint(v, search.best.decisions):
            log.debug("the incumbent does not fit the rounded model; no hint")
        model = v.model.clone()
        if search.bound is not None and self.problem.stages[0] == (("latency", 1.0),):
            least = math.floor(search.bound / v.tick * (1 - 1e-9))
            model.add(model.get_int_var_from_proto_index(v.makespan.index) >= least)
        status, solver = self._run(model, limits, presolve=presolve, bounds=True)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            search.improve_bound(safe_bound(solver.best_objective_bound, v.unit), "CP-SAT")
        elif status == cp_model.INFEASIBLE:
            self._infeasible(limits, presolve)
        elif status == cp_model.MODEL_INVALID:
            raise SolverError(f"CP-SAT refuses the model: {v.model.validate()}")
        return status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)

    def solve_part(
        self, free: set[int], pairs: list[tuple[int, int]], time_limit: float, *, relaxation: int = 1
    ) -> bool:
        """Search for better plans in which only the `free` layers change; True if the part was exhausted.

        `pairs` are (earlier, later) layers that keep their order on their device; `relaxation` as in `Limits`.
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
        status, _ = self._run(model, self._limits(time_limit, relaxation), presolve=True, bounds=False)
        return status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)

    def _run(
        self, model: cp_model.CpModel, limits: Limits, *, presolve: bool, bounds: bool
    ) -> tuple[int, cp_model.CpSolver]:
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.cpsat import extract

        v, problem = self.variables, self.problem
        assert v is not None
        solver = cp_model.CpSolver()
        set_parameters(solver, self.search.settings, limits, presolve)
        reports = Reports(self.search, v.unit)

        def report(value: Callable[[object], int]) -> None:
            assert v is not None
            # The variables of a clone have the same indices, and the callback reads by index.
            reports.plan(extract(problem, v, value))

        class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            def on_solution_callback(self) -> None:
                report(self.value)

        if bounds:
            solver.best_bound_callback = reports.bound
        status = run_in_thread(lambda: solver.solve(model, Watch()), solver.stop_search, reports, self.search)
        reports.flush(ended=True)
        self.search.work += float(solver.response_proto.deterministic_time)
        return status, solver

    def _infeasible(self, limits: Limits, presolve: bool) -> None:
        """Believe INFEASIBLE only without a plan, and only if the search without presolve agrees.

        CP-SAT has reported feasible models infeasible (google/or-tools #4546, #4370, #4426, #5274).
        """
        if self.search.best is not None:
            log.warning("CP-SAT says infeasible, yet there is a checked plan; solving again without presolve")
        if presolve:
            self._turn(limits, presolve=False)
        elif self.search.best is None:
            self.search.infeasible = (
                "no plan keeps all constraints and limits (CP-SAT, with and without presolve)"
            )


def set_parameters(solver: object, settings: Settings, limits: Limits, presolve: bool) -> None:
    """Limits and switches of one run of CP-SAT."""
    parameters = solver.parameters  # type: ignore[attr-defined]
    if math.isfinite(limits.seconds):
        parameters.max_time_in_seconds = max(limits.seconds, 0.01)
    if math.isfinite(limits.work):
        parameters.max_deterministic_time = limits.work
    parameters.num_workers = settings.workers
    parameters.random_seed = settings.seed
    parameters.relative_gap_limit = settings.gap / 2
    parameters.linearization_level = limits.relaxation
    if limits.relaxation == 0 and settings.workers > 1:
        # Strategies of several threads bring their own level.
        parameters.subsolvers.extend(WITHOUT_RELAXATION)
    parameters.cp_model_presolve = presolve
    parameters.catch_sigint_signal = False
