"""Local search under host staging without overlap: devices, order and pins, timed as they will execute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.routes import IntArray
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.h2h.knapsack import pin_by_knapsack
from dnnplan.solvers.h2h.remap import chains
from dnnplan.solvers.search import Search

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.host_schedule import HostNet

KERNEL = "dnnplan.solvers.kernels.host_annealing:anneal_host"
COMPILER_SECONDS, LOADING_SECONDS = 25.0, 3.0
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
STEPS_PER_WORK = 50_000
FIRST_CYCLE, GROWTH, LONGEST_CYCLE = 60_000, 1.25, 3_000_000
"""Steps in the first cycle of cooling, by how much each is longer than the one before, and up to what."""
CHUNK, FIRST_CHUNK, CHUNK_SECONDS = 5_000, 200, 0.5
HOT, COLD = 0.03, 2e-4
"""Temperatures relative to the cost."""
ENTRIES = 50_000_000
"""Size of the largest table, (tensor, reader) pairs x devices, that the search makes."""
State = tuple[IntArray, IntArray, IntArray]


def searches_host(problem: MappingProblem) -> bool:
    """Whether the compiled schedule times plans of this setting: host staging, no overlap, kept copies free."""
    execution = problem.execution
    return (
        execution.staging == "host"
        and not execution.overlap
        and execution.memory != "live"
        and problem.host
        and not problem.precedences
        and len(problem.reader) * problem.m <= ENTRIES
        and all(name in ("latency", "energy") for name, _ in problem.stages[0])
    )


def host_search_is_ready(search: Search) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def search_host(problem: MappingProblem, search: Search, seconds: float, *, work: float = math.inf) -> None:
    """Anneal from the incumbent for some seconds or units of work, in cycles of cooling that get longer.

    Of three cycles one begins at the incumbent, one at random devices, and one where that ended. Each worker has a
    thread and a walk of its own. Under a work limit there is one of them, and chunks have a fixed number of steps, so
    that the run depends on the seed alone.
    """
    if search.best is None or problem.n < 2:
        return
    until, work_until = search.seconds + seconds, search.work + work
    fixed = search.settings.work_limit is not None
    walks = Walks(problem, search, 1 if fixed else max(1, search.settings.workers))
    chunk, cycle, done, count, cycles = FIRST_CHUNK, FIRST_CYCLE, 0, 0, 0
    with ThreadPoolExecutor(walks.count) as pool:
        while search.seconds < until and search.work < work_until and not search.finished():
            if fixed:
                left = min(search.remaining_work, work_until - search.work)
                chunk = int(min(CHUNK, max(1, left * STEPS_PER_WORK)))
            began = search.seconds
            value = max(abs(search.value or 0.0), 1e-30)
            hot, cold = (
                value * HOT * (COLD / HOT) ** moment
                for moment in (done / cycle, min(1.0, (done + chunk) / cycle))
            )
            walks.advance(pool, (hot, cold), chunk, count)
            search.work += chunk / STEPS_PER_WORK
            took = max(search.seconds - began, 1e-6)
            done += chunk
            count += 1
            if done >= cycle:
                cycle, done, cycles = min(int(GROWTH * cycle), LONGEST_CYCLE), 0, cycles + 1
                if cycles % 3 == 1:
                    walks.scatter(cycles)
                elif cycles % 3 == 0:
                    walks.restart()
            if not fixed and count > 1:
                chunk = max(1, int(chunk / took * min(CHUNK_SECONDS, max(until - search.seconds, 0.01))))


class Walks:
    """Annealing walks that start from the incumbent of a search, one a thread."""

    def __init__(self, problem: MappingProblem, search: Search, count: int) -> None:
        self.problem, self.search, self.count = problem, search, count
        self.net, self.groups = host_net(problem), colocation_groups(problem)
        self.chains = chains(problem)
        self.restart()

    def restart(self) -> None:
        """Put all of them at the incumbent."""
        self.states = [host_start(self.problem, self.search)] * self.count

    def scatter(self, number: int) -> None:
        """Put each of them at devices that are drawn for each chain of layers and each kind of layer in it."""
        rng = np.random.default_rng((self.search.settings.seed, number))
        order, place, wish = host_start(self.problem, self.search)
        for w in range(self.count):
            drawn = place.copy()
            for chain in self.chains:
                chosen: dict[tuple[int, ...], int] = {}
                for i in chain:
                    allowed = self.problem.allowed[i]
                    if self.groups[i] < 0:
                        drawn[i] = chosen.setdefault(allowed, int(rng.choice(allowed)))
            self.states[w] = (order, drawn, wish)

    def advance(self, pool: ThreadPoolExecutor, heats: tuple[float, float], steps: int, number: int) -> None:
        """Some steps of each walk, from the first temperature to the second; proposes the best plans on the way."""
        first = self.search.settings.seed * 7919 + number * self.count
        found = list(
            pool.map(
                lambda w: self._walk(self.states[w], heats, steps, (first + w) % 2**32), range(self.count)
            )
        )
        self.states = [last for _, last in found]
        for best, _ in found:
            propose_host(self.problem, self.net, self.search, best)

    def _walk(self, state: State, heats: tuple[float, float], steps: int, seed: int) -> tuple[State, State]:
        from dnnplan.solvers.kernels.host_annealing import anneal_host

        weights = len(self.problem.weights)
        found = anneal_host(self.net, *state, self.groups, weights, heats, steps, seed)
        return (found[0], found[1], found[2]), (found[4], found[5], found[6])


def colocation_groups(problem: MappingProblem) -> IntArray:
    """(n,) index of the colocation group of each layer, or -1."""
    groups = np.full(problem.n, -1, dtype=np.int64)
    for g, group in enumerate(problem.colocate):
        groups[list(group)] = g
    return groups


def host_start(problem: MappingProblem, search: Search) -> State:
    """Order (by start), devices and wishes (what is pinned first, then the largest) of the incumbent."""
    assert search.best is not None
    decisions = search.best.decisions
    place = np.array(decisions.place, dtype=np.int64)
    position = np.empty(problem.n, dtype=np.int64)
    position[list(problem.topological)] = np.arange(problem.n)
    order = np.array(problem.topological, dtype=np.int64)
    if decisions.call_names == list(problem.layers):
        start, end = np.array(search.best.times.start), np.array(search.best.times.end)
        order = np.lexsort((position, end, start)).astype(np.int64)
    free = np.array(
        [
            w not in decisions.pinned[d]
            for w, d in zip(problem.weight_of.tolist(), place.tolist(), strict=True)
        ]
    )
    wish = np.lexsort((position, -problem.weight_bytes, free)).astype(np.int64)
    return order, place, wish


def propose_host(problem: MappingProblem, net: HostNet, search: Search, state: State) -> None:
    """Propose the plan of a state: with its pins, and where these are chosen and do not all fit, with the best ones."""
    from dnnplan.solvers.kernels.host_schedule import CHOSEN, choose_pins

    order, place, wish = state
    pinned = np.zeros((len(problem.weights), problem.m), dtype=np.bool_)
    choose_pins(net, place, wish, pinned)
    chosen = [set(np.flatnonzero(pinned[:, d]).tolist()) for d in range(problem.m)]
    search.propose(host_plan(problem, order, place, chosen))
    if net.pins == CHOSEN and not all(pinned[w, d] for w, d in zip(problem.weight_of, place, strict=True)):
        search.propose(host_plan(problem, order, place, pin_by_knapsack(problem, place.tolist())))


def host_plan(
    problem: MappingProblem, order: IntArray, place: IntArray, pinned: Sequence[set[int]]
) -> Decisions:
    """The plan of an order and a placement, all copies kept that save a transfer."""
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    for i in order.tolist():
        rows[place[i]].append(i)
    return decisions_of(problem, place.tolist(), rows, pinned=pinned)


def host_net(problem: MappingProblem) -> HostNet:
    """The problem as the arrays of the kernel; the cost is that of the first stage of the objective."""
    from dnnplan.solvers.kernels.host_schedule import CHOSEN, MAX_LANES, PINNED, STREAMED, HostNet
    from dnnplan.solvers.local.anneal import layer_costs

    m, tensors = problem.m, len(problem.tensors)
    pairs = [(k, i) for i, row in enumerate(problem.inputs) for k in row]
    sizes = problem.read_sizes
    seconds = np.array([[problem.read_seconds(k, d, sizes[k, i]) for d in range(m)] for k, i in pairs])
    counts = np.diff(problem.reader_start)
    shared = np.full(tensors, -1, dtype=np.int64)
    shared[counts > 1] = np.arange(int((counts > 1).sum()))
    weights = problem.execution.weights
    limited = problem.execution.memory != "none"
    unlimited = np.full(m, np.inf)
    extra, weight = layer_costs(problem)
    joules = sum(factor for name, factor in problem.stages[0] if name == "energy")
    return HostNet(
        duration=np.ascontiguousarray(problem.duration),
        load=np.ascontiguousarray(problem.load),
        in_start=offsets(problem.inputs),
        in_tensor=np.array([k for k, _ in pairs], dtype=np.int64),
        in_seconds=seconds.reshape(len(pairs), m),
        in_bytes=np.array([sizes[pair] for pair in pairs], dtype=np.float64),
        out_start=offsets(problem.outputs),
        out_tensor=np.array([k for row in problem.outputs for k in row], dtype=np.int64),
        source=problem.source,
        output=problem.output,
        ready=problem.tensor_release,
        size=problem.size,
        write=np.ascontiguousarray(problem.move[:, :m, m]),
        reader_start=problem.reader_start,
        reader=problem.reader,
        shared=shared,
        release=problem.release,
        weight=problem.weight_of,
        weight_bytes=problem.weight_bytes,
        pins={"resident": PINNED, "streamed": STREAMED, "choice": CHOSEN}[weights],
        weight_room=problem.weight_capacity.astype(np.float64) if limited else unlimited,
        memory=problem.memory_of,
        memory_room=problem.capacity.astype(np.float64)
        if limited
        else np.full(len(problem.capacity), np.inf),
        lanes=np.where((problem.slots > MAX_LANES) | (problem.slots >= max(problem.n, 2)), 0, problem.slots),
        extra=extra,
        price=joules * problem.routes.energy_per_byte[m, :m].astype(np.float64),
        seconds=weight,
        channels=len(problem.routes.channels) if waits_for_links(problem) else 0,
        channel_in=problem.routes.channel[m, :m].astype(np.int64),
        channel_out=problem.routes.channel[:m, m].astype(np.int64),
    )


def waits_for_links(problem: MappingProblem) -> bool:
    """Whether links contend and the simulation knows how: one call at a time on every device."""
    return problem.execution.contention == "links" and bool((problem.slots == 1).all())


def offsets(rows: Sequence[Sequence[int]]) -> IntArray:
    """Where each row begins in the flat list of all rows."""
    return np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
