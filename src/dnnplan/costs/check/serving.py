"""Plans of serving, judged from docs/cost-model.md, section 12, alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.check.rules import Findings, exceeds
from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.costs.serving.view import serving_problem
from dnnplan.instances import Instance, InstanceError, ObjectiveValue, Plan, Problem, Violation
from dnnplan.instances.plan import Batch

__all__ = ["check_serving"]

FIGURES = 1e-6
"""Relative tolerance of stated measures: sums of other orders differ in the last digits."""
SAME_TIME = 1e-9
"""Relative tolerance of stored starts."""
AFTER_DEADLINE = 1e-12
"""Relative time after its deadline from which a sample is late."""


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """A stage: its network, the number of stages before it there, its device, and costs by size of the batch."""

    network: int
    number: int
    device: str
    seconds: tuple[float, ...]
    joules: tuple[float, ...]
    transfer: tuple[float, ...]
    switch: float


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """A sample of a trace."""

    arrival: float
    network: int
    stages: int
    deadline: float
    weight: float


def check_serving(
    instance: Instance,
    plan: Plan,
    *,
    measures: Mapping[str, float] | None = None,
    objective: ObjectiveValue | None = None,
) -> tuple[Violation, ...]:
    """List every rule that a plan of serving breaks.

    What a batch of a stage costs is read from the view of the instance; everything else is worked out here: which
    samples there are, which batches are whole, when they can start at the earliest, and all figures. Stored starts are
    kept where they are later than that (a policy may wait); all of them 0 means that none are stored. O(members log
    members).

    Parameters
    ----------
    measures, objective
        What the answer claims; compared with what the batches give.

    Raises
    ------
    InputError
        The instance has no costs of its stages, or its streams are no traces that say where samples leave.
    """
    found = Findings()
    if plan.instance and plan.instance != instance.hash():
        found.report("instance", "instance", "the plan was made for another instance")
    view = serving_problem(instance)
    stages, samples = _read_stages(view), _read_samples(instance, view)
    if not _check_batches(plan, stages, samples, _largest(stages), found):
        return tuple(found)
    run = _Run(stages, samples)
    stored = any(batch.start for batch in plan.batches)
    for k, batch in enumerate(plan.batches):
        run.batch(k, batch, found, stored=stored)
    own = run.figures(view)
    _check_stated(own, measures or {}, objective, found)
    return tuple(found)


def _largest(stages: Mapping[str, _Stage]) -> int:
    return max((len(stage.seconds) - 1 for stage in stages.values()), default=0)


def _read_stages(view: ServingProblem) -> dict[str, _Stage]:
    """Stages by name."""
    found: dict[str, _Stage] = {}
    counts: dict[int, int] = {}
    for q, name in enumerate(view.stages):
        network = int(view.model[q])
        found[name] = _Stage(
            network=network,
            number=counts.get(network, 0),
            device=view.devices[int(view.device[q])],
            seconds=tuple(view.latency[q].tolist()),
            joules=tuple(view.energy[q].tolist()),
            transfer=tuple(view.transfer[q].tolist()),
            switch=float(view.switch[q]),
        )
        counts[network] = counts.get(network, 0) + 1
    return found


def _read_samples(instance: Instance, view: ServingProblem) -> list[_Sample]:
    """All samples in the order of their identifiers: by arrival, then stream, then position in the stream."""
    streams = () if instance.workload is None else instance.workload.streams
    found: list[tuple[float, int, int, _Sample]] = []
    for s, stream in enumerate(streams):
        network = view.streams[s].model
        exits = [
            name.split("/", 1)[1] for name, m in zip(view.stages, view.model, strict=True) if m == network
        ]
        if stream.arrivals.kind != "trace":
            where = f"workload.streams[{s}].arrivals"
            raise InstanceError(problems=[Problem(where, f"{stream.arrivals.kind}, expected a trace")])
        certain = [k for k, share in enumerate(view.streams[s].exits) if share == 1.0]
        for k, arrival in enumerate(stream.arrivals.times):
            count = len(exits)
            if stream.arrivals.exits:
                count = exits.index(stream.arrivals.exits[k]) + 1 if stream.arrivals.exits[k] else count
            elif stream.arrivals.confidences:
                sure = enumerate(zip(exits[:-1], stream.arrivals.confidences[k], strict=True))
                leaves = (i for i, (name, c) in sure if c >= stream.thresholds.get(name, np.inf))
                count = next(leaves, count - 1) + 1
            elif certain:
                count = certain[0] + 1
            else:
                where = f"workload.streams[{s}].arrivals.exits"
                raise InstanceError(problems=[Problem(where, "missing, expected where each sample leaves")])
            sample = _Sample(
                arrival=float(arrival),
                network=network,
                stages=count,
                deadline=float(arrival) + (np.inf if stream.slo is None else float(stream.slo)),
                weight=float(stream.weight),
            )
            found.append((sample.arrival, s, k, sample))
    return [entry[3] for entry in sorted(found, key=lambda entry: entry[:3])]


def _check_batches(
    plan: Plan, stages: Mapping[str, _Stage], samples: list[_Sample], largest: int, found: Findings
) -> bool:
    """Judge what is in the batches; False where they cannot be timed."""
    done: dict[int, list[int]] = {j: [] for j in range(len(samples))}
    for k, batch in enumerate(plan.batches):
        where, stage = f"batches[{k}]", stages.get(batch.stage)
        if not 1 <= len(batch.samples) <= largest:
            found.report(
                "batch",
                where,
                f"a batch of {len(batch.samples)} samples, expected 1 to {largest}",
                float(max(len(batch.samples) - largest, 1 - len(batch.samples))),
            )
        if not (np.isfinite(batch.start) and batch.start >= 0):
            found.report("number", where, f"start is {batch.start!r}, expected a number >= 0")
        if stage is None:
            found.report("unknown", where, f'"{batch.stage}" is not a stage')
        for j in batch.samples:
            if j not in done:
                found.report("unknown", where, f"sample {j} does not exist; there are {len(samples)}")
            elif batch.samples.count(j) > 1 and stage is not None:
                found.report("sample", where, f"sample {j} is {batch.samples.count(j)} times in the batch")
                break
            elif stage is not None and stage.network != samples[j].network:
                found.report("sample", where, f"sample {j} is of another network than {batch.stage}")
            elif stage is not None:
                _check_turn(k, j, stage, batch.stage, samples[j], done[j], found)
                done[j].append(stage.number)
    for j, numbers in done.items():
        if missing := sorted(set(range(samples[j].stages)) - set(numbers)):
            message = f"sample {j} does not run {len(missing)} of its {samples[j].stages} stages"
            found.report(
                "sample", f"sample {j}", f"{message}, the first is number {missing[0]}", len(missing)
            )
    return not found.breaks("batch", "unknown", "sample", "sample_order", "number")


def _check_turn(
    k: int, j: int, stage: _Stage, name: str, sample: _Sample, numbers: list[int], found: Findings
) -> None:
    """Whether it is this stage's turn for a sample."""
    where = f"batches[{k}]"
    if stage.number in numbers:
        found.report("sample", where, f"sample {j} runs {name} twice")
    elif stage.number >= sample.stages:
        message = f"sample {j} runs {name}, but leaves after {sample.stages} stages"
        found.report("sample", where, message, float(stage.number + 1 - sample.stages))
    elif stage.number and stage.number - 1 not in numbers:
        found.report("sample_order", where, f"sample {j} runs {name} before the stage in front of it")


