"""The largest load of a device: annealing and the load MILP side by side, from the best contiguous split."""

from __future__ import annotations

import queue
import threading

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.formulations.mapping.load import TOLERANCE, LoadProblem, build, load_problem
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.placement.dp_linear import linear_order, linear_split, placed
from dnnplan.solvers.placement.placement_search import load_arrays
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

KERNEL = "dnnplan.solvers.kernels.placement:anneal"
COMPILER_SECONDS, LOADING_SECONDS = 20.0, 3.0
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
MOVES_PER_WORK = 1_000_000
CHUNK_SECONDS, FIRST_CHUNK, FIRST_CYCLE = 0.5, 20_000, 4_000_000
ANNEAL_FROM = 80
"""Groups x devices from which annealing comes before the MILP."""
MILP_UP_TO = 60_000
"""Groups x devices up to which the MILP is built."""
CYCLES = ((1e-2, 3e-6, 5), (1e-1, 3e-4, 4), (1e-2, 3e-6, 5), (3e-2, 1e-5, 4))
"""First and last temperature, relative to the largest load, and the exponent 2^p of the norm, of cycles in turn."""


class LoadSearch:
    """Annealing of moves, swaps and block moves of colocated groups, from the best contiguous split.

    The guiding cost is a norm of the loads of high exponent, so that moves between devices that are not the fullest
    count too. Loads change by the tensors at the moved groups: O(degree x devices) a move.
    """

    summary = "max-load: compiled annealing of moves, swaps and blocks of colocated groups"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, the best linear split, then annealing until the limits (60 s where there are none)."""
        propose_simple_plans(problem, search)
        loads = load_problem(problem)
        if search.finished() or not worth_compiling(search):
            return
        propose_split(loads, search)
        anneal_until(loads, search, min(search.remaining, 60.0))


class LoadMilp:
    """The load MILP of `dnnplan.formulations.mapping.load`, solved by HiGHS below the value of a simple plan.

    Proves ``max_load`` where loads do not depend on what is pinned or kept: its bound counts for every setting, its
    placements are judged as they will run.
    """

    summary = "max-load: compact MILP over devices of colocated groups with HiGHS, and its bound"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES, bounds=True)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, then the MILP until the limits."""
        propose_simple_plans(problem, search)
        loads = load_problem(problem)
        if search.finished() or loads.size * loads.m > MILP_UP_TO:
            return
        milp = Background(loads, search)
        milp.wait(search)


def is_max_load(problem: MappingProblem) -> bool:
    """Whether the first stage of the objective is ``max_load`` alone."""
    terms = problem.stages[0]
    return len(terms) == 1 and terms[0][0] == "max_load" and terms[0][1] > 0


def solve_max_load(problem: MappingProblem, search: Search) -> None:
    """Bounds and simple plans, the best linear split, annealing, and the MILP beside it (one worker: after it)."""
    bound = objective_bound(problem)
    search.improve_bound(bound.value, bound.name)
    propose_simple_plans(problem, search)
    loads = load_problem(problem)
    if search.finished():
        return
    size = loads.size * loads.m
    anneals = size >= ANNEAL_FROM and worth_compiling(search)
    exact = size <= MILP_UP_TO and (search.settings.work_limit is None or size < ANNEAL_FROM)
    if anneals:
        propose_split(loads, search)
        anneal_until(loads, search, min(0.1 * search.remaining, 0.001 * size))
    if search.finished():
        return
    if anneals and not (exact and search.settings.workers > 1):
        anneal_until(loads, search, search.share(0.3 if exact else 1.0))
    if not exact or search.finished():
        return
    milp = Background(loads, search)
    if anneals and search.settings.workers > 1:
        try:
            anneal_until(loads, search, search.remaining, milp)
        finally:
            milp.stopped = search.finished()
    milp.wait(search)


def worth_compiling(search: Search) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def propose_split(loads: LoadProblem, search: Search) -> None:
    """Propose the best contiguous split of one linear order."""
    place = linear_split(loads, linear_order(loads))
    if place is not None:
        search.propose(placed(loads, place))


def groups_of(loads: LoadProblem, search: Search) -> IntArray:
    """(G,) device of each group in the incumbent; its fastest device where there is none."""
    if search.best is None:
        return np.array([int(row.argmin()) for row in loads.work], dtype=np.int64)
    place = search.best.decisions.place
    return np.array([place[row[0]] for row in loads.layers], dtype=np.int64)


