"""Exact search over all task graphs of a few tasks, each with the mapping that it leaves."""

from __future__ import annotations

import heapq
import math
import threading
from dataclasses import dataclass, replace
from typing import Any

from dnnplan.costs import Decisions
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.bounds import CALLS, mapping_bound, quick_bound
from dnnplan.formulations.whole.task_graphs import MOST_GRAPHS, classes_of, count_graphs
from dnnplan.solvers.local.turns import walks_at_once
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.candidates import Candidate, bound_of, candidates_of, mapping_weight
from dnnplan.solvers.whole.mapping_proofs import Effort, MappingProof
from dnnplan.solvers.whole.parts import OBJECTIVES, run_mapping, seconds_of
from dnnplan.solvers.whole.polish import polish
from dnnplan.solvers.whole.start import propose_lists

LOOKED = 100
"""Task graphs whose mappings are bounded before proofs begin; the others when their turn comes."""
FIRST_SLICE, GROWTH = 2.5, 3.0
"""Seconds (units of work, where those are limited) of the first run on a task graph, and by how much runs grow."""
POLISHED, POLISHED_PART = ((60, 0.002), (6, 0.006)), 0.04
"""Rounds of local search on mappings before proofs begin: the best so many task graphs, seconds (units of work, where
work is limited) by layer; and part of the time left for each round at most."""
TRIED, TRIED_PART, TRIED_SECONDS = 3, 0.05, 1.0
"""Without compiled local search: task graphs whose mapping is solved for a moment, part of the time for each, and
seconds at most."""
PATIENCE = 15
"""Task graphs in a row whose mappings are no better than the best plan, after which a round ends."""
SPARE = 0.5
"""Part of the gap that an answer may have by which better plans have to be better."""


