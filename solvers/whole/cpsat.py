"""The whole plan as one CP-SAT model."""

from __future__ import annotations

import math

from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.bounds import quick_bound
from dnnplan.formulations.whole.copies import supports
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.mapping_proofs import tick_of
from dnnplan.solvers.whole.parts import OBJECTIVES
from dnnplan.solvers.whole.start import propose_simple_wholes

TURNS = (0.1, 0.15, 0.3, 0.5, 1.0)
"""Shares of the time left for turns without and with linear relaxation."""
WITHOUT_RELAXATION = ("no_lp", "quick_restart_no_lp")
WORK_OF_A_TURN = 2.0
"""Units of work of the first turn where nothing limits the run; later ones get four times as many each."""


class CpSat:
    """The formulation of `dnnplan.formulations.whole.cpsat`, solved by OR-Tools CP-SAT."""

    summary = "exact: task graph, placement, order, transfers and memory as one model of OR-Tools CP-SAT"
    capabilities = Capabilities(problem="whole", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """Simple plans, then CP-SAT until the limits.

        Raises
        ------
        UnsupportedError
            A setting that the model does not cover (`copies.supports`).
        """
        if reason := supports(problem):
            raise UnsupportedError(
                f"solver 'cpsat' does not cover this: {reason}; 'task_graphs' and 'lns' do"
            )
        bound = quick_bound(problem)
        search.improve_bound(bound.value, bound.name)
        propose_simple_wholes(problem, search)
        if not search.finished():
            solve_whole_cpsat(problem, search)


def solve_whole_cpsat(
    problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float = math.inf
) -> bool:
    """Build the model, hint the incumbent, and run CP-SAT in turns for at most `seconds` (units of work).

    Returns
    -------
    Whether nothing is left to do: proven optimal or infeasible.
    """
    from dnnplan.formulations.whole.cpsat import build, extract, hint

    horizon = latest_end(problem, search)
    tick = tick_of(problem.mapping(problem.apart), horizon)
    v = build(problem, tick, horizon=horizon, keep_going=lambda: not search.finished())
    if v is None:
        return False
    by_work = search.settings.work_limit is not None
    until = (search.work if by_work else search.seconds) + seconds
    for turn, share in enumerate(TURNS):
        now = search.work if by_work else search.seconds
        left = min(until - now, search.remaining_work if by_work else search.remaining)
        if search.finished() or left <= 0:
            break
        if search.best is not None:
            hint(v, search.best.decisions.groups, search.best.decisions.evaluation.decisions)
        part = share * left if math.isfinite(left) else WORK_OF_A_TURN * 4.0**turn * 10
        relaxed = turn % 2 == 1
        built = TaskModel(
            model=v.model,
            unit=v.unit,
            constant=v.constant,
            extract=lambda value: extract(v, value),
            answers="whole plan",
            strategies=() if relaxed or search.settings.workers == 1 else WITHOUT_RELAXATION,
        )
        if run_task_model(built, search, part):
            return True
    return search.proved


def latest_end(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> float | None:
    """Seconds by which every plan better than the incumbent ends; None where nothing is known."""
    stage = dict(problem.stages[0])
    weight = stage.get("latency", 0.0)
    if search.value is None or weight <= 0 or min(stage.values()) < 0:
        limit = problem.limits.get("latency")
        return None if limit is None else limit * (1 + 1e-5)
    return search.value / weight * (1 + 1e-9)
