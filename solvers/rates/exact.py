"""The periodic CP-SAT model: shortest cycle and bound."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from dnnplan.costs.periodic import CyclicPlan
from dnnplan.instances import SolverError
from dnnplan.solvers.rates.search import Phase, RateSearch

if TYPE_CHECKING:
    from dnnplan.formulations.mapping.periodic.choices import Choices
    from dnnplan.formulations.mapping.periodic.cpsat import Variables

RESOLUTION, FINE_RESOLUTION = 1e5, 1e7
"""Ticks in a cycle that is minimised (coarse: bounds on a variable cycle creep by ticks), and in one that is fixed."""
LARGEST = 6_000
"""Layers x devices up to which the model is built."""
MINIMISING_SHARE = 0.5
"""Of a phase that goes to minimising the cycle before fixed cycles are tried."""
PLACES = (0.5, 0.25, 0.75, 0.1, 0.9)
"""Where between bound and incumbent a cycle is tried, in turn, until one is decided."""
FIRST_SLICE = 0.2
"""Of a phase that the first try gets; slices double when no place is decided."""


def solve_exactly(search: RateSearch, phase: Phase, *, choices: Choices | None = None) -> None:
    """Minimise the cycle, then decide single cycles between bound and incumbent, until the end of a phase.

    Bounds count where no choices restrict the placement. Single cycles are decided where plans can be stretched: then
    a cycle without a plan bounds the shortest from below. What proves it is smaller and faster to search than the
    model with a variable cycle.
    """
    problem = search.periodic
    assert problem is not None
    if search.finished() or problem.mapping.n * problem.mapping.m > LARGEST or problem.mapping.n == 0:
        return
    scales = problem.scales
    share = MINIMISING_SHARE if scales else 1.0
    proven = _minimise(search, search.part(phase, share), choices)
    if scales and not proven:
        _decide(search, phase, choices)


def _minimise(search: RateSearch, phase: Phase, choices: Choices | None) -> bool:
    """One run with a variable cycle; True if it proved its incumbent optimal or that there is none."""
    longest = search.longest
    run = _Run.build(search, phase, longest / RESOLUTION, (search.bound or 0.0, longest), choices)
    if run is None:
        return True
    outcome = run.run()
    if outcome == "infeasible" and search.cyclic is None and choices is None:
        search.infeasible = "no cycle, however long, lets every job meet its deadline (CP-SAT)"
    # To the coarse ticks of this run alone: the fine bound is left to single cycles.
    return search.finished() or outcome == "infeasible"


def _decide(search: RateSearch, phase: Phase, choices: Choices | None) -> None:
    """Ask for cycles between the bound and the incumbent; each answer moves one of them."""
    low, turn, slice_ = search.bound or 0.0, 0, FIRST_SLICE
    while search.value is not None and not search.over(phase):
        low = max(low, search.bound or 0.0) if choices is None else low
        if search.value - low <= search.settings.gap / 2 * search.value:
            return
        cycle = low + PLACES[turn] * (search.value - low)
        part = search.part(phase, slice_)
        run = _Run.build(search, part, cycle / FINE_RESOLUTION, (cycle, cycle), choices)
        if run is None:
            return
        outcome = run.run()
        if outcome == "infeasible":
            low, turn = cycle * (1 - 1e-9), 0
            if choices is None:
                search.improve_bound(low, "CP-SAT")
        elif outcome == "found":
            turn = 0
            if search.value > cycle * (1 + 1e-4):
                return
        else:
            turn = (turn + 1) % len(PLACES)
            slice_ *= 2.0 if turn == 0 else 1.0


class _Run:
    """One run of CP-SAT in a thread of its own; plans and bounds are reported from the thread that asked."""

    def __init__(self, search: RateSearch, v: Variables, phase: Phase, *, bounds: bool) -> None:
        self.search, self.v, self.phase, self.bounds = search, v, phase, bounds
        self.lock = threading.Lock()
        self.plans: list[CyclicPlan] = []
        self.bound = -math.inf

    @classmethod
    def build(
        cls,
        search: RateSearch,
        phase: Phase,
        tick: float,
        ends: tuple[float, float],
        choices: Choices | None,
    ) -> _Run | None:
        """The model for cycles between two ends, with the incumbent as a hint; None if the limits came first."""
        from dnnplan.formulations.mapping.periodic.cpsat import build, hint

        assert search.periodic is not None
        v = build(
            search.periodic,
            tick,
            shortest=ends[0],
            longest=ends[1],
            choices=choices,
            keep_going=lambda: not search.finished(),
        )
        if v is None:
            return None
        if search.cyclic is not None:
            hint(v, search.cyclic)
        bounds = choices is None and ends[0] < ends[1]
        return cls(search, v, phase, bounds=bounds)

    def run(self) -> str:
        """Solve until the limits: ``found``, ``infeasible`` or ``unknown``."""
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.periodic.cpsat import extract

        run = self

        class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            def on_solution_callback(self) -> None:
                plan = extract(run.v, self.value)
                with run.lock:
                    run.plans.append(plan)

        solver = cp_model.CpSolver()
        self._set_parameters(solver)
        solver.best_bound_callback = self._bound
        outcome: list[Any] = []
        thread = threading.Thread(
            target=lambda: outcome.append(solver.solve(self.v.model, Watch())), name="cp-sat", daemon=True
        )
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.05)
                self._flush()
                if self.search.finished():
                    break
        except KeyboardInterrupt:
            self.search.interrupted = True
        finally:
            # Again and again: a stop that comes before the native search has begun is lost.
            while thread.is_alive():
                solver.stop_search()
                thread.join(0.05)
        self._flush()
        if not outcome:
            raise SolverError("CP-SAT ended without an answer")
        self.search.work += float(solver.response_proto.deterministic_time)
        if outcome[0] == cp_model.MODEL_INVALID:
            raise SolverError(f"CP-SAT refuses the model: {self.v.model.validate()}")
        if outcome[0] == cp_model.INFEASIBLE:
            return "infeasible"
        if outcome[0] in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self._bound(solver.best_objective_bound)
            self._flush()
            return "found"
        return "unknown"

    def _set_parameters(self, solver: Any) -> None:
        search, parameters = self.search, solver.parameters
        left = min(search.remaining, self.phase.seconds - search.seconds)
        if math.isfinite(left):
            parameters.max_time_in_seconds = max(left, 0.01)
        work = min(search.remaining_work, self.phase.work - search.work)
        if math.isfinite(work):
            parameters.max_deterministic_time = max(work, 1e-3)
        parameters.num_workers = search.settings.workers
        parameters.random_seed = search.settings.seed
        parameters.relative_gap_limit = search.settings.gap / 2
        parameters.catch_sigint_signal = False

    def _bound(self, value: float) -> None:
        with self.lock:
            self.bound = max(self.bound, value)

    def _flush(self) -> None:
        from dnnplan.formulations.mapping.periodic.cpsat import safe_bound

        with self.lock:
            plans, self.plans = self.plans, []
            bound = self.bound
        for plan in plans[-2:]:
            self.search.offer(plan)
        if math.isfinite(bound) and self.bounds:
            self.search.improve_bound(safe_bound(bound, self.v.tick), "CP-SAT")
