"""The mapping problem as arrays: the view of an instance that formulations, solvers and kernels take."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.compute import compute_costs
from dnnplan.costs.routes import FloatArray, IntArray, Routes, device_copies, resolve_routes
from dnnplan.instances import Execution, Instance, InstanceError, Model, Platform, Problem, Task, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.plan import layer_key

if TYPE_CHECKING:
    from dnnplan.costs.arrays import Arrays

MAX_JOBS = 100_000
ROUNDING = 1e-12
Stages = tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class MappingProblem:
    """Which layer runs where and when: n layers of jobs, m devices, K tensors, E (tensor, reader) pairs.

    Parameters
    ----------
    devices, layers, tensors, weights
        Names: devices; ``task/job/layer``; ``task/job/tensor``; ``model/layer``.
    slots
        (m,) calls at the same time; unlimited is given as n.
    duration, energy
        (n, m) seconds and joules; infinite seconds where a layer cannot run.
    weight_of, weight_bytes, workspace
        (n,) index into `weights`, bytes of it, and scratch bytes.
    load
        (n, m) seconds to load a layer's weights from the host; 0 without host.
    task_of, release
        (n,) index into `tasks` x jobs, and seconds.
    source, size, output, tensor_release
        (K,) producing layer or -1, bytes, whether it is an output, release of its job.
    reader, read_size, reader_start
        (E,) layers and bytes they read from the host; readers of tensor k are
        ``reader[reader_start[k]:reader_start[k + 1]]``.
    override
        {(tensor, from, to): seconds} from cost tables, ends as in `routes`.
    tick
        None: times are seconds. Otherwise the view is a rounded one (see `rounded_down`): times are whole
        multiples of `tick` seconds.
    memory_of, capacity, weight_capacity
        (m,) memory of each device; bytes of each memory; bytes for pinned weights of each device.
    """

    instance: Instance
    devices: tuple[str, ...]
    slots: IntArray
    memory_names: tuple[str, ...]
    memory_of: IntArray
    capacity: FloatArray
    weight_capacity: FloatArray
    idle_power: FloatArray
    host: bool
    execution: Execution
    routes: Routes
    layers: tuple[str, ...]
    jobs: tuple[Job, ...]
    job_of: IntArray
    release: FloatArray
    duration: FloatArray
    energy: FloatArray
    workspace: FloatArray
    weights: tuple[str, ...]
    weight_of: IntArray
    weight_bytes: FloatArray
    load: FloatArray
    tensors: tuple[str, ...]
    source: IntArray
    size: FloatArray
    output: NDArray[np.bool_]
    tensor_release: FloatArray
    reader: IntArray
    read_size: FloatArray
    reader_start: IntArray
    override: dict[tuple[int, int, int], float]
    colocate: tuple[tuple[int, ...], ...]
    precedences: tuple[tuple[int, int], ...]
    stages: Stages
    limits: dict[str, float] = field(default_factory=dict)
    tick: float | None = None

    @property
    def n(self) -> int:
        """Number of layers of jobs."""
        return len(self.layers)

    @property
    def m(self) -> int:
        """Number of devices."""
        return len(self.devices)

    def is_free(self, tensor: int, a: int, b: int) -> bool:
        """Whether tensor (-1: weights) gets from end `a` to end `b` without being moved."""
        return bool(self.routes.zero_copy[a, b]) and (tensor, a, b) not in self.override

    @cached_property
    def host_device(self) -> int:
        """The device that is the host itself, or -1."""
        host = self.instance.platform.host if self.instance.platform is not None else None
        return self.devices.index(host) if host in self.devices else -1

    def in_ticks(self, seconds: float) -> float:
        """A time in the unit of this view: as it is, or rounded down to whole ticks."""
        if self.tick is None or math.isinf(seconds):
            return seconds
        return float(math.floor(seconds / self.tick * (1 + ROUNDING)))

    def move_seconds(self, tensor: int, a: int, b: int) -> float:
        """Seconds to send a tensor from end `a` to end `b`; the host is end m."""
        entry = self.override.get((tensor, a, b)) if self.override else None
        if entry is None:
            entry = float(self.routes.latency[a, b] + self.size[tensor] * self.routes.per_byte[a, b])
        return self.in_ticks(entry) if self.tick is not None else entry

    def read_seconds(self, tensor: int, device: int, size: float) -> float:
        """Seconds to read `size` bytes of a tensor from the host."""
        entry = self.override.get((tensor, self.m, device)) if self.override else None
        if entry is None:
            entry = float(self.routes.latency[self.m, device] + size * self.routes.per_byte[self.m, device])
        return self.in_ticks(entry)

    def load_seconds(self, device: int, size: float) -> float:
        """Seconds to load `size` bytes of weights from the host."""
        return self.in_ticks(float(self.routes.latency[self.m, device] + size * self.routes.per_byte[self.m, device]))

    @cached_property
    def instance_hash(self) -> str:
        """Hash of the instance, for plans to refer to."""
        return self.instance.hash()

    @cached_property
    def move(self) -> FloatArray:
        """(K, m+1, m+1) seconds to send each tensor between any two ends, tables included."""
        routes = self.routes
        times = routes.latency[None, :, :] + self.size[:, None, None] * routes.per_byte[None, :, :]
        for (k, a, b), seconds in self.override.items():
            times[k, a, b] = seconds
        if self.tick is not None:
            times = np.floor(times / self.tick * (1 + ROUNDING))
        return times

    @cached_property
    def inputs(self) -> tuple[tuple[int, ...], ...]:
        """The tensors that each layer reads, in the order of the instance."""
        lists: list[list[int]] = [[] for _ in range(self.n)]
        readers, starts = self.reader.tolist(), self.reader_start.tolist()
        for k in range(len(self.tensors)):
            for i in readers[starts[k] : starts[k + 1]]:
                lists[i].append(k)
        return tuple(map(tuple, lists))

    @cached_property
    def outputs(self) -> tuple[tuple[int, ...], ...]:
        """The tensors that each layer writes, in the order of the instance."""
        lists: list[list[int]] = [[] for _ in range(self.n)]
        for k, i in enumerate(self.source.tolist()):
            if i >= 0:
                lists[i].append(k)
        return tuple(map(tuple, lists))

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """The layers that read each tensor."""
        readers, starts = self.reader.tolist(), self.reader_start.tolist()
        return tuple(tuple(readers[starts[k] : starts[k + 1]]) for k in range(len(self.tensors)))

    @cached_property
    def read_sizes(self) -> dict[tuple[int, int], float]:
        """Bytes that a layer reads of a tensor from the host, by (tensor, layer)."""
        sizes, starts = self.read_size.tolist(), self.reader_start.tolist()
        return {(k, i): sizes[starts[k] + j] for k, layers in enumerate(self.readers) for j, i in enumerate(layers)}

    @cached_property
    def allowed(self) -> tuple[tuple[int, ...], ...]:
        """The devices that each layer can run on."""
        finite = np.isfinite(self.duration)
        return tuple(tuple(np.flatnonzero(row).tolist()) for row in finite)

    @cached_property
    def edges(self) -> IntArray:
        """(e, 3) rows (tensor, source layer, reader) of the tensors between layers."""
        tensor = self.edge_tensor
        source = self.source[tensor]
        keep = source >= 0
        return np.stack([tensor[keep], source[keep], self.reader[keep]], axis=1)

    @cached_property
    def edge_tensor(self) -> IntArray:
        """(E,) tensor of each (tensor, reader) pair."""
        return np.repeat(np.arange(len(self.tensors)), np.diff(self.reader_start))

    @cached_property
    def reader_offsets(self) -> tuple[IntArray, IntArray]:
        """(n + 1,) and (e,): the layers that read from layer i are ``[1][[0][i]:[0][i + 1]]``."""
        edges = self.edges
        order = np.argsort(edges[:, 1], kind="stable")
        counts = np.bincount(edges[:, 1], minlength=self.n)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), edges[order, 2].copy()

    @cached_property
    def first_of_weight(self) -> IntArray:
        """(weights,) one layer that has them."""
        first = np.zeros(len(self.weights), dtype=np.int64)
        first[self.weight_of[::-1]] = np.arange(self.n)[::-1]
        return first

    @cached_property
    def arrays(self) -> Arrays:
        """The arrays that compiled loops take."""
        from dnnplan.costs.arrays import arrays_of  # noqa: PLC0415

        return arrays_of(self)

    @cached_property
    def topological(self) -> tuple[int, ...]:
        """All layers, producers before readers and tasks after those they wait for."""
        order = topological_order(self)
        if len(order) != self.n:
            raise InstanceError(problems=[Problem("precedences", "tasks wait for each other in a cycle")])
        return order

    @property
    def pins_are_free(self) -> bool:
        """Whether pinned weights and kept tensors cost nothing."""
        return self.execution.memory == "none"


@dataclass(frozen=True)
class Job:
    """One activation of a task: its number, release and due date in seconds, and weight."""

    task: str
    number: int
    release: float
    due: float | None
    weight: float


def topological_order(problem: MappingProblem) -> tuple[int, ...]:
    """Layers in topological order (Kahn), the smallest index first among those that are ready."""
    import heapq  # noqa: PLC0415

    successors: list[list[int]] = [[] for _ in range(problem.n)]
    waiting = [0] * problem.n
    for _, i, j in problem.edges.tolist():
        successors[i].append(j)
        waiting[j] += 1
    by_job: list[list[int]] = [[] for _ in problem.jobs]
    for i, job in enumerate(problem.job_of.tolist()):
        by_job[job].append(i)
    for before, after in problem.precedences:
        for i in by_job[before]:
            for j in by_job[after]:
                successors[i].append(j)
                waiting[j] += 1
    ready = [i for i in range(problem.n) if waiting[i] == 0]
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for j in successors[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, j)
    return tuple(order)


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
        load = routes.latency[m, :m][None, :] + work["weight_bytes"][:, None] * routes.per_byte[m, :m][None, :]
        load[work["weight_bytes"] == 0] = 0.0
    else:
        load = np.zeros((len(work["layers"]), m))
    slots = np.array([len(work["layers"]) if s == "unlimited" else s for s in hardware.pop("slots")], dtype=np.int64)
    limits = {f: v for f in instance.limits.__struct_fields__ if isinstance(v := getattr(instance.limits, f), (int, float))}
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
        raise InstanceError(problems=[Problem("platform", "mapping needs a platform with devices; found none")])
    return instance.platform


def _hardware(platform: Platform) -> dict[str, object]:
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
    periods = [Fraction(task.period) for task in tasks if task.period is not None]
    hyperperiod = Fraction(0)
    if periods:
        scale = math.lcm(*(p.denominator for p in periods))
        hyperperiod = Fraction(math.lcm(*(int(p * scale) for p in periods)), scale)
    jobs: list[tuple[Task, Job]] = []
    for task in tasks:
        count = 1 if task.period is None else hyperperiod / Fraction(task.period)
        if len(jobs) + count > MAX_JOBS:
            raise InstanceError(
                problems=[Problem("tasks", f"the periods make over {MAX_JOBS} jobs in one hyperperiod; round them")]
            )
        for number in range(int(count)):
            release = float(task.release) + number * float(task.period or 0)
            due = None if task.deadline is None else release + task.deadline
            jobs.append((task, Job(task.name, number, release, due, float(task.weight))))
    return jobs


def _work(instance: Instance, platform: Platform, m: int) -> dict[str, object]:
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
        self, model: Model, task: Task, job: Job, position: dict[str, int], instance: Instance, platform: Platform
    ) -> None:
        tables = instance.costs.transfer.get(model.name, {})
        ends = _end_indices(platform) if tables else {}
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
            for a, row in tables.get(tensor.name, {}).items():
                for b, seconds in row.items():
                    for i in ends[a]:
                        for j in ends[b]:
                            self.override[k, i, j] = float(seconds)

    def fields(self) -> dict[str, object]:
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


def rounded_down(problem: MappingProblem, tick: float) -> MappingProblem:
    """The same problem with every time rounded down to a whole number of ticks of `tick` seconds.

    A schedule that is feasible for the problem, rounded down moment by moment, is feasible for this one
    (floor(a + b) >= floor(a) + floor(b)), so bounds of this one, times `tick`, hold for the problem. The
    product is taken a relative 1e-12 too high so that exact multiples stay what they are.
    """

    def down(times: FloatArray) -> FloatArray:
        finite = np.isfinite(times)
        return np.where(finite, np.floor(np.where(finite, times, 0.0) / tick * (1 + ROUNDING)), np.inf)

    return dataclasses.replace(
        problem,
        tick=tick,
        duration=down(problem.duration),
        load=down(problem.load),
        release=down(problem.release),
        tensor_release=down(problem.tensor_release),
        jobs=tuple(
            Job(
                job.task,
                job.number,
                float(math.ceil(job.release / tick * (1 - ROUNDING))),
                None if job.due is None else float(math.ceil(job.due / tick * (1 - ROUNDING))),
                job.weight,
            )
            for job in problem.jobs
        ),
    )


def problem_floor(seconds: float, tick: float) -> float:
    """Whole ticks in a time."""
    return float(math.floor(seconds / tick * (1 + ROUNDING)))