class _Run:
    """Batch after batch: when devices and samples are free."""

    def __init__(self, stages: Mapping[str, _Stage], samples: list[_Sample]) -> None:
        self.stages, self.samples = stages, samples
        self.free = [sample.arrival for sample in samples]
        self.left = [0.0] * len(samples)
        self.device_free: dict[str, float] = {}
        self.device_ran: dict[str, frozenset[int]] = {}
        self.work: dict[str, float] = {}
        self.joules = 0.0
        self.end = 0.0

    def batch(self, k: int, batch: Batch, found: Findings, *, stored: bool) -> None:
        """Run one batch, at its stored start where that is possible and later than it has to be."""
        stage, size = self.stages[batch.stage], len(batch.samples)
        samples_free = max(self.free[j] for j in batch.samples)
        device_free = self.device_free.get(stage.device, 0.0)
        start = max(samples_free, device_free)
        if stored:
            where = f"batches[{k}]"
            if exceeds(samples_free, batch.start, SAME_TIME):
                j = max(batch.samples, key=self.free.__getitem__)
                what = "has come" if stage.number == 0 else "has ended the stage before"
                early = samples_free - batch.start
                message = f"{batch.stage} starts at {batch.start:g} s, {early:g} s before sample {j} {what}"
                found.report("batch_start", where, message, early, "s")
            if exceeds(device_free, batch.start, SAME_TIME):
                early = device_free - batch.start
                message = (
                    f"{batch.stage} starts at {batch.start:g} s, {early:g} s before {stage.device} is free"
                )
                found.report("batch_overlap", where, message, early, "s")
            start = max(start, batch.start)
        back = set(batch.samples) - self.device_ran.get(stage.device, frozenset())
        seconds = stage.seconds[size] + stage.switch * len(back)
        end = start + seconds
        self.device_free[stage.device], self.device_ran[stage.device] = end, frozenset(batch.samples)
        self.work[stage.device] = self.work.get(stage.device, 0.0) + seconds
        self.joules += stage.joules[size]
        self.end = max(self.end, end)
        for j in batch.samples:
            self.free[j] = end + stage.transfer[size]
            self.left[j] = end

    def figures(self, view: ServingProblem) -> dict[str, float]:
        """Everything that an answer may claim."""
        if not self.samples:
            names = ("mean_latency", "late", "p50", "p95", "p99", "energy", "makespan")
            return dict.fromkeys(names, 0.0)
        began = min(sample.arrival for sample in self.samples)
        for d, name in enumerate(view.devices):
            self.joules += float(view.idle_power[d]) * (self.end - began - self.work.get(name, 0.0))
        pairs = list(zip(self.samples, self.left, strict=True))
        latencies = sorted(left - sample.arrival for sample, left in pairs)
        weight = sum(sample.weight for sample in self.samples)
        whole = sum(sample.weight * (left - sample.arrival) for sample, left in pairs)
        return {
            "mean_latency": whole / weight if weight > 0 else 0.0,
            "late": sum(s.weight for s, left in pairs if not left <= s.deadline * (1 + AFTER_DEADLINE)),
            "p50": _quantile(latencies, 0.5),
            "p95": _quantile(latencies, 0.95),
            "p99": _quantile(latencies, 0.99),
            "energy": self.joules,
            "makespan": self.end,
        }