def anneal_until(loads: LoadProblem, search: Search, seconds: float, milp: Background | None = None) -> None:
    """Cycles of cooling from the incumbent for some seconds, each longer than the one before.

    A cycle is cut into chunks of about half a second; between them limits are looked at and what the MILP found is
    taken over.
    """
    from dnnplan.solvers.kernels.placement import anneal

    if loads.size < 2:
        return
    arrays = load_arrays(loads)
    until = search.seconds + seconds
    fixed = search.settings.work_limit is not None
    chunk, cycle, done, rounds, number = FIRST_CHUNK, FIRST_CYCLE, 0, 0, 0
    place, value = groups_of(loads, search), search.value
    while search.seconds < until and not search.finished() and not (milp is not None and milp.ended):
        hot, cold, squarings = CYCLES[number % len(CYCLES)]
        chunk = min(chunk, cycle - done)
        if fixed:
            chunk = int(min(chunk, max(1, search.remaining_work * MOVES_PER_WORK)))
        begin, end = (hot * (cold / hot) ** (moved / cycle) for moved in (done, done + chunk))
        began = search.seconds
        seed = (search.settings.seed + 7919 * rounds) % 2**32
        best, _, place = anneal(arrays, place, (begin, end), squarings, chunk, seed)
        search.propose(placed(loads, best))
        search.work += chunk / MOVES_PER_WORK
        done, rounds = done + chunk, rounds + 1
        if milp is not None:
            milp.report(search)
        if not fixed and rounds > 1:
            took = max(search.seconds - began, 1e-6)
            chunk = max(1000, int(chunk / took * min(CHUNK_SECONDS, max(until - search.seconds, 0.01))))
        elif fixed:
            chunk = FIRST_CHUNK
        if done >= cycle:
            # A temperature that has led to a better plan is kept.
            number += int(value is not None and search.value is not None and search.value >= value)
            done, cycle, value = 0, min(int(1.2 * cycle), 10 * FIRST_CYCLE), search.value
            place = groups_of(loads, search)


def highest_load(loads: LoadProblem) -> float:
    """A load that no device has more than in any placement."""
    parts = (loads.work, loads.fixed, loads.receive, loads.send)
    return float(sum(np.where(np.isfinite(part), part, 0.0).sum() for part in parts)) + 1.0


class Background:
    """The load MILP in a thread of its own; what it finds waits until the search asks for it.

    Parameters
    ----------
    stopped
        Set to end it.
    ended
        Whether it has nothing left to do.
    """

    def __init__(self, loads: LoadProblem, search: Search) -> None:
        self.loads, self.stopped, self.ended = loads, False, False
        known = search.best.cost.max_load if search.best is not None else highest_load(loads)
        self.model = build(loads, known * (1 + 1e-9))
        self.found: queue.SimpleQueue[IntArray | float] = queue.SimpleQueue()
        self.failure: BaseException | None = None
        self.arguments = {
            "time_limit": search.remaining,
            "gap": search.settings.gap / 2,
            "threads": 1,
            "seed": search.settings.seed,
            "presolve": True,
            "tolerance": TOLERANCE,
        }
        self.thread = threading.Thread(target=self._run, name="load-milp", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        from dnnplan.solvers.exact.highs import run_highs

        def solution(values: dict[str, float]) -> None:
            place = self.model.placement(values)
            if place is not None:
                self.found.put(place)

        def bound(value: float) -> None:
            self.found.put(self.model.seconds(value))

        try:
            outcome = run_highs(
                self.model.pulp,
                on_solution=solution,
                on_bound=bound,
                stop=lambda: self.stopped,
                **self.arguments,  # type: ignore[arg-type]
            )
            if np.isfinite(outcome.bound):
                bound(outcome.bound)
        except BaseException as error:
            self.failure = error
        finally:
            self.ended = True

    def report(self, search: Search) -> None:
        """Hand over plans and bounds found so far."""
        while not self.found.empty():
            item = self.found.get()
            if not isinstance(item, float):
                search.propose(placed(self.loads, item))
            elif is_max_load(search.problem):
                search.improve_bound(item * search.problem.stages[0][0][1], "load MILP (HiGHS)")
        if self.failure is not None:
            raise self.failure

    def wait(self, search: Search) -> None:
        """Report until it ends or the search is finished; interruptions stop it."""
        try:
            while self.thread.is_alive():
                self.thread.join(0.05)
                self.report(search)
                self.stopped = self.stopped or search.finished()
        except KeyboardInterrupt:
            search.interrupted = True
        finally:
            self.stopped = True
            self.thread.join()
        self.report(search)
