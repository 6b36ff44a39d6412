"""`solve` for the problems of tasks (grouping, choosing networks, ordering, grouping with ordering) and serving."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from dnnplan.costs.check import check
from dnnplan.costs.joint import joint_problem
from dnnplan.costs.judged import Judged, TaskProblem, Terms
from dnnplan.costs.objectives import TOLERANCE, UNITS, objective_name
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.serving.offline import offline_serving
from dnnplan.costs.sharing.expand import levels_of
from dnnplan.costs.sharing.grouping import MEASURES as GRAPH_MEASURES
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.costs.sharing.selection import selection_problem
from dnnplan.costs.whole import MAPPING_LIMITS, WholeAnswer, whole_problem
from dnnplan.instances import Instance, ObjectiveValue, Plan, Result, SolverError, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.result import GAP_TOLERANCE, Sense, Status
from dnnplan.solvers.back_ends import contradiction
from dnnplan.solvers.cancellation import cancelled_result, run_cancellable, view_of
from dnnplan.solvers.registry import Solver, get_solver
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.versions import versions

VIEWS: dict[str, Callable[[Instance], TaskProblem]] = {
    "grouping": grouping_problem,
    "selection": selection_problem,
    "ordering": ordering_problem,
    "joint": joint_problem,
    "whole": whole_problem,
    "serving": offline_serving,
}
MAPPED = frozenset(UNITS) - {"energy"}
"""Measures of mappings that nothing else has."""
NEAREST_SECONDS = 5.0
"""Longest search for the nearest value of a limit that cannot be kept."""


DEFAULTS = {
    "grouping": "variety",
    "selection": "loss",
    "ordering": "switching",
    "joint": "switching",
    "whole": "latency",
    "serving": "mean_latency",
}
"""Objectives where an instance states none for its problem."""


def _by_sections(instance: Instance) -> str:
    """The problem of an instance whose objective could be that of every mapping."""
    if instance.platform is None and not instance.models:
        if instance.ordering is not None:
            return "ordering"
        if instance.sharing is not None:
            return "selection" if instance.sharing.candidates else "grouping"
    return "mapping"


def problem_of(instance: Instance) -> str:
    """What an instance asks for: by its objective, and by its sections where it states none but the default.

    Measures of task graphs and of mappings together, be some of them limits, ask for the whole plan.

    Examples
    --------
    >>> from dnnplan.instances import Instance, Ordering
    >>> problem_of(Instance()), problem_of(Instance(objective="variety")), problem_of(Instance(ordering=Ordering()))
    ('mapping', 'grouping', 'ordering')
    """
    names = {name for stage in parse_objective(instance.objective) for name, _ in stage}
    if _asks_for_whole(instance, names):
        return "whole"
    if names & {"loss", "affinity"}:
        return "selection"
    if names & {"variety", "task_variety", "size", "execution_cost"}:
        return "joint" if names & {"switching", "expected", "energy"} else "grouping"
    if names & {"switching", "expected", "mean_latency", "late"}:
        return "ordering" if names & {"switching", "expected"} else "serving"
    return _by_sections(instance)


def _asks_for_whole(instance: Instance, names: set[str]) -> bool:
    """Whether objective and limits are about the task graph and about the mapping, which there is a platform for."""
    graph = names & set(GRAPH_MEASURES)
    if names & MAPPED and graph:
        return True
    several = sum(device.count for device in instance.platform.devices) > 1 if instance.platform else False
    limited = any(getattr(instance.limits, name) is not None for name in GRAPH_MEASURES)
    return several and levels_of(instance) > 0 and limited and names <= set(UNITS)


def _is_whole(instance: Instance, *, explicit: bool) -> bool:
    """Whether a task graph with an order means the whole plan: where the tasks run is to be decided as well."""
    platform = instance.platform
    if platform is None or not platform.devices:
        return False
    names = {name for stage in parse_objective(instance.objective) for name, _ in stage}
    if names & {"switching", "expected"} or instance.limits.switching is not None:
        return False
    if sum(device.count for device in platform.devices) > 1:
        return True
    limited = any(getattr(instance.limits, name) is not None for name in (*MAPPED, *MAPPING_LIMITS))
    asked = names & MAPPED and (explicit or instance.objective != "latency")
    return limited or bool(asked) or levels_of(instance) == 0


def with_problem(instance: Instance, problem: str | None, *, explicit: bool = False) -> tuple[Instance, str]:
    """The problem to solve, and the instance with an objective for it.

    Choosing networks (``selection``) is the kind of grouping for losses and affinities of candidates. The objective
    ``latency`` is that of mapping, and the default of every instance: other problems take their own default instead,
    and so does a problem that is named where the instance's objective is about another one. ``joint`` is the whole
    plan (``whole``) where the platform has several devices, where objective or limits are about the mapping, and where
    nothing can be shared.

    Parameters
    ----------
    explicit
        Whether somebody has asked for the objective: then it stays.
    """
    found = problem_of(instance)
    chosen = problem or found
    only_candidates = (
        instance.sharing is not None and instance.sharing.candidates and not instance.sharing.affinity
    )
    if chosen == "grouping" and (
        found == "selection" or (only_candidates and instance.objective == "latency")
    ):
        chosen = "selection"
    if chosen == "joint" and _is_whole(instance, explicit=explicit):
        chosen = "whole"
    if chosen == "whole" and found == "mapping":
        # An objective of mapping is one of the whole plan.
        found = "whole"
    other = not explicit and chosen != found
    if chosen in DEFAULTS and (instance.objective == "latency" or other):
        instance = replace(instance, objective=DEFAULTS[chosen])
    return instance, chosen


def solve_tasks(instance: Instance, problem: str, solver: str, settings: Settings, began: float) -> Result:
    """Solve a problem of tasks; `instance` is valid and has its objective and limits.

    Raises
    ------
    UnsupportedError
        Unknown solver, or an objective that it cannot optimise.
    """
    chosen = get_solver(solver, problem)
    view = view_of(VIEWS[problem], instance, settings)
    if view is None:
        return cancelled_result(instance, solver, settings, began)
    _require_objectives(solver, chosen, view)
    searches = _run_stages(view, chosen, solver, settings, began)
    result = _result(view, searches, solver, settings)
    if result.status == "infeasible" and view.limits:
        return replace(result, message=nearest_limits(instance, problem, view, settings) or result.message)
    return result


def _require_objectives(name: str, solver: Solver, view: TaskProblem) -> None:
    able = solver.capabilities.objectives
    for term in (term for stage in view.stages for term, _ in stage):
        if term not in able:
            raise UnsupportedError(
                f"solver '{name}' does not optimise '{term}'; it optimises {', '.join(able)}"
            )


def _run_stages(
    view: Any, solver: Solver, name: str, settings: Settings, began: float
) -> list[TaskSearch[Any]]:
    """One search for each stage of a lexicographic objective; later ones may not worsen earlier ones."""
    searches: list[TaskSearch[Any]] = []
    kept: list[tuple[Terms, float]] = list(view.sums_at_most)
    for index, terms in enumerate(view.stages):
        stage = dataclasses.replace(view, stages=(terms,), sums_at_most=tuple(kept))
        limit = settings.time_limit
        if limit is not None:
            spent = time.perf_counter() - began
            limit = spent + max(0.0, limit - spent) / (len(view.stages) - index)
        search = TaskSearch(stage, dataclasses.replace(settings, time_limit=limit), name=name, began=began)
        known = searches[-1].best if searches else None
        searches.append(search := run_cancellable(search, _work(solver, search, settings, known)))
        if search.best is None or search.value is None or (search.interrupted and not search.proved):
            break
        kept.append((terms, search.value))
    return searches


def _work(
    solver: Solver, search: TaskSearch[Any], settings: Settings, known: Judged | None
) -> Callable[[], None]:
    """A stage from the warm start and the best answer of the stage before."""

    def work() -> None:
        if settings.warm_start is not None:
            search.start_from(settings.warm_start)
        if known is not None:
            search.propose(known.decisions)
        solver.run(search.problem, search)

    return work


def _result(view: TaskProblem, searches: list[TaskSearch[Any]], name: str, settings: Settings) -> Result:
    first, last = searches[0], searches[-1]
    found = next((s for s in reversed(searches) if s.best is not None), first)
    sign = -1.0 if view.sense == "max" else 1.0
    sense: Sense = "max" if view.sense == "max" else "min"
    plan: Plan | None = None
    measures: dict[str, float] = {}
    value = violations = cost = None
    if found.best is not None:
        plan, measures = view.plan(found.best), found.best.measures
        value = _first_stage(view, measures, sign)
        cost = found.best.decisions.evaluation.cost if isinstance(found.best.decisions, WholeAnswer) else None
        violations = check(view.instance, plan, measures=measures, cost=cost)
    bound = None if first.bound is None or math.isinf(first.bound) else first.bound
    if bound is not None and value is not None and bound > value + TOLERANCE * abs(value) + 1e-9:
        raise SolverError(
            f"{name} claims the bound {bound!r} ({first.bound_name}), yet a checked plan costs {value!r}"
        )
    if wrong := contradiction(first):
        raise SolverError(wrong)
    gap = None if value is None or bound is None else max(0.0, value - bound) / max(abs(value), 1e-12)
    done = len(searches) == len(view.stages) and all(s.proved for s in searches)
    status: Status
    if first.infeasible is not None:
        status = "infeasible"
    elif plan is None:
        status = "unknown"
    elif violations:
        status = "error"
    else:
        status = "optimal" if done and (gap or 0.0) <= GAP_TOLERANCE else "feasible"
    return Result(
        status=status,
        stop_reason=last.stop_reason if done or not last.proved else "time_limit",
        objective=ObjectiveValue(
            name=objective_name(view.stages),
            value=None if value is None else sign * value,
            unit=_unit(view),
            sense=sense,
        ),
        bound=None if bound is None else sign * bound,
        bound_name=first.bound_name,
        gap=gap,
        valid=plan is not None and not violations,
        runtime=first.seconds,
        solver=name,
        seed=settings.seed,
        message=first.infeasible or "",
        cost=cost,
        plan=plan,
        history=tuple(
            (seconds, None if v is None else sign * v, None if b is None else sign * b)
            for seconds, v, b in first.history
        ),
        violations=violations or (),
        versions=versions(),
        measures=measures,
    )


def _first_stage(view: TaskProblem, measures: dict[str, float], sign: float) -> float:
    return math.fsum(weight * sign * measures[name] for name, weight in view.stages[0])


def _unit(view: TaskProblem) -> str | None:
    """Unit of the first stage; None for sums of different units."""
    units = {view.unit(name) for name, _ in view.stages[0]}
    return units.pop() if len(units) == 1 else None


def nearest_limits(instance: Instance, problem: str, view: TaskProblem, settings: Settings) -> str:
    """Which limit cannot be kept, and the nearest value that can, all other limits kept; empty if nothing is found."""
    for name in view.limits:
        if name not in (*GRAPH_MEASURES, "switching", "energy", "loss") and problem != "whole":
            continue
        if name in MAPPING_LIMITS:
            continue
        others = replace(instance.limits, **{name: None})
        relaxed = VIEWS[problem](replace(instance, objective=name, limits=others))
        solver = get_solver("auto", problem)
        if name not in solver.capabilities.objectives:
            continue
        limits = Settings(time_limit=NEAREST_SECONDS, stop=settings.stop, callbacks=settings.callbacks)
        search = TaskSearch(relaxed, limits, name="auto")
        search = run_cancellable(search, _work(solver, search, limits, None))
        if search.value is not None and search.value > view.limits[name]:
            least = "the least possible" if search.proved else "the least that was found"
            return f"limits.{name}: {view.limits[name]:g} cannot be kept; {least} is {search.value:.9g}"
    return ""