def _quantile(ascending: list[float], share: float) -> float:
    """Linear between the values of rank floor and ceiling of share x (n - 1), counted from 0."""
    place = share * (len(ascending) - 1)
    below = int(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (place - below) * (ascending[above] - ascending[below])


def _check_stated(
    own: dict[str, float], measures: Mapping[str, float], objective: ObjectiveValue | None, found: Findings
) -> None:
    """Rules `measure` and `objective`: what an answer claims."""
    for name, stated in measures.items():
        if name not in own:
            found.report("measure", name, f"{name} is stated, and no figure of such a plan")
        elif _differ(stated, own[name]):
            message = f"{name} is stated as {stated!r}, the batches give {own[name]!r}"
            found.report("measure", name, message, abs(stated - own[name]))
    if objective is None:
        return
    name, _, weight = (part.strip() for part in objective.name.partition("="))
    if name not in own or objective.value is None:
        what = "has no value although there is a plan" if name in own else "is none of serving"
        found.report("objective", objective.name, f"objective {objective.name} {what}")
        return
    total = own[name] * float(weight or 1)
    if _differ(objective.value, total):
        message = f"{objective.name} is stated as {objective.value!r}, the batches give {total!r}"
        found.report("objective", objective.name, message, abs(objective.value - total))


def _differ(stated: float, own: float) -> bool:
    return exceeds(stated, own, FIGURES) or exceeds(own, stated, FIGURES)
