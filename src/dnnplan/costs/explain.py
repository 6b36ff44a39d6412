"""Why a plan costs what it costs: critical path, bottleneck, and what would change the latency most."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
import numpy as np

from dnnplan.costs.critical_path import RELATIVE, Activity, Cause, CriticalPath, PathStep
from dnnplan.costs.decisions import Decisions
from dnnplan.costs.evaluate import Evaluation, evaluate
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.resolve import mapping_problem
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance, Plan
from dnnplan.instances.arguments import require_instance
from dnnplan.instances.fields import Record

FASTER = 1.1
"""By how much a device is sped up in a what-if."""


class Step(Record, omit_defaults=False, kw_only=True):
    """One step of the critical path.

    Parameters
    ----------
    kind
        ``call`` (compute), ``transfer``, or ``wait``: nothing on the path happens.
    name
        The call, or the identifier of the transfer.
    where
        The device of a call, ``source -> target`` of a transfer.
    start, end
        Seconds.
    reason
        Why it could not start earlier.
    """

    kind: Literal["call", "transfer", "wait"]
    name: str
    where: str
    start: float
    end: float
    reason: str


class Utilisation(Record, omit_defaults=False, kw_only=True):
    """How long a device or link is busy: `busy` and `transfer` (devices without overlap) in seconds.

    `share` is the part of the makespan in which it does something.
    """

    name: str
    kind: Literal["device", "link"]
    busy: float
    transfer: float
    share: float


class WhatIf(Record, omit_defaults=False, kw_only=True):
    """A changed platform, and the latency of the same decisions on it, seconds; `gain` is relative."""

    change: str
    latency: float
    gain: float


class Explanation(Record, omit_defaults=False, kw_only=True):
    """Why a plan takes as long as it does.

    Parameters
    ----------
    latency
        Makespan, seconds.
    path
        The critical path in the order of time.
    shares
        Parts of the makespan that the path spends with ``compute``, ``transfer`` and ``wait``; they sum to 1.
    devices, links
        How busy each one is.
    bottleneck
        The one that is busy for the largest part of the makespan; None for an empty plan.
    what_if
        Changes of the platform with the decisions as they are, the largest gain first.
    """

    latency: float
    path: tuple[Step, ...]
    shares: dict[str, float]
    devices: tuple[Utilisation, ...]
    links: tuple[Utilisation, ...]
    bottleneck: Utilisation | None
    what_if: tuple[WhatIf, ...]


def explain(problem: MappingProblem | Instance, plan: Plan | Decisions) -> Explanation:
    """Explain the latency of a plan.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    InputError
        Neither an instance nor its view, or no plan.

    Examples
    --------
    >>> import dnnplan
    >>> instance = dnnplan.load("tiny/hand")
    >>> result = dnnplan.solve(instance, "compute_first", time_limit=10)
    >>> dnnplan.explain(instance, result.plan).path[0].name
    'hand/0/stem'
    """
    if not isinstance(problem, MappingProblem):
        require_instance(problem)
        problem = mapping_problem(problem)
    evaluation = evaluate(problem, plan)
    latency = evaluation.cost.latency
    path = tuple(path_steps(evaluation))
    devices, links = tuple(device_use(evaluation)), tuple(link_use(evaluation))
    return Explanation(
        latency=latency,
        path=path,
        shares=_shares(path, latency),
        devices=devices,
        links=links,
        bottleneck=max((*devices, *links), key=lambda use: use.share, default=None),
        what_if=tuple(sorted(_what_if(evaluation), key=lambda w: w.latency)),
    )


def path_steps(evaluation: Evaluation) -> Iterator[Step]:
    """The critical path with names, and a step for every time that nothing on it happens."""
    critical = CriticalPath(evaluation.graph, evaluation.times)
    now = 0.0
    for step in critical.walk():
        if step.start > now + critical.tolerance:
            yield _wait(evaluation, step.cause, (now, step.start), _name(evaluation, step.activity))
        if step.end > step.start or step.activity.kind == "call":
            yield _named(evaluation, step)
        now = max(now, step.end)
    latency = evaluation.cost.latency
    if latency > now + critical.tolerance:
        at_release = any(job.release == latency for job in evaluation.problem.jobs)
        cause = Cause(None, latency if at_release else now, "a job without layers ends at its release")
        yield _wait(evaluation, cause, (now, latency), "the end")


def _wait(evaluation: Evaluation, cause: Cause, span: tuple[float, float], what: str) -> Step:
    """A step for a time in which nothing that is listed happens on the path."""
    kind: Literal["wait", "transfer"] = "wait"
    reason = cause.reason
    if cause.time < span[1] * (1 - RELATIVE):
        # The list of transfers holds no moves inside one memory, yet a cost table may give them a time.
        kind = "transfer" if evaluation.problem.override else "wait"
        reason = "a move inside one memory, with a time from the cost table"
        reason = reason if kind == "transfer" else "held back by the order of calls or transfers"
    return Step(kind=kind, name=f"before {what}", where="", start=span[0], end=span[1], reason=reason)


def _named(evaluation: Evaluation, step: PathStep) -> Step:
    graph, problem = evaluation.graph, evaluation.problem
    if step.activity.kind == "call":
        where = problem.devices[graph.device[step.activity.number]]
    else:
        t = evaluation.times.transfers[step.activity.number]
        where = f"{problem.ends[t.source]} -> {problem.ends[t.target]}"
    return Step(
        kind=step.activity.kind,
        name=_name(evaluation, step.activity),
        where=where,
        start=step.start,
        end=step.end,
        reason=step.cause.reason,
    )


def _name(evaluation: Evaluation, activity: Activity) -> str:
    if activity.kind == "call":
        return evaluation.decisions.call_names[activity.number]
    return evaluation.times.transfers[activity.number].name(evaluation.graph)


def _shares(path: Iterable[Step], latency: float) -> dict[str, float]:
    """Parts of the makespan by kind of step; what overlaps is counted for the later step only."""
    total = {"call": 0.0, "transfer": 0.0, "wait": 0.0}
    now = 0.0
    for step in path:
        total[step.kind] += max(0.0, step.end - max(now, step.start))
        now = max(now, step.end)
    scale = 1.0 / latency if latency > 0 else 0.0
    return {
        "compute": total["call"] * scale,
        "transfer": total["transfer"] * scale,
        "wait": total["wait"] * scale,
    }


def device_use(evaluation: Evaluation) -> Iterator[Utilisation]:
    """How busy every device is."""
    graph, problem = evaluation.graph, evaluation.problem
    spans: list[list[tuple[float, float]]] = [[] for _ in range(problem.m)]
    compute = [0.0] * problem.m
    for c, d in enumerate(graph.device):
        spans[d].append((evaluation.times.start[c], evaluation.times.end[c]))
        compute[d] += graph.compute[c]
    for d, name in enumerate(problem.devices):
        busy = covered(spans[d])
        moving = 0.0 if problem.execution.overlap else max(0.0, busy - compute[d])
        yield _use(name, "device", busy, moving, evaluation.cost.latency)


def link_use(evaluation: Evaluation) -> Iterator[Utilisation]:
    """How busy every link (channel) is that a transfer uses or could use."""
    problem = evaluation.problem
    spans: list[list[tuple[float, float]]] = [[] for _ in problem.routes.channels]
    for t in evaluation.times.transfers:
        channel = int(problem.routes.channel[t.source, t.target])
        if channel >= 0:
            spans[channel].append((t.start, t.end))
    for name, own in zip(problem.routes.channels, spans, strict=True):
        busy = covered(own)
        yield _use(name, "link", busy, busy, evaluation.cost.latency)


def _use(
    name: str, kind: Literal["device", "link"], busy: float, transfer: float, latency: float
) -> Utilisation:
    share = min(1.0, busy / latency) if latency > 0 else 0.0
    return Utilisation(name=name, kind=kind, busy=busy, transfer=transfer, share=share)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans, seconds.

    >>> covered([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _what_if(evaluation: Evaluation) -> Iterator[WhatIf]:
    problem, decisions = evaluation.problem, evaluation.decisions
    now = evaluation.cost.latency
    for change, changed in _changes(problem):
        latency = evaluate(changed, decisions).cost.latency
        yield WhatIf(change=change, latency=latency, gain=(now - latency) / now if now > 0 else 0.0)


def _changes(problem: MappingProblem) -> Iterator[tuple[str, MappingProblem]]:
    for d, name in enumerate(problem.devices):
        duration = problem.duration.copy()
        duration[:, d] /= FASTER
        yield f"{name} 10 % faster", dataclasses.replace(problem, duration=duration)
    if problem.routes.channels or problem.override:
        yield "all links twice as fast", _with_links(problem, 0.5)
        yield "all transfers free", _with_links(problem, 0.0)
    platform = problem.instance.platform
    if platform is not None and any(device.overhead > 0 for device in platform.devices):
        devices = tuple(msgspec.structs.replace(device, overhead=0) for device in platform.devices)
        lean = msgspec.structs.replace(platform, devices=devices)
        yield (
            "no overhead per layer",
            mapping_problem(msgspec.structs.replace(problem.instance, platform=lean)),
        )


def _with_links(problem: MappingProblem, factor: float) -> MappingProblem:
    """The problem with all times of transfers multiplied by a factor."""
    routes = problem.routes
    return dataclasses.replace(
        problem,
        routes=dataclasses.replace(
            routes, latency=_scaled(routes.latency, factor), per_byte=_scaled(routes.per_byte, factor)
        ),
        load=_scaled(problem.load, factor),
        override={key: seconds * factor for key, seconds in problem.override.items()},
    )


def _scaled(times: FloatArray, factor: float) -> FloatArray:
    """Finite times multiplied by a factor; infinite ones stay (there is no route)."""
    return np.where(np.isfinite(times), times, 0.0) * factor + np.where(np.isfinite(times), 0.0, np.inf)
