"""The load problem: groups of colocated layers, devices, and what each placement adds to the load of each device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray

RELATIVE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadProblem:
    """Which group runs on which device: G groups, m devices, K tensors between groups, W weights.

    Layers that must share a device are one group; a tensor inside a group never moves. Without orders and times, which
    ``max_load`` does not depend on.

    Parameters
    ----------
    problem
        The view that this one is made from.
    group_of
        (n,) group of each layer; groups are numbered in topological order of their first layers.
    layers
        Layers of each group.
    work, fixed
        (G, m) seconds of compute (infinite where a group cannot run), and of loading streamed weights.
    tensor, source, readers
        (K,) tensor of the view, group that writes it or -1 (input), other groups that read it.
    receive
        (K, m + 1, m) seconds that the reader's device pays once for a tensor written on a device (row m: an input).
    send
        (K, m) seconds that the writer's device pays once if some reader is elsewhere.
    always
        (K,) whether the writer pays `send` in any case (an output under host staging).
    weights, weight_bytes
        Distinct weights of each group as indices, and the bytes of each.
    overlap
        Whether a load is the larger of compute and transfers instead of their sum.
    """

    problem: MappingProblem
    group_of: IntArray
    layers: tuple[tuple[int, ...], ...]
    work: FloatArray
    fixed: FloatArray
    tensor: tuple[int, ...]
    source: IntArray
    readers: tuple[tuple[int, ...], ...]
    receive: FloatArray
    send: FloatArray
    always: tuple[bool, ...]
    weights: tuple[tuple[int, ...], ...]
    weight_bytes: FloatArray
    overlap: bool

    @property
    def size(self) -> int:
        """Number of groups."""
        return len(self.layers)

    @property
    def m(self) -> int:
        """Number of devices."""
        return self.problem.m

    @cached_property
    def limited(self) -> bool:
        """Whether memory can bind: some device cannot take all weights."""
        problem = self.problem
        if problem.execution.memory == "none" or not self.counts_weights:
            return False
        total = float(self.weight_bytes.sum())
        return bool((problem.weight_capacity < total).any() or (problem.capacity < total).any())

    @cached_property
    def counts_weights(self) -> bool:
        """Whether weights stay on their devices (under ``choice`` they need not, and rule out no placement)."""
        return not self.problem.host or self.problem.execution.weights == "resident"

    @cached_property
    def incident(self) -> tuple[tuple[int, ...], ...]:
        """The tensors that each group writes or reads."""
        rows: list[list[int]] = [[] for _ in range(self.size)]
        for k, (source, readers) in enumerate(zip(self.source.tolist(), self.readers, strict=True)):
            if source >= 0:
                rows[source].append(k)
            for g in readers:
                rows[g].append(k)
        return tuple(map(tuple, rows))

    @cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Devices that any plan may exchange: same costs of everything, same memory of their own."""
        problem = self.problem
        found: list[list[int]] = []
        for d in range(self.m):
            for members in found:
                if self._alike(members[0], d):
                    members.append(d)
                    break
            else:
                found.append([d])
        alone = np.bincount(problem.memory_of, minlength=len(problem.memory_names)) == 1
        return tuple(
            part
            for members in found
            for part in (
                [tuple(members)]
                if all(alone[problem.memory_of[d]] for d in members)
                else [(d,) for d in members]
            )
        )

    def _alike(self, a: int, b: int) -> bool:
        """Whether exchanging devices a and b changes nothing."""
        problem = self.problem
        capacity = problem.capacity[problem.memory_of]
        if capacity[a] != capacity[b] or problem.weight_capacity[a] != problem.weight_capacity[b]:
            return False
        if not np.array_equal(self.work[:, a], self.work[:, b]):
            return False
        if not np.array_equal(self.fixed[:, a], self.fixed[:, b]) or not np.array_equal(
            self.send[:, a], self.send[:, b]
        ):
            return False
        swap = np.arange(self.m + 1)
        swap[a], swap[b] = b, a
        return np.array_equal(self.receive[:, swap][:, :, swap[:-1]], self.receive)

    def loads(self, place: IntArray) -> FloatArray:
        """(m,) load of each device for a device of each group."""
        work = np.zeros(self.m)
        moves = np.zeros(self.m)
        rows = np.arange(self.size)
        np.add.at(work, place, self.work[rows, place])
        np.add.at(moves, place, self.fixed[rows, place])
        for k, readers in enumerate(self.readers):
            source = int(self.source[k])
            home = int(place[source]) if source >= 0 else self.m
            outside = {int(place[g]) for g in readers} - {home}
            for d in outside:
                moves[d] += self.receive[k, home, d]
            if source >= 0 and (outside or self.always[k]):
                moves[home] += self.send[k, home]
        return np.maximum(work, moves) if self.overlap else work + moves

    def fits(self, place: IntArray) -> bool:
        """Whether the weights of a placement fit all memories."""
        if not self.limited:
            return True
        problem = self.problem
        held: list[set[int]] = [set() for _ in range(self.m)]
        for g, d in enumerate(place.tolist()):
            held[d].update(self.weights[g])
        used = np.array([self.weight_bytes[sorted(w)].sum() for w in held])
        total = np.bincount(problem.memory_of, weights=used, minlength=len(problem.memory_names))
        return bool((used <= problem.weight_capacity).all() and (total <= problem.capacity).all())


