"""Latency with at most q calls on a device: layers that run together on a device, the rest one by one on the host."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.calls import call_graph
from dnnplan.costs.objectives import unlimited_devices

HOST = -1


def limit_of(problem: MappingProblem) -> int | None:
    """Calls that a device may run; None: any number."""
    limit = problem.limits.get("calls_per_device")
    return None if limit is None else int(limit)


def is_limited(problem: MappingProblem, device: int) -> bool:
    """Whether the limit on calls concerns a device: those with unlimited slots run each layer as a call."""
    return not unlimited_devices(problem)[device]


def with_calls(problem: MappingProblem, place: Sequence[int], label: Sequence[int]) -> Decisions | None:
    """The plan in which layers of one label >= 0 are a call, and all others calls of their own.

    Calls of a device start in the order of a topological order of the calls, by their ready times; None if calls wait
    for each other.
    """
    members: dict[tuple[int, int], list[int]] = {}
    for i, c in enumerate(label):
        key = (int(problem.job_of[i]), int(c)) if c >= 0 else (-1, i)
        members.setdefault(key, []).append(i)
    calls = [tuple(row) for row in members.values()]
    names = [
        problem.layers[row[0]]
        if len(row) == 1
        else f"{problem.devices[place[row[0]]]}: {problem.layers[row[0]]}"
        for row in calls
    ]
    base = decisions_of(
        problem, place, [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
    )
    decisions = Decisions(
        place=base.place,
        calls=calls,
        call_names=names,
        order=[[] for _ in range(problem.m)],
        pinned=base.pinned,
        kept=set(),
    )
    order = _start_order(problem, decisions)
    if order is None:
        return None
    for c in order:
        decisions.order[place[calls[c][0]]].append(c)
    if problem.execution.staging == "host" and problem.execution.memory != "live":
        decisions.kept = _kept(problem, decisions)
    return decisions


def _kept(problem: MappingProblem, decisions: Decisions) -> set[tuple[int, int]]:
    """Copies that save a transfer between calls of one device."""
    graph = call_graph(problem, decisions)
    pairs: set[tuple[int, int]] = set()
    for k, calls in enumerate(graph.reader_calls):
        home = graph.device[graph.producer[k]] if graph.producer[k] >= 0 else -1
        count: dict[int, int] = {}
        for c in calls:
            count[graph.device[c]] = count.get(graph.device[c], 0) + 1
        pairs.update((k, d) for d, times in count.items() if d == home or times > 1)
    return pairs


def _start_order(problem: MappingProblem, decisions: Decisions) -> list[int] | None:
    """A topological order of the calls, those that can start first before others; None if there is a cycle."""
    seconds = _seconds(problem, decisions)
    after = _successors(problem, decisions)
    waiting = [0] * len(after)
    for successors in after:
        for c in successors:
            waiting[c] += 1
    ready = [max(float(problem.release[i]) for i in row) for row in decisions.calls]
    heap = [(ready[c], c) for c in range(len(after)) if waiting[c] == 0]
    heapq.heapify(heap)
    order: list[int] = []
    while heap:
        begin, c = heapq.heappop(heap)
        order.append(c)
        for e in sorted(after[c]):
            ready[e] = max(ready[e], begin + seconds[c])
            waiting[e] -= 1
            if waiting[e] == 0:
                heapq.heappush(heap, (ready[e], e))
    return order if len(order) == len(after) else None


def _successors(problem: MappingProblem, decisions: Decisions) -> list[set[int]]:
    """The calls that wait for each call: those that read from it, and those of tasks after its own."""
    call_of = [0] * problem.n
    by_job: list[set[int]] = [set() for _ in problem.jobs]
    for c, row in enumerate(decisions.calls):
        by_job[int(problem.job_of[row[0]])].add(c)
        for i in row:
            call_of[i] = c
    after: list[set[int]] = [set() for _ in decisions.calls]
    for _, i, j in problem.edges.tolist():
        if call_of[i] != call_of[j]:
            after[call_of[i]].add(call_of[j])
    for first, second in problem.precedences:
        for c in by_job[first]:
            after[c] |= by_job[second]
    return after


def _seconds(problem: MappingProblem, decisions: Decisions) -> list[float]:
    """Seconds of each call; under host staging with all that it reads and writes."""
    graph = call_graph(problem, decisions)
    seconds = [compute + load for compute, load in zip(graph.compute, graph.load, strict=True)]
    if problem.execution.staging == "direct":
        return seconds
    for k, calls in enumerate(graph.reader_calls):
        home = graph.device[graph.producer[k]] if graph.producer[k] >= 0 else problem.m
        for c in calls:
            if graph.device[c] != home:
                seconds[c] += graph.read_seconds(k, c)
        if home < problem.m and (problem.output[k] or any(graph.device[c] != home for c in calls)):
            seconds[graph.producer[k]] += problem.move_seconds(k, home, problem.m)
    return seconds
