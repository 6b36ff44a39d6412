"""Step 1 of H2H: computation-prioritised mapping, frontier after frontier, by enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray

NODES, LEAST_NODES = 4_000_000, 500
"""Partial assignments looked at in one run, spread over its layers, and at least these in one enumeration."""
LOOK = 5_000
"""Nodes between looks at the limits of the run."""
Choice = tuple[tuple[int, ...], tuple[int, ...]]


def map_frontiers(
    problem: MappingProblem, finished: Callable[[], bool] = lambda: False
) -> tuple[list[int], list[int]]:
    """Device of each layer, and the layers in the order in which they were mapped (H2H, step 1).

    While layers remain: take those whose producers are all mapped, group them by the devices that can run them, and
    map each group by the assignment whose latest end on any device is least, of equals the first in lexicographic
    order. Of a group of at least as many layers as devices, every subset of as many layers as devices is tried, and the
    best is mapped. A layer starts when its device is free and its producers have ended; all its weights and tensors
    pass through the host where there is one.

    The authors enumerate all assignments; we branch and bound, with the same result until `NODES` is used up. Then the
    best assignment so far counts, or that of a greedy choice (ours); so it does from when the run is `finished` on.
    """
    mapper = _Mapper(problem, finished)
    waiting = [0] * problem.n
    successors = _successors(problem)
    for rows in successors:
        for j in rows:
            waiting[j] += 1
    frontier = [i for i in range(problem.n) if waiting[i] == 0]
    while frontier:
        groups: dict[tuple[int, ...], list[int]] = {}
        for i in sorted(frontier):
            groups.setdefault(problem.allowed[i], []).append(i)
        mapped: list[int] = []
        for devices, layers in sorted(groups.items()):
            mapped += mapper.map_group(devices, layers)
        for i in mapped:
            for j in successors[i]:
                waiting[j] -= 1
        done = set(mapped)
        fresh = {j for i in mapped for j in successors[i] if waiting[j] == 0}
        frontier = [i for i in frontier if i not in done] + sorted(fresh)
    return mapper.place, mapper.sequence


def _successors(problem: MappingProblem) -> list[list[int]]:
    """Layers that wait for each layer: readers, and layers of later tasks."""
    rows: list[list[int]] = [[] for _ in range(problem.n)]
    for _, i, j in problem.edges.tolist():
        rows[i].append(j)
    by_job: list[list[int]] = [[] for _ in problem.jobs]
    for i, job in enumerate(problem.job_of.tolist()):
        by_job[job].append(i)
    for before, after in problem.precedences:
        for i in by_job[before]:
            rows[i] += by_job[after]
    return rows


def busy_seconds(problem: MappingProblem) -> FloatArray:
    """(n, m) seconds of a layer that pins nothing and keeps nothing: host traffic, load, and compute."""
    busy = problem.duration.copy()
    if not problem.host:
        return busy
    if problem.execution.weights != "resident":
        busy = busy + problem.load
    if problem.execution.staging == "host":
        for i in range(problem.n):
            for d in problem.allowed[i]:
                for k in problem.inputs[i]:
                    busy[i, d] += problem.read_seconds(k, d, problem.read_sizes[k, i])
                for k in problem.outputs[i]:
                    busy[i, d] += problem.move_seconds(k, d, problem.m)
    return busy


class _Mapper:
    """What has been mapped so far, and the enumeration of the next group."""

    def __init__(self, problem: MappingProblem, finished: Callable[[], bool]) -> None:
        self.problem, self.finished = problem, finished
        self.busy = busy_seconds(problem).tolist()
        self.place = [-1] * problem.n
        self.end = [0.0] * problem.n
        self.free = [0.0] * problem.m
        self.sequence: list[int] = []
        self.nodes = max(LEAST_NODES, NODES // max(problem.n, 1))
        self.after: list[list[int]] = [[] for _ in range(problem.n)]
        for i, rows in enumerate(_successors(problem)):
            for j in rows:
                self.after[j].append(i)

    def map_group(self, devices: tuple[int, ...], layers: Sequence[int]) -> list[int]:
        """Map layers that can all run on the same devices; those that were mapped."""
        if not devices:
            devices = tuple(range(self.problem.m))
        size = min(len(layers), len(devices))
        chosen, places = self._enumerate(
            devices, combinations(layers, size), self._greedy(devices, layers, size)
        )
        for i, d in zip(chosen, places, strict=True):
            self.end[i] = self.free[d] = max(self.free[d], self._ready(i, d)) + self.busy[i][d]
            self.place[i] = d
            self.sequence.append(i)
        return list(chosen)

    def _ready(self, i: int, d: int) -> float:
        """When a layer could start on a device that were free: its producers have ended and have sent."""
        problem = self.problem
        moment = float(problem.release[i])
        for p in self.after[i]:
            moment = max(moment, self.end[p])
        if problem.execution.staging == "direct":
            for k in problem.inputs[i]:
                p = int(problem.source[k])
                if p >= 0 and self.place[p] != d:
                    moment = max(moment, self.end[p] + problem.move_seconds(k, self.place[p], d))
        return moment

    def _greedy(self, devices: tuple[int, ...], layers: Sequence[int], size: int) -> tuple[float, Choice]:
        """The layer that can end first, on the device where it does, again and again."""
        free = list(self.free)
        open_layers = list(layers)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < size:
            end, i, d = min(
                (max(free[d], self._ready(i, d)) + self.busy[i][d], i, d)
                for i in open_layers
                for d in devices
            )
            free[d] = end
            open_layers.remove(i)
            chosen.append((i, d))
        return max(free), (tuple(i for i, _ in chosen), tuple(d for _, d in chosen))

    def _enumerate(
        self, devices: tuple[int, ...], subsets: Iterator[tuple[int, ...]], start: tuple[float, Choice]
    ) -> Choice:
        """The first of the best assignments in lexicographic order, if the nodes suffice; never worse than `start`."""
        best, choice = start
        found = False
        floor = max(self.free)
        budget = 0 if self.finished() else self.nodes
        known: dict[int, list[float]] = {}
        for layers in subsets:
            for i in layers:
                if i not in known:
                    known[i] = [self._ready(i, d) for d in devices]
            ready = [known[i] for i in layers]
            free = list(self.free)
            stack: list[tuple[int, float]] = []  # (index of the device, its free time before)
            position, latest = 0, [floor]
            while True:
                budget -= 1
                if budget < 0 or (budget % LOOK == 0 and self.finished()):
                    return choice
                level = len(stack)
                if level < len(layers) and position < len(devices):
                    d = devices[position]
                    end = max(free[d], ready[level][position]) + self.busy[layers[level]][d]
                    worst = max(latest[-1], end)
                    if worst < best or (worst == best and not found):
                        stack.append((position, free[d]))
                        latest.append(worst)
                        free[d] = end
                        position = 0
                    else:
                        position += 1
                    continue
                if level == len(layers):
                    best, found = latest[-1], True
                    choice = (layers, tuple(devices[q] for q, _ in stack))
                if not stack:
                    break
                position, before = stack.pop()
                latest.pop()
                free[devices[position]] = before
                position += 1
            if found and best == floor:
                break
        return choice
