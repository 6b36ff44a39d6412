"""The instance as `check` sees it: jobs, their layers by plan key, and what each costs on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import TypeVar

from msgspec import Struct

from dnnplan.costs.check.ends import End, Ends
from dnnplan.instances import DeviceRule, Instance, InstanceError, Layer, Link, Model, Task
from dnnplan.instances.plan import layer_key

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Job:
    """One activation of a task; its layers have the numbers `first`, `first` + 1, ..."""

    index: int
    task: Task
    task_index: int
    number: int
    release: float
    model: Model
    first: int
    layer_index: dict[str, int]

    def key(self, name: str) -> str:
        """Plan key of a layer or tensor of this job."""
        return layer_key(self.task.name, self.number, name)


class Move(Struct, gc=False):
    """Seconds of a transfer, the link it uses, and whether it is zero-copy."""

    seconds: float
    link: Link | None
    free: bool


def job_counts(tasks: tuple[Task, ...]) -> list[int]:
    """Jobs of each task in one hyperperiod (periods are taken as the decimals they are written as).

    >>> job_counts((Task(name="a", model="m", period=0.2), Task(name="b", model="m", period=0.3)))
    [3, 2]
    """
    periods = [Fraction(str(task.period)) for task in tasks if task.period is not None]
    if not periods:
        return [1] * len(tasks)
    numerator = lcm(*(period.numerator for period in periods))
    denominator = gcd(*(period.denominator for period in periods))
    whole = Fraction(numerator, denominator)
    return [1 if task.period is None else int(whole / Fraction(str(task.period))) for task in tasks]


class Setting:
    """Everything that a plan is checked against, resolved straight from the instance.

    Raises
    ------
    InstanceError
        Without a platform, or with host staging but no host, or a task of an unknown model.
    """

    def __init__(self, instance: Instance) -> None:
        if instance.platform is None:
            raise InstanceError("platform: a mapping plan cannot be checked without one")
        self.instance = instance
        self.execution = instance.platform.execution
        self.ends = Ends(instance.platform)
        if self.execution.staging == "host" and self.ends.host is None:
            raise InstanceError("platform.host: host staging needs a host")
        self.tasks = instance.effective_tasks()
        self.models = {model.name: model for model in instance.models}
        self.jobs: list[Job] = []
        self.layers: list[Layer] = []
        self.keys: list[str] = []
        self.job_of: list[Job] = []
        self._add_jobs()
        self.number_of = {key: number for number, key in enumerate(self.keys)}
        self._touched = {name: touched_bytes(model) for name, model in self.models.items()}

    def _add_jobs(self) -> None:
        indices: dict[str, dict[str, int]] = {}
        for task_index, (task, count) in enumerate(zip(self.tasks, job_counts(self.tasks), strict=True)):
            model = self.models.get(task.model)
            if model is None:
                raise InstanceError(f"tasks[{task_index}].model: unknown model {task.model!r}")
            index = indices.setdefault(model.name, {layer.name: i for i, layer in enumerate(model.layers)})
            for number in range(count):
                release = task.release + number * (task.period or 0)
                first = len(self.keys)
                job = Job(len(self.jobs), task, task_index, number, release, model, first, index)
                self.jobs.append(job)
                prefix = job.key("")
                self.keys.extend([prefix + layer.name for layer in model.layers])
                self.layers.extend(model.layers)
                self.job_of.extend([job] * len(model.layers))

    def refusal(self, number: int, device: int, seconds: float | None) -> str | None:
        """Why a device cannot run a layer (`seconds`: what it takes there, if known); None where it can."""
        layer, end = self.layers[number], self.ends.devices[device]
        operators = end.spec.operators
        if operators is not None and layer.op not in operators:
            return f"its operators {list(operators)} do not hold {layer.op!r}"
        if layer.devices is not None:
            reason = forbidden(layer.devices, (end.name, end.base))
            if reason is not None:
                return reason
        if seconds is not None:
            return None
        model = self.job_of[number].model
        if layer.name in self.instance.costs.latency.get(model.name, {}):
            return f"costs.latency has no entry for it in the row of {model.name}/{layer.name}"
        return f"it has no peak_flops for {model.dtype!r}"

    def seconds(self, number: int, device: int) -> float | None:
        """Compute time of a layer on a device (docs/cost-model.md, 2); None: neither table nor peak."""
        layer, job, end = self.layers[number], self.job_of[number], self.ends.devices[device]
        rows = self.instance.costs.latency.get(job.model.name)
        if rows is not None and layer.name in rows:
            return by_name(rows[layer.name], end)
        spec, batch = end.spec, job.task.batch
        compute = 0.0
        if layer.flops > 0:
            peak = spec.peak_flops.get(job.model.dtype) or spec.peak_flops.get("*")
            if peak is None:
                return None
            share = spec.efficiency.get(layer.op) or spec.efficiency.get("*") or 1.0
            compute = batch * layer.flops / (peak * share)
        bandwidth = self.ends.bandwidth[end.memory]
        if bandwidth is not None:
            touched = layer.weight_bytes + batch * self._touched[job.model.name][layer.name]
            compute = max(compute, touched / bandwidth)
        return compute + spec.overhead

    def joules(self, number: int, device: int, seconds: float) -> float:
        """Compute energy of a layer that runs for `seconds` on a device."""
        layer, end = self.layers[number], self.ends.devices[device]
        rows = self.instance.costs.energy.get(self.job_of[number].model.name)
        if rows is not None and layer.name in rows:
            return by_name(rows[layer.name], end) or 0.0
        return end.spec.power.active * seconds

    def move(self, model: str, tensor: str | None, source: int, target: int, size: float) -> Move | None:
        """Move `size` bytes (batch included) of a tensor, or of weights (no tensor); None: no route."""
        route = self.ends.route(source, target)
        tables = self.instance.costs.transfer
        if tables and tensor is not None:
            stated = self._stated(tables.get(model, {}).get(tensor, {}), source, target)
            if stated is not None:
                return Move(stated, route.link if route is not None else None, False)
        if route is None:
            return None
        link = route.link
        if link is None:
            return Move(0.0, None, True)
        return Move(link.latency + (size / link.bandwidth if link.bandwidth else 0.0), link, False)

    def _stated(self, table: Mapping[str, Mapping[str, float]], source: int, target: int) -> float | None:
        for start in self.ends.names(source):
            for stop in self.ends.names(target):
                if stop in table.get(start, {}):
                    return table[start][stop]
        return None


def forbidden(rule: DeviceRule, names: tuple[str, str]) -> str | None:
    """Why a layer's rule excludes a device of these names (its own, and that of the device it copies)."""
    if rule.fix is not None and rule.fix not in names:
        return f"the layer is fixed to {rule.fix}"
    if rule.allow is not None and not any(name in names for name in rule.allow):
        return f"the layer is only allowed on {list(rule.allow)}"
    if any(name in names for name in rule.forbid):
        return "the layer forbids it"
    return None


def by_name(row: Mapping[str, Value], end: End) -> Value | None:
    """Entry of a device copy in a table: its own, else that of the device it copies."""
    return row[end.name] if end.name in row else row.get(end.base)


def touched_bytes(model: Model) -> dict[str, float]:
    """Bytes of the tensors that each layer reads and writes for one sample, each tensor counted once."""
    touched: dict[str, float] = {layer.name: 0 for layer in model.layers}
    for tensor in model.tensors:
        if tensor.source is not None:
            touched[tensor.source] += tensor.bytes
        for reader in dict.fromkeys(tensor.targets):
            touched[reader] += tensor.read_bytes.get(reader, tensor.bytes)
    return touched
