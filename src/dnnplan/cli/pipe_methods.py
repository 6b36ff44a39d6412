"""What `dnnplan pipe` can be asked for: solve, check, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.files import loads_instance, loads_plan
from dnnplan.instances.instance import Instance
from dnnplan.instances.pipe_records import PipeCheck, PipeEvaluation, PipeRequest
from dnnplan.instances.plan import Plan
from dnnplan.solvers.cancellation import Cancellation
from dnnplan.solvers.search import Progress

if TYPE_CHECKING:
    from dnnplan.cli.pipe_server import PipeLimits

SECONDS = 60.0
"""Time limit of requests without one, as in `dnnplan.solve`."""

Tell = Callable[[Progress], None]


class Call(Protocol):
    """A method: returns members of its event."""

    def __call__(
        self, request: PipeRequest, limits: PipeLimits, cancel: Cancellation, tell: Tell
    ) -> dict[str, Any]:
        """Do what is asked for."""


def solve(request: PipeRequest, limits: PipeLimits, cancel: Cancellation, tell: Tell) -> dict[str, Any]:
    """Plan the instance."""
    from dnnplan.solvers import solve as run

    asked = request.time_limit
    if asked is None and request.work_limit is None:
        asked = SECONDS
    seconds = min((s for s in (asked, limits.seconds) if s is not None), default=None)
    result = run(
        _instance(request),
        request.solver,
        problem=request.problem,
        objective=request.objective,
        limits=request.limits,
        time_limit=seconds,
        work_limit=request.work_limit,
        workers=min(request.workers, limits.workers),
        seed=request.seed,
        gap=request.gap,
        warm_start=None if request.warm_start is None else _plan(request.warm_start, "warm_start"),
        on_progress=tell if request.progress else None,
        stop=cancel,
    )
    return {"result": result}


def check(request: PipeRequest, limits: PipeLimits, cancel: Cancellation, tell: Tell) -> dict[str, Any]:
    """List the rules that a plan breaks."""
    from dnnplan.costs.check import check as find_violations

    found = find_violations(_instance(request), _asked_plan(request))
    return {"check": PipeCheck(valid=not found, violations=tuple(found))}


def evaluate(request: PipeRequest, limits: PipeLimits, cancel: Cancellation, tell: Tell) -> dict[str, Any]:
    """Say what a plan costs."""
    from dnnplan.costs import evaluate as evaluation_of
    from dnnplan.costs.objectives import is_feasible

    instance, plan = _instance(request), _asked_plan(request)
    if plan.problem == "mapping":
        evaluation = evaluation_of(instance, plan)
        return {"evaluation": PipeEvaluation(feasible=is_feasible(evaluation), cost=evaluation.cost)}
    from dnnplan.solvers.tasks import VIEWS, with_problem

    instance, kind = with_problem(instance, plan.problem)
    judged = VIEWS[kind](instance).judge(plan)
    return {"evaluation": PipeEvaluation(feasible=judged.feasible, measures=judged.measures)}


METHODS: dict[str, Call] = {"solve": solve, "check": check, "evaluate": evaluate}


def _instance(request: PipeRequest) -> Instance:
    if request.instance is None:
        raise InputError(problems=[Problem("instance", f"missing, {request.method} needs one")])
    if isinstance(request.instance, str):
        return load_bundled(request.instance)
    return loads_instance(msgspec.json.encode(request.instance), syntax="json", source="instance")


def _asked_plan(request: PipeRequest) -> Plan:
    if request.plan is None:
        raise InputError(problems=[Problem("plan", f"missing, {request.method} needs one")])
    return _plan(request.plan, "plan")


def _plan(tree: dict[str, Any], where: str) -> Plan:
    return loads_plan(msgspec.json.encode(tree), syntax="json", source=where)
