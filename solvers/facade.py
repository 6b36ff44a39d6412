"""`solve` and `compare`: from an instance to checked answers."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dnnplan.costs import MappingProblem, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.feasibility import reason_for_infeasibility
from dnnplan.costs.objectives import TOLERANCE, UNITS, Terms, objective_name, objective_unit, objective_value
from dnnplan.formulations.mapping.bounds import broken_limit
from dnnplan.instances import Instance, ObjectiveValue, Plan, Result, SolverError, UnsupportedError, Violation
from dnnplan.instances.arguments import (
    refuse,
    require_instance,
    require_search,
    require_several,
    require_text,
)
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.result import GAP_TOLERANCE, Status
from dnnplan.instances.validation import ensure_valid
from dnnplan.solvers.back_ends import contradiction
from dnnplan.solvers.cancellation import Callbacks, cancelled_result, run_cancellable, view_of
from dnnplan.solvers.registry import PROBLEMS, Solver, get_solver
from dnnplan.solvers.search import Progress, Search, Settings
from dnnplan.solvers.tasks import solve_tasks, with_problem
from dnnplan.solvers.versions import versions

log = logging.getLogger("dnnplan")


def solve(
    instance: Instance,
    solver: str = "auto",
    *,
    problem: str | None = None,
    objective: str | None = None,
    limits: Mapping[str, float] | None = None,
    time_limit: float | None = 60.0,
    work_limit: float | None = None,
    workers: int = 2,
    seed: int = 0,
    gap: float = GAP_TOLERANCE,
    warm_start: Plan | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Plan where every layer of an instance runs and when; or which tasks share what, and in which order they run.

    Parameters
    ----------
    instance
        What to plan; it is validated first.
    solver
        A name of `solver_names(problem)`.
    problem
        ``mapping``, ``grouping``, ``selection`` (choosing networks), ``ordering`` or ``joint``; None: what the
        objective is about.
    objective, limits
        Replace those of the instance: ``"latency"``, ``"latency=1,energy=0.2"``, ``"latency>energy"``; limits by
        name, e.g. ``{"energy": 0.5}``.
    time_limit, work_limit, workers, seed, gap, warm_start, on_progress, stop
        See `Settings`.

    Returns
    -------
    Result
        The best plan found, checked, with the best bound proven.

    Raises
    ------
    InputError
        The instance is not valid, the warm start does not fit it (`PlanError`), or an argument is of the wrong kind or
        out of range.
    UnsupportedError
        Unknown solver or objective, or an objective that the solver cannot optimise.

    Examples
    --------
    >>> import dnnplan
    >>> result = dnnplan.solve(dnnplan.load("tiny/hand"), time_limit=10)
    >>> result.status
    'optimal'
    """
    began = time.perf_counter()
    require_text(solver, "solver", "the name of a solver")
    require_text(problem, "problem", "the name of a problem", optional=True)
    require_search(
        time_limit=time_limit,
        work_limit=work_limit,
        workers=workers,
        seed=seed,
        gap=gap,
        warm_start=warm_start,
        on_progress=on_progress,
        stop=stop,
    )
    given = instance
    instance = with_objective(instance, objective, limits)
    ensure_valid(instance)
    callbacks = Callbacks(on_progress, stop)
    settings = Settings(
        time_limit=time_limit,
        work_limit=work_limit,
        workers=workers,
        seed=seed,
        gap=gap,
        warm_start=warm_start,
        on_progress=callbacks.progress,
        stop=callbacks.stop,
        callbacks=callbacks,
    )
    instance, kind = with_problem(instance, problem, explicit=objective is not None)
    if kind not in PROBLEMS:
        raise UnsupportedError(
            f"problem '{kind}' cannot be solved yet; expected one of {', '.join(PROBLEMS)}"
        )
    if stop is not None:
        # What every result states: beside a search that was left behind it would take ten times as long.
        for one in (given, instance):
            one.hash()
        versions()
    try:
        if kind == "mapping":
            result = _solve_mapping(instance, solver, settings, began)
        else:
            result = solve_tasks(instance, kind, solver, settings, began)
    finally:
        callbacks.close()
    if result.plan is None or instance == given:
        return result
    # A plan is for the instance that its reader has, whatever was asked of it.
    plan = msgspec.structs.replace(result.plan, instance=given.hash())
    return msgspec.structs.replace(result, plan=plan)


