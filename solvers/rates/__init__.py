"""How often requests of several networks can come: the largest common rate that a platform sustains for ever."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from dnnplan.costs.periodic import Deadlines, PeriodicProblem, as_plan, periodic_problem
from dnnplan.costs.steady_state import SteadyState, steady_state
from dnnplan.formulations.mapping.periodic.bounds import cycle_bound
from dnnplan.instances import Instance, UnsupportedError
from dnnplan.instances.result import relative_gap
from dnnplan.instances.wording import suggestion
from dnnplan.solvers.rates import baselines
from dnnplan.solvers.rates.exact import solve_exactly
from dnnplan.solvers.rates.genetic import genetic
from dnnplan.solvers.rates.local import anneal, list_schedules
from dnnplan.solvers.rates.result import RateResult, TaskRate
from dnnplan.solvers.rates.search import RateSearch
from dnnplan.solvers.search import Settings

__all__ = ["RATE_SOLVERS", "RateResult", "TaskRate", "largest_rate"]

FIRST_SHARE, EXACT_SHARE = 0.12, 0.95
"""Of the time that is left, `auto` gives to local search before the exact model, and then to that model."""


def _auto(search: RateSearch) -> None:
    """List schedules, local search, the exact model, local search again."""
    list_schedules(search)
    if not search.finished():
        anneal(search, search.phase(FIRST_SHARE))
    if not search.finished():
        solve_exactly(search, search.phase(EXACT_SHARE))
    if not search.finished():
        anneal(search, search.phase(1.0))


def _cpsat(search: RateSearch) -> None:
    """List schedules, then the exact model alone."""
    list_schedules(search)
    solve_exactly(search, search.phase(1.0))


RATE_SOLVERS: dict[str, Callable[[RateSearch], None]] = {
    "auto": _auto,
    "npu_only": baselines.npu_only,
    "best_device": baselines.best_device,
    "genetic": genetic,
    "cpsat": _cpsat,
}


def largest_rate(
    instance: Instance,
    solver: str = "auto",
    *,
    deadlines: Deadlines = "period",
    time_limit: float | None = 60.0,
    work_limit: float | None = None,
    workers: int = 2,
    seed: int = 0,
    gap: float = 1e-4,
    stop: Callable[[], bool] | None = None,
) -> RateResult:
    """The largest factor on all rates of the periodic tasks that the platform sustains in steady state.

    Parameters
    ----------
    solver
        ``auto``, ``cpsat`` (exact), ``genetic``, or a baseline: ``npu_only``, ``best_device``.
    deadlines
        Of tasks that state none: ``period`` (done before the next request) or ``given`` (none). Deadlines that the
        instance states are seconds, and stay what they are.

    Raises
    ------
    InstanceError
        A task has no period.
    UnsupportedError
        No such solver, or a setting of the platform that rates are not defined for.

    Examples
    --------
    >>> from dnnplan.instances.catalogue import load_bundled
    >>> result = largest_rate(load_bundled("rates/glasses"), "npu_only", time_limit=5)
    >>> result.bound > result.factor > 1
    True
    """
    if solver not in RATE_SOLVERS:
        hint = suggestion(solver, tuple(RATE_SOLVERS))
        raise UnsupportedError(
            f"'{solver}' is not a solver of rates{hint}; expected one of {', '.join(RATE_SOLVERS)}"
        )
    problem = periodic_problem(instance, deadlines=deadlines)
    settings = Settings(
        time_limit=time_limit, work_limit=work_limit, workers=workers, seed=seed, gap=gap, stop=stop
    )
    search = RateSearch(problem=problem.mapping, settings=settings, name=solver, periodic=problem)
    bound = cycle_bound(problem)
    if math.isinf(bound.value):
        search.infeasible = "a job takes longer than its deadline even if it is alone on the platform"
    elif bound.value > 0:
        search.improve_bound(bound.value, bound.name)
    if search.infeasible is None:
        RATE_SOLVERS[solver](search)
    return _result(problem, search)


def _result(problem: PeriodicProblem, search: RateSearch) -> RateResult:
    bound = problem.factor(search.bound) if search.bound else None
    factor = problem.factor(search.value) if search.value else None
    answer = RateResult(
        status="infeasible" if search.infeasible else "unknown",
        stop_reason=search.stop_reason,
        bound=bound,
        bound_name=search.bound_name if bound is not None else None,
        solver=search.name,
        seed=search.settings.seed,
        runtime=search.seconds,
        message=search.infeasible or "",
        history=tuple(
            (seconds, problem.factor(value) if value else None, problem.factor(low) if low else None)
            for seconds, value, low in search.history
        ),
    )
    if search.cyclic is None or factor is None:
        return answer
    state = steady_state(problem, search.cyclic)
    return replace(
        answer,
        status="optimal" if search.proved else "feasible",
        factor=factor,
        gap=relative_gap(factor, bound, "max"),
        cycle=search.cyclic.cycle,
        tasks=tuple(_task_rate(problem, task, search.cyclic.cycle, state) for task in problem.tasks),
        load={name: float(share) for name, share in zip(problem.mapping.devices, state.load, strict=True)},
        plan=as_plan(problem, search.cyclic),
        violations=state.violations,
    )


def _task_rate(problem: PeriodicProblem, task: str, cycle: float, state: SteadyState) -> TaskRate:
    jobs = [j for j, job in enumerate(problem.mapping.jobs) if job.task == task]
    due = problem.due[jobs[0]]
    deadline = None
    if due is not None:
        deadline = float(due.share - problem.release[jobs[0]]) * cycle + due.seconds
    return TaskRate(task=task, rate=len(jobs) / cycle, deadline=deadline, response=state.response[task])
