"""CP-SAT on the mapping that one task graph leaves: find one below a value, or prove that there is none."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnplan.costs import Decisions
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem, mapping_terms
from dnnplan.formulations.whole.task_graphs import siblings
from dnnplan.instances import SolverError
from dnnplan.solvers.exact.cpsat_reports import safe_bound

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.cpsat import Variables

STEPS = 2e6
"""Ticks in the latest moment of interest, by layer: rounding down costs far less than the gap of a proof."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Limits of one run: seconds, units of work, strategy (0: without linear relaxation, 1: with it), seed."""

    seconds: float
    work: float
    relaxation: int
    seed: int
    workers: int = 1
    presolve: bool = True


@dataclass(kw_only=True)
class Found:
    """What a run says: a lower bound on the mapping, whether that is all there is to know, plans, work done."""

    bound: float
    closed: bool
    empty: bool = False
    plans: list[Decisions] = field(default_factory=list)
    work: float = 0.0


class MappingProof:
    """One task graph's mapping as a CP-SAT model in which only plans below a value remain.

    Parameters
    ----------
    classes
        Classes of equal tasks; trees of equal tasks below one node start in the order of their first tasks.
    """

    def __init__(self, problem: WholeProblem, groups: Groups, classes: tuple[int, ...]) -> None:
        self.view = problem.mapping(groups)
        self.alike = siblings(problem, groups, classes)
        self.about_mapping = bool(mapping_terms(problem.stages[0]))

    def run(
        self,
        below: float,
        effort: Effort,
        started: Callable[[Any], bool],
        plan: Callable[[Decisions], None],
    ) -> Found:
        """Search for plans of value at most `below`; infinite: for all.

        Parameters
        ----------
        started
            Told the CP-SAT solver, so that it can be stopped; False: do not begin.
        plan
            Told of each plan as it comes, from a thread of CP-SAT.
        """
        from ortools.sat.python import cp_model

        from dnnplan.formulations.mapping.cpsat import extract

        view, v = self._model(below)
        solver = cp_model.CpSolver()
        _set(solver, effort, self.about_mapping)
        if not started(solver):
            return Found(bound=0.0, closed=False)

        class Watch(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
            def on_solution_callback(self) -> None:
                plan(extract(view, v, self.value))

        status = solver.solve(v.model, Watch())
        work = float(solver.response_proto.deterministic_time)
        if status == cp_model.MODEL_INVALID:
            raise SolverError(f"CP-SAT refuses the model: {v.model.validate()}")
        if status == cp_model.INFEASIBLE:
            return Found(bound=below, closed=True, empty=True, work=work)
        bound = 0.0
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN) and self.about_mapping:
            least = float(solver.best_objective_bound)
            bound = max(0.0, safe_bound(least, v.unit)) if math.isfinite(least) else 0.0
        return Found(bound=bound, closed=status == cp_model.OPTIMAL, work=work)

    def _model(self, below: float) -> tuple[MappingProblem, Variables]:
        from dnnplan.formulations.mapping.cpsat import build

        view, horizon = self.view, self._horizon(below)
        stage = view.stages[0]
        plain = stage == (("latency", 1.0),)
        if math.isfinite(below) and self.about_mapping and not plain:
            view = dataclasses.replace(view, sums_at_most=(*view.sums_at_most, (stage, below)))
        v = build(view, tick_of(view, horizon), horizon=horizon, proofs=True)
        assert v is not None
        if plain and horizon is not None:
            v.model.add(v.makespan <= math.floor(horizon / v.tick * (1 + 1e-12)))
        for row in self.alike:
            for first, second in pairwise(row):
                v.model.add(v.start[first] <= v.start[second])
        if not self.about_mapping:
            v.model.clear_objective()
        return view, v

    def _horizon(self, below: float) -> float | None:
        """Seconds by which every plan of interest ends; None: not known."""
        view = self.view
        waits = view.execution.memory == "live" or "memory" in view.measured
        if not math.isfinite(below) or not self.about_mapping or waits:
            limit = view.limits.get("latency", math.inf)
            return limit * (1 + 1e-5) if math.isfinite(limit) and not waits else None
        weight = sum(w for name, w in view.stages[0] if name == "latency")
        if weight <= 0 or any(w < 0 for _, w in view.stages[0]):
            return None
        return below / weight


def tick_of(view: MappingProblem, horizon: float | None) -> float:
    """Seconds in a tick: so that rounding down costs next to nothing of the latest moment."""
    if horizon is None:
        finite = [t[np.isfinite(t)].max(initial=0.0) for t in (view.duration, view.move, view.load)]
        horizon = float(sum(finite)) * max(view.n, 1)
    return horizon / STEPS if horizon > 0 else 1.0


def _set(solver: cp_model.CpSolver, effort: Effort, about_mapping: bool) -> None:
    parameters = solver.parameters
    if math.isfinite(effort.seconds):
        parameters.max_time_in_seconds = max(effort.seconds, 0.01)
    if math.isfinite(effort.work):
        parameters.max_deterministic_time = effort.work
    parameters.num_workers = effort.workers
    parameters.random_seed = effort.seed
    parameters.cp_model_presolve = effort.presolve
    parameters.catch_sigint_signal = False
    parameters.linearization_level = effort.relaxation
    # OR-Tools 9.15 drops literals of enforced rows here, and with them solutions (google/or-tools #5293, #5294).
    parameters.presolve_inclusion_work_limit = 0
    # The models are small: probing takes longer than the search that it saves.
    parameters.cp_model_probing_level = 0
    parameters.max_presolve_iterations = 1
    # Where no plan is left to find, literals for each pair of layers on a device double the time of a proof.
    parameters.max_size_to_create_precedence_literals_in_disjunctive = 0
    parameters.use_strong_propagation_in_disjunctive = True
    parameters.use_dynamic_precedence_in_disjunctive = True
    if not about_mapping:
        parameters.stop_after_first_solution = True