def _solve_mapping(instance: Instance, solver: str, settings: Settings, began: float) -> Result:
    chosen = get_solver(solver)
    problem = view_of(mapping_problem, instance, settings)
    if problem is None:
        return cancelled_result(instance, solver, settings, began)
    _require_objectives(solver, chosen, problem)
    _require_limits(solver, chosen, problem)
    reason = reason_for_infeasibility(problem) or broken_limit(problem)
    if reason is not None:
        search = Search(problem, settings, name=solver, began=began, infeasible=reason)
        return _result(problem, [search], solver, settings)
    searches = _run_stages(problem, chosen, solver, settings, began)
    return _result(problem, searches, solver, settings)


def compare(
    instances: Instance | Iterable[Instance], solvers: Sequence[str], **options: Any
) -> list[tuple[Instance, Result]]:
    """Solve each instance with each solver; `options` are those of `solve`.

    Returns
    -------
    list of (instance, result), instances first, solvers in the order given.

    Raises
    ------
    InputError, UnsupportedError
        As in `solve`; `solvers` is one name and not several.
    """
    if isinstance(instances, Instance):
        instances = (instances,)
    several = require_several(instances, "instances", "a dnnplan.Instance or several")
    names = require_several(solvers, "solvers", "several names of solvers")
    return [(instance, solve(instance, solver, **options)) for instance in several for solver in names]


def with_objective(instance: Instance, objective: str | None, limits: Mapping[str, float] | None) -> Instance:
    """The instance with another objective or further limits.

    Raises
    ------
    UnsupportedError
        A limit has an unknown name.
    InputError
        Neither an objective nor limits by name.
    """
    require_instance(instance)
    require_text(objective, "objective", "the text of an objective", optional=True)
    if limits is not None and not isinstance(limits, Mapping):
        refuse("limits", limits, "limits by name, e.g. {'energy': 0.5}, or None")
    if objective is not None:
        parse_objective(objective)
        instance = msgspec.structs.replace(instance, objective=objective)
    if limits:
        known = set(instance.limits.__struct_fields__) - {"extensions"}
        if unknown := [name for name in limits if name not in known]:
            raise UnsupportedError(
                f"unknown limit '{unknown[0]}'; expected one of {', '.join(sorted(known))}"
            )
        instance = msgspec.structs.replace(
            instance, limits=msgspec.structs.replace(instance.limits, **limits)
        )
    return instance


def _require_objectives(name: str, solver: Solver, problem: MappingProblem) -> None:
    able = solver.capabilities.objectives
    for term in (term for stage in problem.stages for term, _ in stage):
        if term not in able:
            raise UnsupportedError(
                f"solver '{name}' does not optimise '{term}'; it optimises {', '.join(able)}"
            )


def _require_limits(name_of_solver: str, solver: Solver, problem: MappingProblem) -> None:
    """Refuse limits that no solver would keep, rather than pass over them.

    Bounds of models in which every layer is a call of its own do not hold for plans with larger calls.
    """
    kept = (*UNITS, "deadline", "switches", "calls_per_device")
    if "calls_per_device" in problem.limits and solver.capabilities.bounds and not solver.capabilities.calls:
        raise UnsupportedError(
            f"solver '{name_of_solver}' plans no calls of several layers, which limits.calls_per_device asks for"
        )
    for name in problem.limits:
        if name not in kept:
            raise UnsupportedError(
                f"limit '{name}' is not kept by mapping solvers; they keep {', '.join(kept)}"
            )


