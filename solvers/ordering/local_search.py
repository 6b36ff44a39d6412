"""Iterated local search with path-preserving exchanges, for orders of any size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.ordering.constructive import cheapest_insertion, nearest_orders
from dnnplan.solvers.ordering.depth_first import depth_first_order, repaired
from dnnplan.solvers.ordering.sequences import Path, closure_lists, paths
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.path_exchange import Net, Walk

KERNEL = "dnnplan.solvers.kernels.path_exchange:search"
COMPILER_SECONDS, LOADING_SECONDS = 20.0, 1.5
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
CHUNK_SECONDS, FIRST_ROUNDS = 0.2, 50
"""Time between looks at the limits; kicks in the first chunk."""
ROUNDS_PER_WORK = 2_000
HEATS = (0.05, 0.3, 0.0, 0.15)
"""By how much a kept order may be worse at the start of a cycle, by the mean cost of a step, cycle after cycle."""
FIRST_CYCLE, CYCLE_GROWTH = 10, 1.3
"""Chunks of the first cycle of cooling, and by how much cycles grow."""
LONGEST_KICK = 30
FORBIDDEN = 1e3
"""A step that is not allowed costs this many times the sum of all largest steps."""
DEFAULT_SECONDS = 60.0
OBJECTIVES = ("switching", "expected", "energy")


class LocalSearch:
    """Kicks and path-preserving 3-exchanges with labels (Gambardella and Dorigo 2000) on the best order so far.

    Kicks are random allowed exchanges of short parts; a result is kept if it is not worse by more than a random
    amount that falls to nothing in each cycle. With several workers each begins a cycle at the best order of all. A
    descent takes O(n^2) for each node around which something changed, less where precedences end the loops early.
    """

    summary = "iterated local search with path-preserving 3-exchanges"
    capabilities = Capabilities(problem="ordering", objectives=OBJECTIVES)

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Constructed orders, then exchanges until the limits (60 s of them where there is none).

        Raises
        ------
        UnsupportedError
            Conditions, or a memory that keeps more than one path.
        """
        if not problem.is_plain:
            raise UnsupportedError(
                "local_search: costs of conditions and tools are no sums of steps; use auto"
            )
        propose_orders(problem, search)
        improve_order(problem, search)