def load_problem(problem: MappingProblem) -> LoadProblem:
    """The load problem of a view.

    Where readers on one device fetch different numbers of bytes, the fewest count, and under ``choice`` no weights are
    loaded: a load is then a lower bound on that of the plan.
    """
    group_of, layers = _groups(problem)
    m = problem.m
    finite = np.isfinite(problem.duration)
    work = np.zeros((len(layers), m))
    np.add.at(work, group_of, np.where(finite, problem.duration, np.inf))
    fixed = np.zeros((len(layers), m))
    if problem.host and problem.execution.weights == "streamed":
        np.add.at(fixed, group_of, problem.load)
    kept, sources, readers, always = [], [], [], []
    host_staging = problem.execution.staging == "host"
    for k, row in enumerate(problem.readers):
        source = int(group_of[problem.source[k]]) if problem.source[k] >= 0 else -1
        if source < 0 and not problem.host:
            continue
        outside = tuple(dict.fromkeys(int(group_of[i]) for i in row if group_of[i] != source))
        written = host_staging and source >= 0 and bool(problem.output[k])
        if outside or written:
            kept.append(k)
            sources.append(source)
            readers.append(outside)
            always.append(written)
    receive, send = _moves(problem, kept)
    weight_bytes = np.zeros(len(problem.weights))
    weight_bytes[problem.weight_of] = problem.weight_bytes
    return LoadProblem(
        problem=problem,
        group_of=group_of,
        layers=layers,
        work=work,
        fixed=fixed,
        tensor=tuple(kept),
        source=np.array(sources, dtype=np.int64),
        readers=tuple(readers),
        receive=receive,
        send=send,
        always=tuple(always),
        weights=tuple(tuple(sorted({int(problem.weight_of[i]) for i in row})) for row in layers),
        weight_bytes=weight_bytes,
        overlap=problem.execution.overlap,
    )


def _groups(problem: MappingProblem) -> tuple[IntArray, tuple[tuple[int, ...], ...]]:
    """Group of each layer, and layers of each group, numbered along the topological order."""
    root = list(range(problem.n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for group in problem.colocate:
        for i in group[1:]:
            root[find(i)] = find(group[0])
    number: dict[int, int] = {}
    for i in problem.topological:
        number.setdefault(find(i), len(number))
    group_of = np.array([number[find(i)] for i in range(problem.n)], dtype=np.int64)
    rows: list[list[int]] = [[] for _ in number]
    for i, g in enumerate(group_of.tolist()):
        rows[g].append(i)
    return group_of, tuple(map(tuple, rows))


def _moves(problem: MappingProblem, tensors: list[int]) -> tuple[FloatArray, FloatArray]:
    """Seconds that readers and writers pay for tensors that cross between devices."""
    m = problem.m
    receive = np.zeros((len(tensors), m + 1, m))
    send = np.zeros((len(tensors), m))
    direct = problem.execution.staging == "direct"
    for row, k in enumerate(tensors):
        if direct:
            receive[row] = problem.move[k, :, :m]
        else:
            size = min((problem.read_sizes[k, i] for i in problem.readers[k]), default=0.0)
            receive[row] = [problem.read_seconds(k, d, size) for d in range(m)]
            send[row] = problem.move[k, :m, m]
        receive[row, range(m), range(m)] = 0.0
    return receive, send