class TaskGraphs:
    """All task graphs that keep their limits, by rising bound; CP-SAT proves each mapping no better than the best.

    Task graphs that leave the same mapping, since tasks have equal layers, are one case. A case ends when its bound
    reaches the value of the best plan; all cases together prove that plan. Every setting of mapping is covered.
    """

    summary = f"exact for few tasks: the mapping of every task graph (at most {MOST_GRAPHS}), by rising bound"
    capabilities = Capabilities(problem="whole", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """Until optimality is proven or the limits are reached; with too many task graphs only simple answers."""
        bound = quick_bound(problem)
        search.improve_bound(bound.value, bound.name)
        if not search.finished():
            solve_task_graphs(problem, search)


def can_enumerate(problem: WholeProblem) -> bool:
    """Whether there are few enough task graphs, and their mappings have a model."""
    return count_graphs(problem.n, problem.levels) <= MOST_GRAPHS and CALLS not in problem.limits


def solve_task_graphs(
    problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float = math.inf
) -> bool:
    """Search all task graphs for at most `seconds` (units of work, where work is limited).

    Returns
    -------
    Whether nothing is left to do: proven optimal or infeasible.
    """
    if not can_enumerate(problem):
        run_mapping(problem, search, problem.apart, seconds_of(search, seconds, 1.0))
        return search.proved
    pool = Pool(problem, search, seconds)
    if pool.begin():
        pool.run()
    return search.proved


@dataclass
class Rate:
    """How many task graphs a strategy has closed, and the seconds (or units of work) that it had."""

    closed: float = 1.0
    spent: float = 1.0

    @property
    def value(self) -> float:
        """Closed task graphs a second."""
        return self.closed / self.spent


class Pool:
    """Open task graphs, and threads that take them one by one; one thread alone where work is limited."""

    def __init__(self, problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float) -> None:
        self.problem, self.search = problem, search
        self.by_work = search.settings.work_limit is not None
        self.until = (search.work if self.by_work else search.seconds) + seconds
        self.rates = [Rate(), Rate()]
        self.classes = classes_of(problem) if problem.levels else ()
        self.all: list[Candidate] = []
        self.open: list[Candidate] = []
        self.busy: dict[int, Any] = {}
        self.stopped, self.begun = False, False
        self.lock = threading.Condition()
        self.errors: list[BaseException] = []

    def resume(self, seconds: float) -> None:
        """Go on with what is open, for at most `seconds` more (units of work, where work is limited)."""
        self.until = (self.search.work if self.by_work else self.search.seconds) + seconds
        self.stopped = False
        if self.begun or self.begin():
            self.run()

    def will_end(self, seconds: float) -> bool:
        """Whether what is open ends within so many seconds (units of work), if it goes on as it went."""
        closed = sum(rate.closed - 1 for rate in self.rates)
        spent = sum(rate.spent - 1 for rate in self.rates)
        left = sum(not self.closed(one) for one in self.all)
        threads = 1 if self.by_work else max(1, self.search.settings.workers)
        return closed > 0 and left * spent / closed <= threads * seconds

    def over(self) -> bool:
        """Whether time or work is out, or everything is proven."""
        now = self.search.work if self.by_work else self.search.seconds
        return self.search.finished() or now >= self.until

    def begin(self) -> bool:
        """List the task graphs with bounds and simple mappings; False if the limits came first, or there are none."""
        problem, search = self.problem, self.search
        self.all = candidates_of(problem)
        if not self.all:
            search.infeasible = "no task graph keeps the limits (all task graphs)"
            return False
        # Those of fewest groups have the least work to do.
        self.all.sort(key=lambda one: (one.graph, sum(len(level) for level in one.groups)))
        least = mapping_bound(problem).value if mapping_weight(problem) else 0.0
        for one in self.all:
            one.bound = one.key = one.graph + least
        for one in self.all[:LOOKED]:
            if self.over():
                return False
            one.key = self._look(one)
        self.report()
        self._polish()
        self.begun = True
        return not self.over()

    def _look(self, one: Candidate) -> float:
        """Bound a task graph and propose simple mappings; their value, or a bound where there is none."""
        one.seen = True
        search, view = self.search, self.problem.mapping(one.groups)
        if not mapping_weight(self.problem) and self.closed(one):
            return one.graph
        if mapping_weight(self.problem):
            one.bound = max(one.bound, one.graph + bound_of(view))
        listed = propose_lists(self.problem, search, one.groups)
        if listed is None:
            return one.bound
        least, one.start = listed
        return least

    def _polish(self) -> None:
        """Improve the mappings of the best task graphs: proofs are quick where no plan of interest is left to find.

        Without compiled code that covers them, the default solver has a moment for a few of them.
        """
        if not mapping_weight(self.problem):
            return
        if walks_at_once(self.problem.mapping(self.all[0].groups), self.search):
            for number, (most, by_layer) in enumerate(POLISHED):
                self._polish_round(most, by_layer, self.search.settings.seed + number)
        elif len(self.all) > 1 or self.search.best is None:
            for one in sorted(self.all[:LOOKED])[:TRIED]:
                if not self.over():
                    seconds = seconds_of(self.search, TRIED_SECONDS, TRIED_PART)
                    run_mapping(self.problem, self.search, one.groups, seconds)

    def _polish_round(self, most: int, by_layer: float, seed: int) -> None:
        """Local search on the mappings of at most so many task graphs, for so many seconds by layer."""
        search = self.search
        kept = [one for one in self.all[:LOOKED] if one.start is not None and not self.closed(one)]
        budget = seconds_of(search, math.inf, POLISHED_PART) / max(1, min(most, len(kept)))
        idle = 0
        for one in sorted(kept)[:most]:
            if self.over() or idle >= PATIENCE:
                return
            assert one.start is not None
            before, seconds = search.value, min(by_layer * self.problem.mapping(one.groups).n, budget)
            value = polish(self.problem, search, one.groups, one.start, seconds, seed=seed)
            if value is not None:
                one.key = min(one.key, value)
            idle = idle + 1 if search.value == before else 0

    def cutoff(self) -> float:
        """The value that a plan has to stay below to be of interest."""
        value = self.search.value
        if value is None:
            return math.inf
        return value - SPARE * self.search.settings.gap * abs(value)

    def closed(self, one: Candidate) -> bool:
        """Whether no plan of interest has this task graph."""
        return one.bound >= self.cutoff()

    def report(self) -> None:
        """Report the least bound of all task graphs."""
        bound = min(one.bound for one in self.all)
        if math.isfinite(bound):
            self.search.improve_bound(bound, "all task graphs")

    def run(self) -> None:
        """Work through the open task graphs until they are closed or the limits are reached."""
        self.open = [one for one in self.all if not self.closed(one)]
        heapq.heapify(self.open)
        workers = 1 if self.by_work else max(1, self.search.settings.workers)
        threads = [threading.Thread(target=self._work, args=(k,), daemon=True) for k in range(workers)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                with self.lock:
                    self.lock.wait(0.05)
                    self.report()
                if self.over() or self.errors:
                    self.stop()
        except KeyboardInterrupt:
            self.search.interrupted = True
            self.stop()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
        self._settle()

    def stop(self) -> None:
        """End all runs of CP-SAT, and begin no others."""
        with self.lock:
            self.stopped = True
            for solver in self.busy.values():
                solver.stop_search()

    def _settle(self) -> None:
        """Report what is proven in the end."""
        self.report()
        if self.search.best is None and all(math.isinf(one.bound) for one in self.all):
            self.search.infeasible = "no task graph has a mapping that keeps all limits (all task graphs)"

    def _work(self, number: int) -> None:
        try:
            while (one := self._next()) is not None:
                try:
                    self._prove(one, number)
                finally:
                    with self.lock:
                        self.busy.pop(number, None)
                        self.lock.notify_all()
        except BaseException as error:
            self.errors.append(error)

    def _next(self) -> Candidate | None:
        """The next open task graph; None if there are none, or the limits are reached."""
        with self.lock:
            while not self.stopped:
                while self.open:
                    one = heapq.heappop(self.open)
                    if not self.closed(one):
                        return one
                if not self.busy:
                    return None
                self.lock.wait(0.05)
        return None

    def _prove(self, one: Candidate, number: int) -> None:
        """One run on a task graph, which goes back to the open ones if it is not closed."""
        search = self.search
        if not one.seen:
            self._look(one)
            if self.closed(one):
                return
        below = self.cutoff() - one.graph
        proof = MappingProof(self.problem, one.groups, self.classes)

        def started(solver: Any) -> bool:
            with self.lock:
                self.busy[number] = solver
                return not self.stopped

        def found(decisions: Decisions) -> None:
            search.propose((one.groups, decisions))

        effort, began = self._effort(one), search.seconds
        result = proof.run(below, effort, started, found)
        if result.empty and math.isinf(below) and not self.stopped:
            # Infeasible without any plan to compare: believed if the search without presolve agrees.
            again = replace(effort, presolve=False)
            result = proof.run(below, again, started, found)
        with self.lock:
            search.work += result.work
            rate = self.rates[effort.relaxation]
            rate.closed += result.closed
            rate.spent += result.work if self.by_work else search.seconds - began
            one.strategies.append(effort.relaxation)
            one.bound = max(one.bound, one.graph + result.bound)
            one.turn += 1
            one.key = one.bound
            if result.closed and not result.empty and not mapping_weight(self.problem):
                one.bound = max(one.bound, one.graph)
            elif not result.closed and not self.closed(one):
                heapq.heappush(self.open, one)
            self.lock.notify_all()

    def _relaxation(self, one: Candidate) -> int:
        """The strategy of the next run: at first the one that closes most, and then the two in turn."""
        if one.strategies:
            return 1 - one.strategies[-1]
        names = {name for name, _ in self.problem.stages[0]}
        first = 0 if names & {"latency", "max_load", "edp"} else 1
        without, relaxed = (rate.value for rate in self.rates)
        return first if without == relaxed else int(relaxed > without)

    def _effort(self, one: Candidate) -> Effort:
        """Limits of the next run on a task graph: they grow, and the strategy changes from run to run."""
        search = self.search
        slice_ = FIRST_SLICE * GROWTH**one.turn
        if self.by_work:
            left = min(search.remaining_work, self.until - search.work)
            seconds, work = search.remaining, min(slice_, left)
        else:
            left = min(search.remaining, self.until - search.seconds)
            seconds, work = min(slice_, left) if math.isfinite(left) else slice_, math.inf
        return Effort(
            seconds=seconds,
            work=work,
            relaxation=self._relaxation(one),
            seed=search.settings.seed,
        )
