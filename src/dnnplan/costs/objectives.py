"""Objectives and limits over the figures of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dnnplan.costs.evaluate import Evaluation
from dnnplan.costs.mapping import MappingProblem
from dnnplan.instances import Cost, UnsupportedError

Terms = tuple[tuple[str, float], ...]

TOLERANCE = 1e-6
UNITS: dict[str, str] = {
    "latency": "s",
    "energy": "J",
    "edp": "J s",
    "traffic": "bytes",
    "max_load": "s",
    "weighted_completion": "s",
    "tardiness": "s",
    "memory": "bytes",
}


def measure(name: str, cost: Cost) -> float:
    """One figure of a plan by the name of its objective.

    Raises
    ------
    UnsupportedError
        The objective is not one of a mapping.
    """
    if name not in UNITS:
        known = ", ".join(UNITS)
        raise UnsupportedError(f"objective '{name}' is not defined for mapping; expected one of {known}")
    if name == "memory":
        return max(cost.memory.values(), default=0.0)
    return float(getattr(cost, name))


def objective_value(terms: Terms, cost: Cost) -> float:
    """Weighted sum of the terms (name, weight) of one stage."""
    return sum(weight * measure(name, cost) for name, weight in terms)


def objective_name(stages: Iterable[Terms]) -> str:
    """The objective as people write it: ``latency``, ``latency=1,energy=0.2``, ``latency>energy``."""

    def stage(terms: Terms) -> str:
        if len(terms) == 1 and terms[0][1] == 1:
            return terms[0][0]
        return ",".join(f"{name}={weight:g}" for name, weight in terms)

    return ">".join(stage(terms) for terms in stages)


def objective_unit(terms: Terms) -> str | None:
    """Unit of one stage; None for sums of different units."""
    units = {UNITS.get(name) for name, _ in terms}
    return units.pop() if len(units) == 1 else None


def is_feasible(evaluation: Evaluation) -> bool:
    """Whether a plan that can run also keeps placement rules, memory and limits.

    A quick test for solvers while they search; `dnnplan.costs.check` has the last word.
    """
    problem, cost = evaluation.problem, evaluation.cost
    if not math.isfinite(cost.latency) or not math.isfinite(cost.energy):
        return False
    place = evaluation.decisions.place
    if any(not math.isfinite(problem.duration[i, d]) for i, d in enumerate(place)):
        return False
    if any(len({place[i] for i in group}) > 1 for group in problem.colocate):
        return False
    return _memory_fits(evaluation) and _limits_hold(evaluation)


def _memory_fits(evaluation: Evaluation) -> bool:
    problem, cost = evaluation.problem, evaluation.cost
    if problem.execution.memory == "none":
        return True
    size = {int(w): float(b) for w, b in zip(problem.weight_of, problem.weight_bytes, strict=True)}
    total = [0.0] * len(problem.memory_names)
    for d, weights in enumerate(evaluation.decisions.pinned):
        held = sum(size[w] for w in weights)
        total[int(problem.memory_of[d])] += held
        if held > problem.weight_capacity[d]:
            return False
    if any(held > capacity for held, capacity in zip(total, problem.capacity, strict=True)):
        return False
    if problem.execution.memory == "static":
        return True
    return all(
        cost.memory[name] <= capacity
        for name, capacity in zip(problem.memory_names, problem.capacity, strict=True)
    )


def _limits_hold(evaluation: Evaluation) -> bool:
    problem, cost = evaluation.problem, evaluation.cost
    for name, limit in problem.limits.items():
        if name in UNITS and measure(name, cost) > limit * (1 + TOLERANCE):
            return False
        if name == "deadline":
            for job, end in zip(problem.jobs, evaluation.completion, strict=True):
                if end - job.release > limit * (1 + TOLERANCE):
                    return False
        if name == "calls_per_device" and most_calls(evaluation) > limit:
            return False
        if name == "switches" and switches(problem, evaluation.decisions.place) > limit:
            return False
    return all(
        objective_value(terms, cost) <= limit * (1 + TOLERANCE) for terms, limit in problem.sums_at_most
    )


def switches(problem: MappingProblem, place: Sequence[int]) -> int:
    """Changes of device in the job that has most of them (docs/cost-model.md, 6).

    A change is a tensor and a device on which layers read it that is not the one where it was made.
    """
    count = [0] * len(problem.jobs)
    for k, readers in enumerate(problem.readers):
        source = int(problem.source[k])
        if source >= 0:
            there = {place[i] for i in readers} - {place[source]}
            count[int(problem.job_of[source])] += len(there)
    return max(count, default=0)


def most_calls(evaluation: Evaluation) -> int:
    """The most calls of a device, those with unlimited slots left out (``limits.calls_per_device``)."""
    problem = evaluation.problem
    unlimited = unlimited_devices(problem)
    return max((len(row) for d, row in enumerate(evaluation.decisions.order) if not unlimited[d]), default=0)


def unlimited_devices(problem: MappingProblem) -> list[bool]:
    """Whether each device runs any number of calls at the same time."""
    platform = problem.instance.platform
    devices = platform.devices if platform is not None else ()
    return [device.slots == "unlimited" for device in devices for _ in range(device.count)]
