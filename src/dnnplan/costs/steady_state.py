"""The verdict on a cyclic plan: whether a platform sustains it for ever (docs/cost-model.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.periodic import CyclicPlan, PeriodicProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.result import Violation

TOLERANCE = 1e-9
"""Of the length of a cycle: by how much a moment of a plan may be early or late."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SteadyState:
    """What a cyclic plan does.

    Parameters
    ----------
    factor
        Rate at which it answers requests, relative to that of the instance.
    response
        Longest time from release to completion of a job, by task, seconds.
    load
        (m,) share of the time that each device computes, of one slot.
    violations
        Rules that it breaks; empty: the platform sustains it.
    """

    factor: float
    response: dict[str, float]
    load: FloatArray
    violations: tuple[Violation, ...]


def steady_state(problem: PeriodicProblem, plan: CyclicPlan) -> SteadyState:
    """Judge a cyclic plan: devices, inputs, releases, deadlines and memory. O(n log n + edges)."""
    view = problem.mapping
    place, start = list(plan.place), list(plan.start)
    violations = [
        Violation(
            rule="placement",
            where=view.layers[i],
            message=f"{view.layers[i]} cannot run on {view.devices[d]}",
        )
        for i, d in enumerate(place)
        if not math.isfinite(view.duration[i, d])
    ]
    if violations:
        return SteadyState(
            factor=problem.factor(plan.cycle),
            response={},
            load=np.zeros(view.m),
            violations=tuple(violations),
        )
    end = [s + float(view.duration[i, d]) for i, (s, d) in enumerate(zip(start, place, strict=True))]
    violations += _late_inputs(problem, plan, end)
    violations += _busy_devices(problem, plan)
    violations += _weights(view, place)
    done = completions(problem, place, end)
    violations += _late_jobs(problem, plan, done)
    response: dict[str, float] = {}
    for job, share, moment in zip(view.jobs, problem.release, done, strict=True):
        response[job.task] = max(response.get(job.task, 0.0), moment - float(share) * plan.cycle)
    load = np.zeros(view.m)
    np.add.at(load, place, view.duration[np.arange(view.n), place])
    return SteadyState(
        factor=problem.factor(plan.cycle),
        response=response,
        load=load / plan.cycle,
        violations=tuple(violations),
    )


def ready_moments(
    problem: PeriodicProblem, plan: CyclicPlan, end: list[float]
) -> Iterator[tuple[int, float, str]]:
    """(layer, earliest start, why) for its release and for each of its inputs."""
    view, place = problem.mapping, plan.place
    for i, job in enumerate(view.job_of.tolist()):
        release = float(problem.release[job]) * plan.cycle
        yield i, release, "its job is released"
        for k in view.inputs[i]:
            source = int(view.source[k])
            if source >= 0:
                delay = view.move_seconds(k, place[source], place[i]) if place[source] != place[i] else 0.0
                yield i, end[source] + delay, f"{view.tensors[k]} is there"
            elif view.host:
                yield i, release + view.move_seconds(k, view.m, place[i]), f"{view.tensors[k]} is there"


def _late_inputs(problem: PeriodicProblem, plan: CyclicPlan, end: list[float]) -> Iterator[Violation]:
    for i, moment, why in ready_moments(problem, plan, end):
        early = moment - plan.start[i]
        if early > TOLERANCE * plan.cycle:
            name = problem.mapping.layers[i]
            yield Violation(
                rule="inputs",
                where=name,
                message=f"{name} starts {early:.3g} s before {why}",
                amount=early,
                unit="s",
            )


def _busy_devices(problem: PeriodicProblem, plan: CyclicPlan) -> Iterator[Violation]:
    """Calls of a device with one slot are disjoint modulo the cycle."""
    view = problem.mapping
    for d in range(view.m):
        if view.slots[d] > 1:
            continue
        mine = [i for i in range(view.n) if plan.place[i] == d and view.duration[i, d] > 0]
        mine.sort(key=lambda i: (plan.start[i] % plan.cycle, i))
        for i, j in zip(mine, mine[1:] + mine[:1], strict=True):
            gap = (plan.start[j] - plan.start[i]) % plan.cycle if i != j else plan.cycle
            over = float(view.duration[i, d]) - gap
            if over > TOLERANCE * plan.cycle:
                names = f"{view.layers[i]} and {view.layers[j]}"
                yield Violation(
                    rule="devices",
                    where=view.devices[d],
                    message=f"{view.devices[d]} runs {names} at the same time for {over:.3g} s",
                    amount=over,
                    unit="s",
                )


def _weights(view: MappingProblem, place: list[int]) -> Iterator[Violation]:
    """Pinned weights fit their devices and their memories (section 5)."""
    if view.execution.memory == "none":
        return
    pinned = {
        (int(w), d): float(view.weight_bytes[i])
        for i, (w, d) in enumerate(zip(view.weight_of, place, strict=True))
    }
    for d in range(view.m):
        used = sum(size for (_, at), size in pinned.items() if at == d)
        if used > view.weight_capacity[d]:
            yield Violation(
                rule="memory", where=view.devices[d], message=f"weights of {used:.0f} bytes do not fit"
            )
    for memory, name in enumerate(view.memory_names):
        used = sum(size for (_, at), size in pinned.items() if view.memory_of[at] == memory)
        if used > view.capacity[memory]:
            yield Violation(rule="memory", where=name, message=f"weights of {used:.0f} bytes do not fit")


def completions(
    problem: PeriodicProblem, place: list[int] | tuple[int, ...], end: list[float]
) -> list[float]:
    """When each job is done, outputs on the host included."""
    after = problem.after
    return [max(end[i] + float(after[i, place[i]]) for i in layers) for layers in problem.layers_of_job]


def _late_jobs(problem: PeriodicProblem, plan: CyclicPlan, done: list[float]) -> Iterator[Violation]:
    for job, due, moment in zip(problem.mapping.jobs, problem.due, done, strict=True):
        late = moment - due.moment(plan.cycle) if due is not None else 0.0
        if late > TOLERANCE * plan.cycle:
            where = f"{job.task}/{job.number}"
            yield Violation(
                rule="deadline", where=where, message=f"{where} is {late:.3g} s late", amount=late, unit="s"
            )
