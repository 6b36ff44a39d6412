"""From an instance to the mapping problem: every cost resolved once."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from dnnplan.costs.compute import compute_costs
from dnnplan.costs.mapping import Job, MappingProblem
from dnnplan.costs.routes import FloatArray, device_copies, resolve_routes
from dnnplan.instances import Instance, InstanceError, Model, Platform, Problem, Task, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.plan import layer_key

MAX_JOBS = 100_000


def mapping_problem(instance: Instance) -> MappingProblem:
    """Resolve every cost of an instance that the mapping problem needs.

    Raises
    ------
    InstanceError
        A section is missing that mapping reads (platform with devices, models), or names do not resolve.
    UnsupportedError
        The instance asks for memory contention.
    """
    platform = _require_platform(instance)
    if not instance.models:
        raise InstanceError(problems=[Problem("models", "mapping needs at least one model; found none")])
    if platform.execution.contention == "memory":
        raise UnsupportedError(
            "platform.execution.contention: 'memory' is reserved (docs/cost-model.md, 4.4); use 'none' or 'links'"
        )
    hardware = _hardware(platform)
    work = _work(instance, platform, len(hardware["devices"]))
    routes = hardware["routes"]
    m = len(hardware["devices"])
    host = platform.host is not None
    if host:
        load = (
            routes.latency[m, :m][None, :] + work["weight_bytes"][:, None] * routes.per_byte[m, :m][None, :]
        )
        load[work["weight_bytes"] == 0] = 0.0
    else:
        load = np.zeros((len(work["layers"]), m))
    slots = np.array(
        [len(work["layers"]) if s == "unlimited" else s for s in hardware.pop("slots")], dtype=np.int64
    )
    limits = {
        f: v
        for f in instance.limits.__struct_fields__
        if isinstance(v := getattr(instance.limits, f), (int, float))
    }
    return MappingProblem(
        instance=instance,
        host=host,
        execution=platform.execution,
        load=load,
        slots=slots,
        stages=parse_objective(instance.objective),
        limits=limits,
        **hardware,
        **work,
    )


def _require_platform(instance: Instance) -> Platform:
    if instance.platform is None or not instance.platform.devices:
        raise InstanceError(
            problems=[Problem("platform", "mapping needs a platform with devices; found none")]
        )
    return instance.platform


def _hardware(platform: Platform) -> dict[str, Any]:
    """Fields of the view that come from the platform alone."""
    memories = {memory.name: memory for memory in platform.memories}
    names: list[str] = []
    memory_names: dict[str, int] = {}
    capacity: list[float] = []
    memory_of, weight_capacity, idle, slots = [], [], [], []
    for device in platform.devices:
        memory = memories[device.memory] if device.memory is not None else None
        limit = math.inf if memory is None or memory.bytes is None else float(memory.bytes)
        for copy in device_copies(device):
            name = device.memory if device.memory is not None else copy
            if name not in memory_names:
                memory_names[name] = len(capacity)
                capacity.append(limit)
            names.append(copy)
            memory_of.append(memory_names[name])
            weight_capacity.append(device.weight_fraction * limit)
            idle.append(float(device.power.idle))
            slots.append(device.slots)
    return {
        "devices": tuple(names),
        "memory_names": tuple(memory_names),
        "memory_of": np.array(memory_of, dtype=np.int64),
        "capacity": np.array(capacity),
        "weight_capacity": np.array(weight_capacity),
        "idle_power": np.array(idle),
        "slots": slots,
        "routes": resolve_routes(platform),
    }


def _jobs(instance: Instance) -> list[tuple[Task, Job]]:
    """All jobs of one hyperperiod, tasks in order."""
    tasks = instance.effective_tasks()
    periods = [Fraction(str(task.period)) for task in tasks if task.period is not None]
    hyperperiod = Fraction(0)
    if periods:
        scale = math.lcm(*(p.denominator for p in periods))
        hyperperiod = Fraction(math.lcm(*(int(p * scale) for p in periods)), scale)
    jobs: list[tuple[Task, Job]] = []
    for task in tasks:
        count = 1 if task.period is None else hyperperiod / Fraction(str(task.period))
        if len(jobs) + count > MAX_JOBS:
            raise InstanceError(
                problems=[
                    Problem("tasks", f"the periods make over {MAX_JOBS} jobs in one hyperperiod; round them")
                ]
            )
        for number in range(int(count)):
            release = float(task.release) + number * float(task.period or 0)
            due = None if task.deadline is None else release + task.deadline
            jobs.append((task, Job(task.name, number, release, due, float(task.weight))))
    return jobs


def _work(instance: Instance, platform: Platform, m: int) -> dict[str, Any]:
    """Fields of the view that come from models, tasks and cost tables."""
    models = {model.name: model for model in instance.models}
    jobs = _jobs(instance)
    costs: dict[tuple[str, int], tuple[FloatArray, FloatArray]] = {}
    weights: dict[str, int] = {}
    layers: list[str] = []
    job_of, weight_of, weight_bytes, workspace, durations, energies = [], [], [], [], [], []
    colocate: list[tuple[int, ...]] = []
    graph = _Graph()
    for index, (task, job) in enumerate(jobs):
        model = models[task.model]
        if (model.name, task.batch) not in costs:
            costs[model.name, task.batch] = _all_devices(instance, platform, model, task.batch)
        duration, energy = costs[model.name, task.batch]
        durations.append(duration)
        energies.append(energy)
        first = len(layers)
        position = {layer.name: first + i for i, layer in enumerate(model.layers)}
        for layer in model.layers:
            layers.append(layer_key(task.name, job.number, layer.name))
            job_of.append(index)
            weight_of.append(weights.setdefault(f"{model.name}/{layer.name}", len(weights)))
            weight_bytes.append(float(layer.weight_bytes))
            workspace.append(float(layer.workspace_bytes) * task.batch)
        colocate += [tuple(position[name] for name in group) for group in model.colocate]
        graph.add(model, task, job, position, instance, platform)
    release = np.array([jobs[j][1].release for j in job_of])
    by_task: dict[str, list[int]] = {}
    for index, (task, _) in enumerate(jobs):
        by_task.setdefault(task.name, []).append(index)
    return {
        "layers": tuple(layers),
        "jobs": tuple(job for _, job in jobs),
        "job_of": np.array(job_of, dtype=np.int64),
        "release": release,
        "duration": np.concatenate(durations) if durations else np.zeros((0, m)),
        "energy": np.concatenate(energies) if energies else np.zeros((0, m)),
        "workspace": np.array(workspace),
        "weights": tuple(weights),
        "weight_of": np.array(weight_of, dtype=np.int64),
        "weight_bytes": np.array(weight_bytes),
        "colocate": tuple(colocate),
        "precedences": tuple(
            (b, a) for p in instance.precedences for b in by_task[p.before] for a in by_task[p.after]
        ),
        **graph.fields(),
    }


def _all_devices(
    instance: Instance, platform: Platform, model: Model, batch: int
) -> tuple[FloatArray, FloatArray]:
    """(layers, m) seconds and joules of one model; infinite energy never appears."""
    memories = {memory.name: memory for memory in platform.memories}
    tables = (instance.costs.latency.get(model.name, {}), instance.costs.energy.get(model.name, {}))
    columns = [
        compute_costs(model, device, copy, memories.get(device.memory or ""), batch, tables)
        for device in platform.devices
        for copy in device_copies(device)
    ]
    seconds = np.stack([column[0] for column in columns], axis=1)
    joules = np.stack([column[1] for column in columns], axis=1)
    joules[~np.isfinite(seconds)] = 0.0
    return seconds, joules


class _Graph:
    """Collects the tensors of all jobs."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.source: list[int] = []
        self.size: list[float] = []
        self.output: list[bool] = []
        self.release: list[float] = []
        self.reader: list[int] = []
        self.read_size: list[float] = []
        self.starts: list[int] = [0]
        self.override: dict[tuple[int, int, int], float] = {}

    def add(
        self,
        model: Model,
        task: Task,
        job: Job,
        position: dict[str, int],
        instance: Instance,
        platform: Platform,
    ) -> None:
        tables = instance.costs.transfer.get(model.name, {})
        ends = _end_indices(platform) if tables else {}
        # Entries for copies come last: they win over those for the device.
        copies = {c for device in platform.devices if device.count > 1 for c in device_copies(device)}
        for tensor in model.tensors:
            k = len(self.names)
            self.names.append(layer_key(task.name, job.number, tensor.name))
            self.source.append(-1 if tensor.source is None else position[tensor.source])
            self.size.append(float(tensor.bytes) * task.batch)
            self.output.append(tensor.output)
            self.release.append(job.release)
            for target in dict.fromkeys(tensor.targets):
                self.reader.append(position[target])
                self.read_size.append(float(tensor.read_bytes.get(target, tensor.bytes)) * task.batch)
            self.starts.append(len(self.reader))
            for a, row in sorted(tables.get(tensor.name, {}).items(), key=lambda entry: entry[0] in copies):
                for b, seconds in sorted(row.items(), key=lambda entry: entry[0] in copies):
                    for i in ends[a]:
                        for j in ends[b]:
                            self.override[k, i, j] = float(seconds)

    def fields(self) -> dict[str, Any]:
        return {
            "tensors": tuple(self.names),
            "source": np.array(self.source, dtype=np.int64),
            "size": np.array(self.size, dtype=float),
            "output": np.array(self.output, dtype=bool),
            "tensor_release": np.array(self.release, dtype=float),
            "reader": np.array(self.reader, dtype=np.int64),
            "read_size": np.array(self.read_size, dtype=float),
            "reader_start": np.array(self.starts, dtype=np.int64),
            "override": self.override,
        }


def _end_indices(platform: Platform) -> dict[str, list[int]]:
    """Ends by the names that transfer tables use: devices, their copies, and the host."""
    ends: dict[str, list[int]] = {}
    index = 0
    for device in platform.devices:
        for copy in device_copies(device):
            ends.setdefault(device.name, []).append(index)
            if copy != device.name:
                ends[copy] = [index]
            index += 1
    if platform.host is not None:
        ends.setdefault(platform.host, []).append(index)
    return ends
