"""The mapping problem as arrays: the view of an instance that formulations, solvers and kernels take."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray, Routes
from dnnplan.instances import (
    Execution,
    Instance,
    InstanceError,
    Problem,
)

if TYPE_CHECKING:
    from dnnplan.costs.arrays import Arrays

ROUNDING = 1e-12
Stages = tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True)
class Job:
    """One activation of a task: its number, release and due date in seconds, and weight."""

    task: str
    number: int
    release: float
    due: float | None
    weight: float


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
    job_of, release
        (n,) index into `jobs`, and seconds.
    source, size, output, tensor_release
        (K,) producing layer or -1, bytes, whether it is an output, release of its job.
    reader, read_size, reader_start
        (E,) layers and bytes they read from the host; readers of tensor k are
        ``reader[reader_start[k]:reader_start[k + 1]]``.
    override
        {(tensor, from, to): seconds} from cost tables, ends as in `routes`.
    sums_at_most
        Pairs of a weighted sum, as (name, weight) terms, and the value that it may not exceed: the stages of a
        lexicographic objective that have been solved.
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
    sums_at_most: tuple[tuple[tuple[tuple[str, float], ...], float], ...] = ()
    tick: float | None = None

    @property
    def n(self) -> int:
        """Number of layers of jobs."""
        return len(self.layers)

    @property
    def m(self) -> int:
        """Number of devices."""
        return len(self.devices)

    @cached_property
    def choices(self) -> int:
        """Number of (layer, device) pairs that are possible: the size of exact models."""
        return int(np.isfinite(self.duration).sum())

    def is_free(self, tensor: int, a: int, b: int) -> bool:
        """Whether tensor (-1: weights) gets from end `a` to end `b` without being moved."""
        return bool(self.routes.zero_copy[a, b]) and (tensor, a, b) not in self.override

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """Names of the ends of transfers: the devices, and the host if there is one."""
        platform = self.instance.platform
        host = platform.host if platform is not None else None
        return (*self.devices, host) if host is not None else self.devices

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
        return self.in_ticks(
            float(self.routes.latency[self.m, device] + size * self.routes.per_byte[self.m, device])
        )

    def idle_energy(self, latency: float, busy: NDArray[np.number[Any]]) -> float:
        """Joules of devices while they do not compute, `busy` (m,) seconds each; inf for a plan that never ends."""
        if math.isinf(latency):
            return math.inf
        return float((self.idle_power * np.maximum(latency - busy, 0.0)).sum())

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
        return {
            (k, i): sizes[starts[k] + j]
            for k, layers in enumerate(self.readers)
            for j, i in enumerate(layers)
        }

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
        from dnnplan.costs.arrays import arrays_of

        return arrays_of(self)

    @cached_property
    def topological(self) -> tuple[int, ...]:
        """All layers, producers before readers and tasks after those they wait for."""
        order = topological_order(self)
        if len(order) != self.n:
            raise InstanceError(problems=[Problem("precedences", "tasks wait for each other in a cycle")])
        return order

    @property
    def measured(self) -> frozenset[str]:
        """Names of all figures in the objective and in limits."""
        sums = (*self.stages, *(terms for terms, _ in self.sums_at_most))
        return frozenset(name for terms in sums for name, _ in terms) | frozenset(self.limits)

    @property
    def pins_are_free(self) -> bool:
        """Whether pinned weights and kept tensors cost nothing."""
        return self.execution.memory == "none"


def topological_order(problem: MappingProblem) -> tuple[int, ...]:
    """Layers in topological order (Kahn), the smallest index first among those that are ready."""
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
