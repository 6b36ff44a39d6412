"""Latency with a limit on calls by CP-SAT: the whole model, and neighbourhoods of successive calls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.formulations.mapping.calls import applies
from dnnplan.solvers.exact.cpsat_reports import run_beside, safe_bound
from dnnplan.solvers.placement.calls import HOST, limit_of
from dnnplan.solvers.placement.calls_search import decode_labels, propose_splits
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.calls.cpsat import CallVariables

RESOLUTION = 1e7
"""Ticks in the latency of the incumbent."""
MOST_CHOICES = 20_000
"""Layers x calls up to which the model is built."""
SECONDS, WORK = 6.0, 4.0
"""Longest search of a neighbourhood, in seconds or units of work."""
UNLIMITED_TRIES = 200
"""Neighbourhoods where nothing is limited."""
NARROW, WIDE = 2, 5
"""Successive calls of a neighbourhood, fewest and most."""


class CallsCpSat:
    """The model of `dnnplan.formulations.mapping.calls.cpsat`: neighbourhoods first, then the whole.

    Exact with one call a device; other problems get simple plans only.
    """

    summary = "latency with calls: CP-SAT on neighbourhoods of successive calls, then on the whole model"
    capabilities = Capabilities(calls=True, bounds=True, objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans and splits, then CP-SAT until the limits."""
        propose_simple_plans(problem, search)
        if not models(problem):
            return
        propose_splits(problem, search)
        solve_calls_exactly(problem, search)


def models(problem: MappingProblem) -> bool:
    """Whether the model covers the problem, and is of a size to be built."""
    limit = limit_of(problem)
    return (
        limit is not None
        and applies(problem)
        and problem.stages[0] == (("latency", 1.0),)
        and problem.n * problem.m * limit <= MOST_CHOICES
    )


def solve_calls_exactly(problem: MappingProblem, search: Search, share: float = 1.0) -> None:
    """The whole model for a share of what is left; its bound counts with one call a device."""
    if search.best is None or search.finished():
        return
    whole = CallModel(problem, search, proofs=True)
    whole.solve(share * _left(search), free=None)


def improve_calls(problem: MappingProblem, search: Search, share: float = 1.0) -> None:
    """Neighbourhoods for a share of what is left: some successive calls, and what the host runs meanwhile, anew."""
    if search.best is None or search.finished():
        return
    part = CallModel(problem, search, proofs=False)
    rng = np.random.default_rng(search.settings.seed)
    until = (1.0 - share) * _left(search)
    limited = search.settings.time_limit is not None or search.settings.work_limit is not None
    width, failed, tries = NARROW, 0, 0
    while not search.finished() and _left(search) > until and (limited or tries < UNLIMITED_TRIES):
        tries += 1
        before = search.value
        free = successive_calls(search.best, width, rng)
        proved = part.solve(min(SECONDS if search.settings.work_limit is None else WORK, _left(search)), free)
        if search.value != before:
            failed = 0
        elif proved:
            failed += 1
            if failed >= 2 * len(part.v.labels):
                width, failed = min(width + 1, WIDE), 0


def successive_calls(plan: Evaluation, width: int, rng: np.random.Generator) -> set[int]:
    """The layers of some calls of limited devices that follow each other, and of the host's calls in their time."""
    host = plan.problem.host_device
    decisions = plan.decisions
    of_devices = [
        c for d, row in enumerate(decisions.order) if d != host for c in row if len(decisions.calls[c])
    ]
    of_devices.sort(key=lambda c: (plan.times.start[c], c))
    free: set[int] = set()
    begin, end = 0.0, plan.cost.latency
    if of_devices:
        first = int(rng.integers(max(1, len(of_devices) - width + 1)))
        chosen = of_devices[first : first + width]
        free = {i for c in chosen for i in decisions.calls[c]}
        begin = min(plan.times.start[c] for c in chosen)
        end = max(plan.times.end[c] for c in chosen)
        if first == 0:
            begin = 0.0
        if first + width >= len(of_devices):
            end = plan.cost.latency
    if host >= 0:
        for c in decisions.order[host]:
            if plan.times.end[c] >= begin and plan.times.start[c] <= end:
                free.update(decisions.calls[c])
    return free


