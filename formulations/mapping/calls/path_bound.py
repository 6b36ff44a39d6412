"""A lower bound on latency with a limit on calls: what one path through the network costs in calls.

A call is convex: a layer between two of its layers belongs to it, since calls wait for each other otherwise. So the
layers of a path that one call has are a stretch of the path. With the stretch from a to b the call has all layers that
are reachable from a and reach b, and where a device runs one call all that must share a device with these. They
compute, their weights fit, and what comes from layers before the stretch and goes to layers after it is read and
written. The stretches of a path run one after the other. The least time of all ways to cut a path into stretches on
limited devices and layers on the host is a dynamic programme; it holds for any path.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs import MappingProblem
from dnnplan.costs.objectives import unlimited_devices
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import Bound
from dnnplan.formulations.mapping.load import load_problem

BoolArray = NDArray[np.bool_]
SAFETY = 1e-9
MOST_WORK = 2e9
"""Path length^2 x layers up to which the programme is worth its time."""


def applies(problem: MappingProblem) -> bool:
    """Whether calls cost what the bound and the compiled search take them to cost.

    Host staging without overlap and contention, weights resident; the host is the only device with unlimited slots.
    """
    execution = problem.execution
    unlimited = [d for d, free in enumerate(unlimited_devices(problem)) if free]
    return (
        execution.staging == "host"
        and not execution.overlap
        and execution.contention == "none"
        and execution.memory != "live"
        and execution.weights == "resident"
        and unlimited == [problem.host_device]
        and not problem.precedences
        and len(problem.jobs) == 1
    )


def path_bound(problem: MappingProblem, finished: Callable[[], bool] = lambda: False) -> Bound:
    """The best bound of a few paths: heaviest in time on the host, on the fastest device, in bytes and in transfers."""
    value = 0.0
    if problem.n and applies(problem):
        reach = _reachable(problem)
        for path in _paths(problem):
            if finished() or len(path) ** 2 * float(problem.n) > MOST_WORK:
                break
            value = max(value, _path_value(problem, path, reach))
    return Bound(value * (1 - SAFETY), "calls along a path")


def _reachable(problem: MappingProblem) -> BoolArray:
    """(n, n) whether each layer (row) leads to a layer (column), itself included."""
    reach = np.eye(problem.n, dtype=bool)
    for i in reversed(problem.topological):
        for k in problem.outputs[i]:
            for j in problem.readers[k]:
                reach[i] |= reach[j]
    return reach


def _paths(problem: MappingProblem) -> list[list[int]]:
    """Distinct heaviest paths for different weights of the layers."""
    limited = _limited(problem)
    host = problem.duration[:, problem.host_device]
    fastest = problem.duration[:, limited].min(axis=1, initial=np.inf)
    sends = np.zeros(problem.n)
    for k, i in enumerate(problem.source.tolist()):
        if i >= 0 and problem.readers[k]:
            times = problem.move[k, limited, problem.m]
            sends[i] += float(times.min(initial=np.inf)) if np.isfinite(times).any() else 0.0
    found: list[list[int]] = []
    for weight in (np.minimum(host, fastest + sends), host, fastest, problem.weight_bytes, sends):
        path = _heaviest(problem, np.where(np.isfinite(weight), weight, 0.0))
        if path not in found:
            found.append(path)
    return found


def _heaviest(problem: MappingProblem, weight: FloatArray) -> list[int]:
    total = weight.astype(float).copy()
    before = np.full(problem.n, -1)
    for i in problem.topological:
        for k in problem.inputs[i]:
            p = int(problem.source[k])
            if p >= 0 and total[p] + weight[i] > total[i]:
                total[i], before[i] = total[p] + weight[i], p
    path = [int(total.argmax())]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1]


def _path_value(problem: MappingProblem, path: list[int], reach: BoolArray) -> float:
    """Least time of all ways to run a path; see the top of the module."""
    limited = _limited(problem)
    host = problem.duration[path, problem.host_device]
    calls = min(int(problem.limits.get("calls_per_device", len(path))) * len(limited), len(path))
    stretch = _stretches(problem, path, reach, limited)
    write, read = _hand_overs(problem, path, limited)
    # after[i, c, s]: least end of the first i layers with c calls, the last one on the host (s = 0) or in a call.
    r = len(path)
    after = np.full((r + 1, calls + 1, 2), np.inf)
    after[0, :, 0] = float(problem.release[path[0]])
    for i in range(1, r + 1):
        after[i, :, 0] = np.minimum(after[i - 1, :, 0], after[i - 1, :, 1] + write[i - 1]) + host[i - 1]
        for j in range(i):
            if np.isfinite(stretch[j, i - 1]):
                begin = np.minimum(after[j, :-1, 0] + read[j], after[j, :-1, 1])
                after[i, 1:, 1] = np.minimum(after[i, 1:, 1], begin + stretch[j, i - 1])
    return float(after[r].min())


def _limited(problem: MappingProblem) -> list[int]:
    return [d for d, free in enumerate(unlimited_devices(problem)) if not free]


def _once(problem: MappingProblem) -> bool:
    """Whether a device runs one call at most, so that nothing is handed over between two calls of one device."""
    return problem.limits.get("calls_per_device", 2.0) == 1


def _stretches(problem: MappingProblem, path: list[int], reach: BoolArray, limited: list[int]) -> FloatArray:
    """(r, r) least time of a call that has the stretch from a to b of the path; infinite if none can.

    With one call a device: also what it has to read from layers before the stretch, and to write for layers after it.
    """
    r = len(path)
    result = np.full((r, r), np.inf)
    memory = problem.execution.memory != "none"
    room = np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of])
    leads = reach[:, path].T
    once = _once(problem)
    group_of = load_problem(problem).group_of
    by_group = np.argsort(group_of, kind="stable")
    first = np.flatnonzero(np.diff(group_of[by_group], prepend=-1))
    moves = _Crossings(problem, path, reach) if once else None
    for a in range(r):
        members = leads[a:] & reach[path[a]][None, :]
        # Layers that share a device are in the call too if it is the only one of its device.
        there = np.logical_or.reduceat(members[:, by_group], first, axis=1)[:, group_of]
        held = there @ problem.weight_bytes
        # Then a stretch that has layers of the path beyond its ends is not all that the call has of the path.
        whole = there[:, path].sum(axis=1) == np.arange(1, r - a + 1)
        for d in limited:
            seconds = _sums(there if once else members, problem.duration[:, d])
            if moves is not None:
                seconds = seconds + moves.seconds(a, there, d)
            fits = held <= room[d] * (1 + 1e-12) if memory else np.ones(r - a, dtype=bool)
            result[a, a:] = np.minimum(result[a, a:], np.where(fits & (whole | (not once)), seconds, np.inf))
    return result


class _Crossings:
    """Tensors that a call certainly reads or writes: to and from layers before and after its stretch of the path.

    A layer that leads to the layer before the stretch is not in the call, nor is one that is reached from the layer
    after it: the layers of the path between would have to be.
    """

    def __init__(self, problem: MappingProblem, path: list[int], reach: BoolArray) -> None:
        self.tensors = np.array(
            [k for k, i in enumerate(problem.source.tolist()) if i >= 0 and problem.readers[k]],
            dtype=np.int64,
        )
        self.source = problem.source[self.tensors]
        rows = [problem.readers[k] for k in self.tensors.tolist()]
        self.readers = np.array([j for row in rows for j in row], dtype=np.int64)
        self.first = np.concatenate([[0], np.cumsum([len(row) for row in rows])[:-1]]).astype(np.int64)
        r, count = len(path), len(self.tensors)
        self.comes = np.zeros((r, count), dtype=bool)
        self.goes = np.zeros((r, count), dtype=bool)
        if count:
            self.comes[1:] = reach[self.source][:, path[:-1]].T
            for b in range(r - 1):
                self.goes[b] = np.logical_or.reduceat(reach[path[b + 1]][self.readers], self.first)
        self.write = problem.move[self.tensors, : problem.m, problem.m]
        self.read = np.array(
            [
                [
                    problem.read_seconds(k, d, min(problem.read_sizes[k, j] for j in row))
                    for d in range(problem.m)
                ]
                for k, row in zip(self.tensors.tolist(), rows, strict=True)
            ]
        ).reshape(count, problem.m)

    def seconds(self, a: int, there: BoolArray, device: int) -> FloatArray:
        """(r - a,) least time to read and write of the calls that have the layers `there` and begin at position a."""
        if not len(self.tensors):
            return np.zeros(len(there))
        reads = np.logical_or.reduceat(there[:, self.readers], self.first, axis=1) & self.comes[a]
        writes = there[:, self.source] & self.goes[a:]
        return _sums(reads, self.read[:, device]) + _sums(writes, self.write[:, device])


def _sums(members: BoolArray, values: FloatArray) -> FloatArray:
    """Sum of the values of each row's members; infinite if one of them is."""
    finite = np.isfinite(values)
    weights: FloatArray = members.astype(float)
    total: FloatArray = weights @ np.where(finite, values, 0.0)
    if not bool(finite.all()):
        broken: FloatArray = weights @ (~finite).astype(float)
        total[broken > 0] = np.inf
    return total


def _hand_overs(
    problem: MappingProblem, path: list[int], limited: list[int]
) -> tuple[FloatArray, FloatArray]:
    """(r,) least times to write to the host, and to read from it, what each layer of a path reads of the one before.

    Zero with one call a device, where calls count them.
    """
    write, read = np.zeros(len(path)), np.zeros(len(path))
    if _once(problem):
        return write, read
    for position in range(1, len(path)):
        for k in problem.inputs[path[position]]:
            if problem.source[k] == path[position - 1]:
                size = problem.read_sizes[k, path[position]]
                write[position] += min(
                    (float(problem.move[k, d, problem.m]) for d in limited), default=np.inf
                )
                read[position] += min((problem.read_seconds(k, d, size) for d in limited), default=np.inf)
    return write, read
