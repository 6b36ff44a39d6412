"""Compiled local search over complete plans."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.local_search import Goal
    from dnnplan.solvers.kernels.plan_state import Net

KERNEL = "dnnplan.solvers.kernels.local_search:search"
COMPILER_SECONDS, LOADING_SECONDS = 30.0, 3.0
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
STEPS_PER_WORK = 50_000
CHUNK_SECONDS, MOST_CHUNKS, FIRST_CHUNK, CHUNK = 0.2, 10, 500, 1_000
"""Time between looks at the limits, and how many of them a thread may take to end; steps in the first chunk, and in
every one under a work limit."""
CHUNK_PART, LEAST_CHUNK_SECONDS = 0.25, 0.005
"""Part of a short run between looks at the limits, and seconds at least."""
FIRST_CYCLE_SECONDS, CYCLE_GROWTH, FIRST_CYCLE = 0.4, 1.5, 20_000
"""Length of the first cycle of cooling in seconds, or in steps under a work limit, and by how much cycles grow."""
SMALL, LARGE = 300, 3_000
LEVELS = {
    SMALL: ((0.3, 0.0), (0.1, 0.3), (0.3, 0.3), (1.0, 0.0), (0.2, 0.0)),
    LARGE: ((0.3, 0.0), (1.0, 0.0), (0.1, 0.3), (1.0, 0.3), (0.3, 0.3), (0.03, 0.0)),
}
COOL_LEVELS = ((0.03, 0.0), (0.1, 0.0), (0.03, 0.3))
"""By number of layers: first heat of a cycle by the mean cost of a layer, and weight of the devices'
mean last end, cycle after cycle."""
COOLING = 0.02
"""Last heat of a cycle by its first."""
PATIENCE = 2_000
"""Steps without a better plan, by the square of the number of layers, after which a thread ends."""
DEFAULT_SECONDS = 60.0


class LocalSearch:
    """Threshold search over order and devices: moves, swaps, blocks along chains, guided by the critical path.

    Transfers under host staging, without overlap or with contention are plain delays to it; each improvement is
    evaluated as it will execute before it counts. With several workers each searches from the shared best plan.
    """

    summary = "compiled local search over complete plans, guided by the critical path"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, then local search until the limits (60 s of it where there is none)."""
        propose_simple_plans(problem, search)
        if ready(search):
            improve_locally(problem, search)


def ready(search: Search) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def improve_locally(
    problem: MappingProblem,
    search: Search,
    seconds: float | None = None,
    *,
    work: float = np.inf,
    workers: int | None = None,
) -> None:
    """Improve the incumbent for some seconds, in one thread a worker.

    Under a work limit there is one thread, which stops after that much work, and the run depends on the seed alone.
    """
    from dnnplan.solvers.local.networks import suits

    if search.best is None or search.finished() or not suits(problem):
        return
    if search.settings.work_limit is not None:
        _by_work(problem, search, work)
        return
    allowed = search.remaining if seconds is None else min(seconds, search.remaining)
    until = search.seconds + (allowed if np.isfinite(allowed) else DEFAULT_SECONDS)
    chunk = min(CHUNK_SECONDS, max(allowed * CHUNK_PART, LEAST_CHUNK_SECONDS))
    team = start_team(problem, search, workers or search.settings.workers, chunk)
    try:
        while search.seconds < until and not search.finished() and team.busy:
            time.sleep(min(0.05, max(until - search.seconds, 0.0)))
    finally:
        team.stop()


class Walker:
    """One search thread's plan, and where it is in its cycles of cooling."""

    def __init__(self, problem: MappingProblem, best: Evaluation, number: int, seed: int) -> None:
        from dnnplan.solvers.local.networks import net_of, plan_in, state_of

        self.problem = problem
        self.net, self.goal = net_of(problem, best)
        self.state = state_of(self.net)
        self.order, self.place = plan_in(problem, best)
        self.state.order[:], self.state.place[:] = self.order, self.place
        self.best_order, self.best_place = self.order.copy(), self.place.copy()
        self.seed, self.chunks, self.cycles, self.value = seed + 7_001 * number, 0, number, np.inf
        self.exact, self.least, self.idle = times_exactly(problem), np.inf, 0
        self.scale = layer_scale(self.net, self.goal, self.place)
        self.levels = next((levels for most, levels in LEVELS.items() if problem.n <= most), COOL_LEVELS)

    def adopt(self, order: IntArray, place: IntArray) -> None:
        """Go on from another plan; what it finds is compared with that one."""
        self.state.order[:], self.state.place[:] = order, place
        self.value = np.inf

    @property
    def spent(self) -> bool:
        """Whether so many steps have found nothing that more are hardly worth it."""
        return self.idle > PATIENCE * self.problem.n**2

    def chunk(self, steps: int, progress: tuple[float, float]) -> bool:
        """Some steps of a cycle, `progress` of its cooling from 0 to 1; True if they found a plan to be evaluated.

        That is a better one than before, or, where only evaluation tells, the best of these steps.
        """
        from dnnplan.solvers.kernels.local_search import search as walk

        hot, spread = self.levels[self.cycles % len(self.levels)]
        first, last = (max(hot * self.scale * COOLING**moment, 1e-300) for moment in progress)
        self.chunks += 1
        value, _ = walk(
            self.net,
            self.state,
            self.goal._replace(spread=spread),
            (first, last),
            steps,
            (self.seed + 104_729 * self.chunks) % 2**31,
            self.best_order,
            self.best_place,
        )
        self.idle += steps
        if value < self.least * (1 - 1e-12):
            self.least, self.idle = value, 0
        if not self.exact or value < self.value * (1 - 1e-12):
            self.value = value
            self.order[:], self.place[:] = self.best_order, self.best_place
            return True
        return False