def _run_stages(
    problem: MappingProblem, solver: Solver, name: str, settings: Settings, began: float
) -> list[Search]:
    """One search for each stage of a lexicographic objective; later ones may not worsen earlier ones."""
    searches: list[Search] = []
    kept: list[tuple[Terms, float]] = list(problem.sums_at_most)
    warm = settings.warm_start
    for index, terms in enumerate(problem.stages):
        left = len(problem.stages) - index
        share = None if settings.time_limit is None else began + settings.time_limit - time.perf_counter()
        if share is not None and left > 1:
            share /= left
        stage = dataclasses.replace(problem, stages=(terms,), sums_at_most=tuple(kept))
        search = Search(stage, dataclasses.replace(settings, time_limit=share, warm_start=warm), name=name)
        if index == 0:
            search.began = began
            search.settings = dataclasses.replace(
                search.settings, time_limit=None if share is None else share + time.perf_counter() - began
            )
        if searches and searches[-1].best is not None:
            search.accept(dataclasses.replace(searches[-1].best))
        search = _run(solver, stage, search, warm)
        searches.append(search)
        if search.best is None or search.value is None or (search.interrupted and not search.proved):
            break
        kept.append((terms, search.value))
    return searches


def _run(solver: Solver, problem: MappingProblem, search: Search, warm: Plan | None) -> Search:
    def work() -> None:
        if warm is not None:
            search.start_from(warm)
        solver.run(problem, search)

    return run_cancellable(search, work)


def _result(problem: MappingProblem, searches: list[Search], name: str, settings: Settings) -> Result:
    first, last = searches[0], searches[-1]
    chosen = next((s for s in reversed(searches) if s.best is not None), first)
    plan, cost = None, None
    violations: tuple[Violation, ...] = ()
    if chosen.best is not None:
        plan, cost = _final_plan(chosen), chosen.best.cost
        violations = check(problem.instance, plan, cost=cost)
    value = None if cost is None else objective_value(problem.stages[0], cost)
    bound = first.bound
    if bound is not None and value is not None and bound > value * (1 + TOLERANCE) + 1e-12:
        raise SolverError(
            f"{name} claims the bound {bound!r} ({first.bound_name}), yet a checked plan costs {value!r}"
        )
    if wrong := contradiction(first):
        raise SolverError(wrong)
    stages_done = len(searches) == len(problem.stages) and all(s.proved for s in searches)
    status: Status
    if first.infeasible is not None:
        status = "infeasible"
    elif cost is None:
        status = "unknown"
    elif violations:
        status = "error"
    else:
        status = "optimal" if stages_done and (first.gap or 0.0) <= GAP_TOLERANCE else "feasible"
    return Result(
        status=status,
        stop_reason=last.stop_reason if stages_done or not last.proved else "time_limit",
        objective=ObjectiveValue(
            name=objective_name(problem.stages), value=value, unit=objective_unit(problem.stages[0])
        ),
        bound=bound,
        bound_name=first.bound_name,
        gap=None if value is None or bound is None else max(0.0, value - bound) / max(abs(value), 1e-12),
        valid=plan is not None and not violations,
        runtime=first.seconds,
        solver=name,
        seed=settings.seed,
        message=first.infeasible or "",
        cost=cost,
        plan=plan,
        history=tuple(entry for s in searches[:1] for entry in s.history),
        violations=tuple(violations),
        versions=versions(),
    )


def _final_plan(search: Search) -> Plan:
    """The incumbent as a plan file, with the derived times for its readers."""
    assert search.best is not None
    plan = search.best.plan
    times = {
        name: (search.best.starts[name], search.best.ends[name]) for name in search.best.decisions.call_names
    }
    return msgspec.structs.replace(plan, times=times, instance=search.problem.instance_hash)