def _left(search: Search) -> float:
    """Seconds that are left, or units of work; an hour where nothing is limited."""
    left = search.remaining_work if search.settings.work_limit is not None else search.remaining
    return left if math.isfinite(left) else 3600.0


class CallModel:
    """The model of a problem, solved whole or in part, reporting to a search."""

    def __init__(self, problem: MappingProblem, search: Search, *, proofs: bool) -> None:
        from dnnplan.formulations.mapping.calls.cpsat import build

        assert search.best is not None
        self.problem, self.search, self.proofs = problem, search, proofs
        latency = search.best.cost.latency
        self.v: CallVariables = build(problem, (latency or 1.0) / RESOLUTION, horizon=latency, proofs=proofs)

    def solve(self, limit: float, free: set[int] | None) -> bool:
        """Search with all layers, or those not in `free` where they are; True if there is nothing left to find."""
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.calls.cpsat.extract import extract, hint, labels_of

        v, search, best = self.v, self.search, self.search.best
        assert best is not None
        label = labels_of(v, best)
        if free is None:
            hint(v, label)
        model = v.model.clone()
        self._narrow(model, label, free)
        solver = cp_model.CpSolver()
        self._limit(solver, limit)

        class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            def on_solution_callback(self) -> None:
                found.append(extract(v, self.value))

        found: list[list[int]] = []
        status = run_beside(lambda: solver.solve(model, Watch()), solver.stop_search, search)
        for labels in found[-3:]:
            decisions = decode_labels(self.problem, np.array(labels, dtype=np.int64))
            if decisions is not None:
                search.propose(decisions)
        search.work += float(solver.response_proto.deterministic_time)
        done = status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)
        if free is None and v.calls == 1 and status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            search.improve_bound(safe_bound(solver.best_objective_bound, v.tick), "CP-SAT, calls")
        return done

    def _narrow(self, model: cp_model.CpModel, label: list[int], free: set[int] | None) -> None:
        """Fix what stays, and ask for a better plan where no bound is wanted."""
        search, v = self.search, self.v

        def twin(variable: cp_model.IntVar) -> cp_model.IntVar:
            return model.get_int_var_from_proto_index(variable.index)

        if search.bound is not None:
            model.add(twin(v.latency) >= math.floor(search.bound / v.tick * (1 - 1e-9)))
        if free is None:
            return
        assert search.value is not None
        model.add(twin(v.latency) <= int(search.value / v.tick * (1 - 1e-6)))
        # Free layers go to calls of free layers, to calls that are not used, or to the host.
        used_elsewhere = {label[i] for i in range(len(label)) if i not in free}
        fixed = {id(row) for i, row in enumerate(v.z) if i not in free}
        seen: set[int] = set()
        for i, row in enumerate(v.z):
            if id(row) in seen:
                continue
            seen.add(id(row))
            if id(row) not in fixed:
                for c, here in row.items():
                    if c in used_elsewhere:
                        model.add(twin(here) == 0)
                continue
            for c, here in row.items():
                model.add(twin(here) == int(label[i] == c))
            home = v.host[i]
            if home is not None:
                model.add(twin(home) == int(label[i] == HOST))

    def _limit(self, solver: cp_model.CpSolver, limit: float) -> None:
        settings, parameters = self.search.settings, solver.parameters
        if settings.work_limit is not None:
            parameters.max_deterministic_time = min(limit, self.search.remaining_work)
        else:
            parameters.max_time_in_seconds = max(limit, 0.01)
        parameters.num_workers = settings.workers
        parameters.random_seed = settings.seed
        parameters.catch_sigint_signal = False