def layer_scale(net: Net, goal: Goal, place: IntArray) -> float:
    """Mean cost of a layer where it is: seconds at their weight, and cost beside time."""
    rows = np.arange(len(place))
    seconds = float(net.duration[rows, place].mean())
    beside = float(np.abs(net.extra[rows, place]).mean())
    jobs = float(net.job_weight.sum())
    return (goal.weight + jobs) * seconds + beside


def times_exactly(problem: MappingProblem) -> bool:
    """Whether the search's own times are those of the evaluation, and the objective one that it sees whole."""
    execution = problem.execution
    return (
        execution.staging == "direct"
        and execution.overlap
        and execution.contention == "none"
        and execution.memory == "none"
        and not problem.limits
        and all(name in ("latency", "weighted_completion", "tardiness") for name, _ in problem.stages[0])
    )


def _by_work(problem: MappingProblem, search: Search, work: float) -> None:
    """One thread, counted in steps."""
    from dnnplan.solvers.local.networks import plan_in, plan_out

    assert search.best is not None
    walker = Walker(problem, search.best, 0, search.settings.seed)
    cycle, done, limit = FIRST_CYCLE, 0, search.work + work
    while search.work < limit and not search.finished() and not walker.spent:
        left = min(search.remaining_work, limit - search.work)
        steps = int(min(CHUNK, max(1, left * STEPS_PER_WORK)))
        if walker.chunk(steps, (done / cycle, min(1.0, (done + steps) / cycle))):
            search.propose(plan_out(problem, walker.order, walker.place))
        search.work += steps / STEPS_PER_WORK
        done += steps
        if done >= cycle:
            cycle, done = int(CYCLE_GROWTH * cycle), 0
            walker.cycles += 1
            walker.adopt(*plan_in(problem, search.best))


class Team:
    """Threads that search beside whatever else runs, and report to the same search."""

    def __init__(self, problem: MappingProblem, search: Search, chunk: float = CHUNK_SECONDS) -> None:
        self.problem, self.search, self.chunk = problem, search, chunk
        self.ended = threading.Event()
        self.threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    @property
    def busy(self) -> bool:
        """Whether some thread still searches."""
        return any(thread.is_alive() for thread in self.threads)

    def start(self, workers: int) -> None:
        """Begin with that many threads."""
        for number in range(workers):
            thread = threading.Thread(target=self._guarded, args=(number,), name="local-search", daemon=True)
            self.threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all threads; errors in them are raised here. One that waits for the compiler ends when it has it.

        Nobody waits for that: the code is there when it is asked for again.
        """
        self.ended.set()
        for thread in self.threads:
            thread.join(MOST_CHUNKS * CHUNK_SECONDS)
        self.threads.clear()
        if self.failures:
            raise self.failures[0]

    def _guarded(self, number: int) -> None:
        try:
            self._walk(number)
        except BaseException as error:
            self.failures.append(error)
            self.ended.set()

    def _walk(self, number: int) -> None:
        assert self.search.best is not None
        walker = Walker(self.problem, self.search.best, number, self.search.settings.seed)
        steps, length = FIRST_CHUNK, FIRST_CYCLE_SECONDS
        walker.chunk(1, (1.0, 1.0))  # waits for the compiler
        while not self._over() and not walker.spent:
            began = time.perf_counter()
            length = min(length, max(2 * CHUNK_SECONDS, self.search.remaining))
            moment = 0.0
            while moment < 1.0 and not self._over():
                before = time.perf_counter()
                span = min(self.chunk / length, 1.0 - moment)
                if walker.chunk(steps, (moment, moment + span)):
                    self._report(walker)
                took = max(time.perf_counter() - before, 1e-6)
                steps = max(20, int(steps * min(4.0, self.chunk / took)))
                moment = max(moment + 1e-3, (time.perf_counter() - began) / length)
            length *= CYCLE_GROWTH
            walker.cycles += 1
            self._share(walker)

    def _over(self) -> bool:
        return self.ended.is_set() or self.search.remaining <= 0

    def _report(self, walker: Walker) -> None:
        from dnnplan.solvers.local.networks import plan_out

        self.search.propose(plan_out(self.problem, walker.order, walker.place))

    def _share(self, walker: Walker) -> None:
        """The next cycle starts from the best plan of all threads and solvers."""
        from dnnplan.solvers.local.networks import plan_in

        best = self.search.best
        if best is not None:
            walker.adopt(*plan_in(self.problem, best))


def start_team(problem: MappingProblem, search: Search, workers: int, chunk: float = CHUNK_SECONDS) -> Team:
    """Search in that many threads until the team is stopped; `chunk`: seconds between looks at the limits."""
    team = Team(problem, search, chunk)
    team.start(workers)
    return team


def beside(problem: MappingProblem, search: Search, work: Callable[[], None], workers: int) -> None:
    """Do some work while that many threads search locally."""
    team = start_team(problem, search, workers)
    try:
        work()
    finally:
        team.stop()
