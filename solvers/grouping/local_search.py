"""Local search for task graphs of any size: annealing with moves of tasks and groups."""

from __future__ import annotations

import math
import threading
import time

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import criteria_of
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.grouping.baselines import shared_up_to
from dnnplan.solvers.grouping.pressure import ranges_of
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.grouping.slots import groups_of, state_of, tables_of
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

KERNEL = "dnnplan.solvers.kernels.grouping_annealing:anneal"
COMPILER_SECONDS, LOADING_SECONDS = 20.0, 1.5
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
FIRST_STEPS, CHUNK_SECONDS, CHUNK_STEPS = 2_000, 0.15, 20_000
"""Steps of the first chunk, time between looks at the limits, and steps of a chunk under a work limit."""
STEPS_PER_WORK = 200_000
FIRST_CYCLE, GROWTH = 60_000, 1.6
"""Steps of the first cycle of cooling, and by how much cycles grow."""
HOT, COLD = 0.2, 0.0015
"""First and last temperature of a cycle, by the value of the best task graph."""
PRESSURES = (3.0, 10.0, 2.0, 30.0)
"""Penalties of what exceeds a limit, cycle after cycle, by the range of the objective over that of the sum."""


class LocalSearch:
    """Simulated annealing of task graphs, in cycles of cooling from the best one so far.

    A step moves a task or a group to another place in the tree, joins two groups, or exchanges two tasks
    (`dnnplan.solvers.kernels.grouping_annealing`). What exceeds a limit is penalised. A step takes O(L (n + g^2)) for
    groups of g tasks.
    """

    summary = "simulated annealing: tasks and groups move, join and part"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, then annealing until the limits (60 s of it where there is none)."""
        propose_simple_graphs(problem, search)
        improve_graph(problem, search)


def improve_graph(
    problem: GroupingProblem, search: TaskSearch[GroupingProblem], seconds: float | None = None
) -> None:
    """Improve the incumbent for some seconds, in one thread a worker; under a work limit for some units, in one."""
    if problem.n < 2 or problem.levels == 0 or search.finished() or not ready(search):
        return
    if search.settings.work_limit is not None:
        walker = Walker(problem, search, 0)
        until = search.work + min(search.remaining_work, math.inf if seconds is None else seconds)
        while search.work < until and not search.finished():
            walker.step(CHUNK_STEPS)
            search.work += CHUNK_STEPS / STEPS_PER_WORK
        return
    until = search.seconds + min(UNLIMITED_SECONDS if seconds is None else seconds, search.remaining)
    with Team(problem, search, search.settings.workers) as team:
        while search.seconds < until and not search.finished() and not team.stop.is_set():
            time.sleep(min(0.02, max(0.0, until - search.seconds)))


def ready(search: TaskSearch[GroupingProblem]) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def beside(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> Team:
    """Walkers for all workers but one, while that one does something else; none under a work limit."""
    spare = search.settings.workers - 1
    if problem.n < 2 or problem.levels == 0 or search.settings.work_limit is not None or not ready(search):
        spare = 0
    return Team(problem, search, max(0, spare))


class Team:
    """Walkers in threads of their own, for as long as a ``with`` block lasts; their errors come out at its end."""

    def __init__(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem], workers: int) -> None:
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        walkers = [Walker(problem, search, number) for number in range(workers)]
        self.threads = [threading.Thread(target=self._walk, args=(one,), daemon=True) for one in walkers]

    def _walk(self, walker: Walker) -> None:
        steps = FIRST_STEPS
        try:
            while not self.stop.is_set():
                began = time.perf_counter()
                walker.step(steps)
                spent = time.perf_counter() - began
                # The first chunk may have waited for the compiler and says nothing of the speed.
                steps = int(np.clip(steps * CHUNK_SECONDS / max(spent, 1e-4), 100, 3 * steps))
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def __enter__(self) -> Team:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]


class Walker:
    """One thread's task graph, and where it is in its cycles of cooling."""

    def __init__(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem], number: int) -> None:
        criteria = criteria_of(problem)
        self.problem, self.search, self.number = problem, search, number
        self.tables = tables_of(problem, criteria)
        self.ranges = ranges_of(problem, criteria)
        alone = shared_up_to(problem, 0)
        seed = search.settings.seed * 7919 + number * 104_729
        self.state, self.spare, self.best = (state_of(alone, problem.n, seed) for _ in range(3))
        self.cycle, self.done, self.length = number, 0, FIRST_CYCLE
        self.value = math.inf
        self._begin()

    def step(self, steps: int) -> None:
        """Some steps of the cycle; a better task graph is reported."""
        from dnnplan.solvers.kernels.grouping_annealing import anneal

        if self.done >= self.length:
            self.cycle, self.length = self.cycle + 1, int(self.length * GROWTH)
            self._begin()
        moments = self.done / self.length, min(1.0, (self.done + steps) / self.length)
        hot, cold = (self.scale * HOT * (COLD / HOT) ** moment for moment in moments)
        self.done += steps
        best, _ = anneal(
            self.tables, self.state, self.spare, self.best, self.value, self.penalty, (hot, cold), steps
        )
        if best < self.value:
            self.value = best
            self.search.propose(groups_of(self.best.home))

    def _begin(self) -> None:
        """A new cycle from the best task graph of all; the first one, without any, from each task alone."""
        self.done = 0
        pressure = PRESSURES[self.cycle % len(PRESSURES)]
        answer, value = self.search.best, self.search.value
        if answer is not None and value is not None:
            self.value = value
            start = state_of(answer.decisions, self.problem.n)
            self.state.home[:] = start.home
        else:
            # Nothing keeps the limits so far: they weigh more from cycle to cycle.
            pressure *= 10.0 ** min(6, self.cycle)
        self.scale = max(abs(self.value) if math.isfinite(self.value) else 0.0, 1e-3 * float(self.ranges[0]))
        self.penalty: FloatArray = pressure * self.ranges[0] / self.ranges