def propose_orders(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Orders as listed, depth first, by nearest neighbour and by insertion."""
    search.propose(repaired(problem, list(range(problem.n))))
    if problem.graph is not None:
        search.propose(repaired(problem, depth_first_order(problem)))
    for order in nearest_orders(problem):
        search.propose(order)
    if not search.finished():
        search.propose(cheapest_insertion(problem))


def ready(search: TaskSearch[Any]) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def improve_order(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], seconds: float | None = None, turn: int = 0
) -> None:
    """Improve the incumbent for some seconds, in one thread a worker; by work alone under a work limit.

    Parameters
    ----------
    turn
        Number of this call in a run: each has random numbers of its own.
    """
    if problem.n < 3 or search.finished() or not ready(search):
        return
    if search.settings.work_limit is not None:
        walker = Walker(problem, list(paths(problem)), turn, search)
        while not search.finished():
            walker.step(search, 100)
            search.work += 100 / ROUNDS_PER_WORK
        return
    until = search.seconds + min(DEFAULT_SECONDS if seconds is None else seconds, search.remaining)
    with improving(problem, search, search.settings.workers, turn):
        while search.seconds < until and not search.finished():
            time.sleep(min(0.02, max(0.0, until - search.seconds)))


@contextmanager
def improving(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], threads: int, turn: int = 0
) -> Iterator[None]:
    """Improve the incumbent beside what else is done, in some threads; not at all under a work limit."""
    if threads < 1 or problem.n < 3 or search.settings.work_limit is not None or not ready(search):
        yield
        return
    families, stop = list(paths(problem)), threading.Event()
    team = [
        threading.Thread(
            target=_walk,
            args=(Walker(problem, families, turn * search.settings.workers + k, search), search, stop),
            daemon=True,
        )
        for k in range(threads)
    ]
    for thread in team:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in team:
            thread.join()


def _walk(walker: Walker, search: TaskSearch[OrderingProblem], stop: threading.Event) -> None:
    rounds = FIRST_ROUNDS
    while not stop.is_set() and not search.finished():
        began = time.perf_counter()
        walker.step(search, rounds)
        spent = time.perf_counter() - began
        rounds = int(np.clip(rounds * CHUNK_SECONDS / max(spent, 1e-3), 1, 3 * rounds))


class Walker:
    """One thread's order, and where it is in its cycles of cooling."""

    def __init__(
        self, problem: OrderingProblem, families: list[Path], number: int, search: TaskSearch[OrderingProblem]
    ) -> None:
        self.problem, self.families = problem, families
        self.nets: dict[int, Net] = {}
        self.number = number
        self.cycle, self.chunk, self.length = number, 0, FIRST_CYCLE
        self.seed = 1 + search.settings.seed * 7919 + number * 104_729
        self.best = np.zeros(problem.n + 2, dtype=np.int64)
        self.values = np.zeros(2)
        self.walk: Walk | None = None
        self.family = 0

    def step(self, search: TaskSearch[OrderingProblem], rounds: int) -> None:
        """Some kicks; a better order is reported."""
        from dnnplan.solvers.kernels import path_exchange as kernels

        if self.walk is None or self.chunk >= self.length:
            self._begin(search)
        assert self.walk is not None
        net = self._net(self.family)
        heat = HEATS[self.cycle % len(HEATS)] * self.scale * (1.0 - self.chunk / self.length)
        self.chunk += 1
        longest = min(LONGEST_KICK, max(1, self.problem.n // 3))
        if kernels.search(net, self.walk, self.best, self.values, rounds, heat, longest):
            search.propose([int(t) - 1 for t in self.best[1:-1]])

    def _begin(self, search: TaskSearch[OrderingProblem]) -> None:
        """A new cycle from the best order of all."""
        from dnnplan.solvers.kernels import path_exchange as kernels

        if self.walk is not None:
            self.cycle, self.length, self.chunk = self.cycle + 1, int(self.length * CYCLE_GROWTH) + 1, 0
        best = (
            search.best.decisions
            if search.best is not None
            else repaired(self.problem, list(range(self.problem.n)))
        )
        order = list(best)
        if len(self.families) > 1:
            self.family = (
                (self.cycle // len(HEATS)) % len(self.families)
                if self.cycle % 2
                else self._family_of(order[0])
            )
            order = self._from(self._start(self.family), order)
        net = self._net(self.family)
        nodes = np.array([0, *(t + 1 for t in order), self.problem.n + 1], dtype=np.int64)
        self.walk = new_walk(nodes, self.seed + 31 * self.cycle)
        for node in nodes:
            kernels.push(self.walk, int(node))
        kernels.descend(net, self.walk)
        self.best[:] = self.walk.order
        self.values[:] = kernels.length_of(net, self.walk.order)
        self.scale = max(float(self.values[0]), 0.0) / max(1, self.problem.n)
        search.propose([int(t) - 1 for t in self.best[1:-1]])

    def _start(self, family: int) -> int:
        return int(np.flatnonzero(np.isfinite(self.families[family].cost[0]))[0]) - 1

    def _family_of(self, first: int) -> int:
        """The family of closed orders with this first task."""
        return next((k for k in range(len(self.families)) if self._start(k) == first), 0)

    @staticmethod
    def _from(start: int, order: list[int]) -> list[int]:
        """The order with another first task, which nothing has to come before."""
        return [start, *(t for t in order if t != start)]

    def _net(self, family: int) -> Net:
        if family not in self.nets:
            self.nets[family] = net_of(self.families[family])
        return self.nets[family]


def net_of(path: Path) -> Net:
    """Costs and precedences as the compiled search wants them: what is not allowed is dear, not infinite."""
    from dnnplan.solvers.kernels.path_exchange import SLACK, Net

    finite = np.where(np.isfinite(path.cost), path.cost, 0.0)
    largest = float(np.abs(finite).max(initial=0.0))
    dear = FORBIDDEN * max(1.0, float(np.abs(finite).max(axis=1, initial=0.0).sum()))
    after_start, after = closure_lists(path.before)
    before_start, before = closure_lists(np.ascontiguousarray(path.before.T))
    return Net(
        cost=np.where(np.isfinite(path.cost), path.cost, dear),
        after_start=after_start,
        after=after,
        before_start=before_start,
        before=before,
        slack=SLACK * max(largest, 1e-300),
    )


def new_walk(order: IntArray, seed: int) -> Walk:
    """A sequence with empty scratch space."""
    from dnnplan.solvers.kernels.path_exchange import Walk

    n = len(order)
    place = np.zeros(n, dtype=np.int64)
    place[order] = np.arange(n)
    zeros = [np.zeros(n, dtype=np.int64) for _ in range(4)]
    state = np.zeros(3, dtype=np.int64)
    random = np.array([1 + seed % 2_147_483_646], dtype=np.int64)
    return Walk(order.copy(), place, zeros[0], zeros[1], zeros[2], state, zeros[3], random)
