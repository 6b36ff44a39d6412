"""Plans that need little memory, for platforms whose memories are limited at every moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.decisions import all_kept
from dnnplan.costs.pinning import pin_greedily
from dnnplan.costs.routes import IntArray
from dnnplan.instances.plan import read_id, send_id
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.constructive import ordered
from dnnplan.solvers.lists.heft import heft
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search

RESERVES = (0.5, 0.0, 1.0, 0.25, 0.75)
"""Shares of the memories that pins leave free for tensors, in the order in which they are tried."""


class Frugal:
    """Placements from fast to compact, each run as soon as possible and one layer at a time, with fewer and fewer pins.

    Layers follow an order that keeps the bytes of live tensors low, by the greedy rule of list schedulers for
    register pressure (Sethi and Ullman 1970 for trees): among the layers that are ready, the one that adds least.
    """

    summary = "plans that need little memory: few pins, one layer at a time where nothing else fits"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the plans until the limits."""
        propose_frugal_plans(problem, search)


def propose_frugal_plans(problem: MappingProblem, search: Search) -> None:
    """Propose the plans of every placement, amount of pins, and pace, until the limits."""
    sequence = compact_order(problem)
    for place in placements(problem, sequence):
        for decisions in variants(problem, place, sequence):
            if search.finished():
                return
            search.propose(decisions)


def placements(problem: MappingProblem, sequence: Sequence[int]) -> Iterator[list[int]]:
    """HEFT's placement, everything on one device, and consecutive stretches of about equal weights."""
    fastest = heft(problem)
    if fastest is not None:
        yield fastest.place
    for device in range(problem.m):
        place = [device if device in row else row[0] for row in problem.allowed]
        yield colocated(problem, np.array(place)).tolist()
    yield colocated(problem, split(problem, sequence)).tolist()


def split(problem: MappingProblem, sequence: Sequence[int]) -> IntArray:
    """Stretches of the sequence, one a device, by their share of the room for weights."""
    capacity = np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of])
    room = np.where(np.isfinite(capacity), capacity, problem.weight_bytes.sum() + 1.0)
    share = np.cumsum(room) / room.sum() * problem.weight_bytes.sum()
    place = np.zeros(problem.n, dtype=np.int64)
    used = 0.0
    for i in sequence:
        used += float(problem.weight_bytes[i])
        device = min(int(np.searchsorted(share, used - 1e-9)), problem.m - 1)
        place[i] = device if device in problem.allowed[i] else problem.allowed[i][0]
    return place


def variants(problem: MappingProblem, place: list[int], sequence: Sequence[int]) -> Iterator[Decisions]:
    """The plans of one placement, the fast ones first."""
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    for i in sequence:
        rows[place[i]].append(i)
    fast = ordered(problem, np.array(place, dtype=np.int64)).order
    choice = problem.host and problem.execution.weights == "choice"
    for reserve in RESERVES if choice else RESERVES[:1]:
        pinned = pin_greedily(problem, place, reserve=reserve)
        kept = all_kept(problem, place)
        yield decisions_of(problem, place, fast, pinned=pinned, kept=kept)
        yield decisions_of(problem, place, rows, pinned=pinned, kept=kept)
        serial = serial_moments(problem, place, sequence)
        yield decisions_of(problem, place, rows, pinned=pinned, kept=kept, not_before=serial)
        if kept:
            yield decisions_of(problem, place, rows, pinned=pinned, kept=(), not_before=serial)


def serial_moments(
    problem: MappingProblem, place: Sequence[int], sequence: Sequence[int]
) -> dict[str, float]:
    """Moments that let one layer after the other fetch its tensors and run, nothing else at the same time."""
    moments: dict[str, float] = {}
    now = 0.0
    direct, overlap = problem.execution.staging == "direct", problem.execution.overlap
    for i in sequence:
        d = place[i]
        now = max(now, float(problem.release[i]))
        fetch = 0.0
        for k in problem.inputs[i]:
            source = int(problem.source[k])
            a = place[source] if source >= 0 else problem.m
            if a == d and direct:
                continue
            if direct:
                seconds = problem.move_seconds(k, a, d)
                name = send_id(problem.tensors[k], problem.devices[d])
            else:
                seconds = problem.read_seconds(k, d, problem.read_sizes[k, i])
                name = read_id(problem.tensors[k], problem.layers[i])
            if overlap and seconds > 0 and name not in moments and (source >= 0 or problem.host):
                moments[name] = now + fetch
            fetch += seconds
        write = 0.0
        if problem.host:
            write = sum(problem.move_seconds(k, d, problem.m) for k in problem.outputs[i])
        moments[problem.layers[i]] = now + (fetch if overlap else 0.0)
        load = float(problem.load[i, d])
        now += fetch + float(problem.duration[i, d]) + load + write
    return {name: moment for name, moment in moments.items() if np.isfinite(moment)}


def compact_order(problem: MappingProblem) -> list[int]:
    """All layers, producers first; of those that are ready always the one that adds the fewest live bytes."""
    waiting = [0] * problem.n
    left = [len(readers) for readers in problem.readers]
    source = problem.source.tolist()
    rank = {i: r for r, i in enumerate(problem.topological)}
    for k, readers in enumerate(problem.readers):
        for j in readers:
            waiting[j] += source[k] >= 0
    ready = [i for i in range(problem.n) if waiting[i] == 0]
    order: list[int] = []
    blocked = _job_gates(problem)
    while ready:
        free = [i for i in ready if blocked[int(problem.job_of[i])] == 0] or ready
        i = min(free, key=lambda i: (_growth(problem, i, left), rank[i]))
        ready.remove(i)
        order.append(i)
        for k in problem.inputs[i]:
            left[k] -= 1
        for k in problem.outputs[i]:
            for j in problem.readers[k]:
                waiting[j] -= 1
                if waiting[j] == 0:
                    ready.append(j)
        _pass_gate(problem, i, blocked)
    return order


def _growth(problem: MappingProblem, layer: int, left: list[int]) -> float:
    """Bytes of tensors that a layer adds, less those that nobody needs after it."""
    added = sum(float(problem.size[k]) for k in problem.outputs[layer])
    return added - sum(float(problem.size[k]) for k in problem.inputs[layer] if left[k] == 1)


def _job_gates(problem: MappingProblem) -> list[int]:
    """Layers that must run before a job may, by job."""
    blocked = [0] * len(problem.jobs)
    sizes = np.bincount(problem.job_of, minlength=len(problem.jobs))
    for before, after in problem.precedences:
        blocked[after] += int(sizes[before])
    return blocked


def _pass_gate(problem: MappingProblem, layer: int, blocked: list[int]) -> None:
    for before, after in problem.precedences:
        if before == int(problem.job_of[layer]):
            blocked[after] -= 1
