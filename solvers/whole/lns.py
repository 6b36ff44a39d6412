"""Large neighbourhoods of whole plans: task graphs near the best one, their mappings, and parts of the one model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Decisions
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeAnswer, WholeProblem
from dnnplan.formulations.whole.bounds import quick_bound
from dnnplan.formulations.whole.copies import supports
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.lists.heft import decode_list, heft
from dnnplan.solvers.local.windows import Bandit
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch
from dnnplan.solvers.whole.alternating import carried_over
from dnnplan.solvers.whole.cpsat import latest_end
from dnnplan.solvers.whole.graph_moves import neighbours, work_of_groups
from dnnplan.solvers.whole.mapping_proofs import tick_of
from dnnplan.solvers.whole.parts import OBJECTIVES, by_priority, seconds_of, spent
from dnnplan.solvers.whole.polish import polish
from dnnplan.solvers.whole.sequential import run_steps
from dnnplan.solvers.whole.start import propose_simple_wholes

if TYPE_CHECKING:
    from dnnplan.formulations.whole.cpsat import Variables

FIRST_PART = 0.4
"""Share of the time left for the sequential plan."""
NEIGHBOURS, CHOSEN = 12, 2
"""Task graphs near the best one that are looked at in a round, and how many of them have their mapping improved."""
LISTED_LAYERS = 150
"""Layers up to which list schedules are made for neighbours, besides the mapping that is carried over."""
SECONDS_BY_LAYER, LEAST_SECONDS = 0.003, 0.1
"""Seconds of local search on the mapping of a neighbour (units of work, where work is limited)."""
MAPPING_SECONDS, MODEL_SECONDS = 2.0, 3.0
"""Longest turn on the mapping of the best task graph, and on a part of the model."""
FREE_TASKS = 2
MODEL_COPIES = 6_000
"""Copies of layers x tasks up to which parts of the one model are used."""


class Lns:
    """Task graphs near the best one, with its mapping carried over and improved; and parts of the one CP-SAT model.

    Which of the three kinds of steps comes next is a bandit's choice: near task graphs, the mapping alone, or two tasks
    that choose anew what they share and where and when they run, all else as it is.
    """

    summary = "large neighbourhoods: near task graphs, their mappings, and two tasks anew in the CP-SAT model"
    capabilities = Capabilities(problem="whole", bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """The sequential plan, then neighbourhoods until the limits (60 s of them where there is none)."""
        bound = quick_bound(problem)
        search.improve_bound(bound.value, bound.name)
        propose_simple_wholes(problem, search)
        if not search.finished():
            run_steps(problem, search, seconds_of(search, math.inf, FIRST_PART))
        if not search.finished():
            improve_whole(problem, search)


def improve_whole(problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float = math.inf) -> None:
    """Improve the incumbent for at most `seconds` (units of work, where work is limited)."""
    if search.best is None or search.finished():
        return
    allowed = min(seconds, seconds_of(search, math.inf, 1.0))
    if math.isinf(allowed):
        allowed = UNLIMITED_SECONDS
    until = spent(search) + allowed
    steps = _Steps(problem, search, until)
    while not search.finished() and spent(search) < until:
        steps.step()


class _Steps:
    """The kinds of steps, and what has been tried."""

    def __init__(self, problem: WholeProblem, search: TaskSearch[WholeProblem], until: float) -> None:
        self.problem, self.search, self.until = problem, search, until
        self.rng = np.random.default_rng(search.settings.seed)
        self.known: set[Groups] = set()
        self.model: Variables | None = None
        kinds = {"mapping": self._mapping}
        if problem.levels and problem.n > 1:
            kinds["graphs"] = self._graphs
            self.work = work_of_groups(problem)
            copies = problem.mapping(problem.apart).n
            if supports(problem) is None and copies * problem.n <= MODEL_COPIES:
                kinds["model"] = self._part
        self.kinds = kinds
        self.bandit = Bandit(list(kinds), self.rng)

    def step(self) -> None:
        """One step of the kind that the bandit chooses."""
        search = self.search
        name = self.bandit.choose()
        before, began = search.value or 0.0, spent(search)
        self.kinds[name]()
        if spent(search) - began < 1e-4 and search.settings.work_limit is not None:
            # Steps that cost no work must not go on for ever.
            search.work += 1e-4
        gain = (before - (search.value or 0.0)) / max(abs(before), 1e-30)
        self.bandit.learn(name, gain, max(spent(search) - began, 0.01))

    def left(self) -> float:
        """Seconds (units of work) until the end."""
        return max(0.0, self.until - spent(self.search))

    @property
    def answer(self) -> WholeAnswer:
        """The best plan so far."""
        assert self.search.best is not None
        found: WholeAnswer = self.search.best.decisions
        return found

    def _graphs(self) -> None:
        """Near task graphs: the mapping carried over, and that of the best ones improved."""
        problem, answer = self.problem, self.answer
        near = neighbours(problem, answer.groups, self.rng, NEIGHBOURS, self.known, self.work)
        if not near:
            self.known = {answer.groups}
            return
        tried: list[tuple[float, int, Groups, Decisions]] = []
        for groups in near:
            if self.search.finished():
                return
            start, value = self._look(groups, answer)
            tried.append((value, len(tried), groups, start))
        for value, _, groups, start in sorted(tried)[:CHOSEN]:
            if math.isfinite(value) and not self.search.finished():
                layers = problem.mapping(groups).n
                self._improve(groups, start, max(LEAST_SECONDS, SECONDS_BY_LAYER * layers))

    def _look(self, groups: Groups, answer: WholeAnswer) -> tuple[Decisions, float]:
        """The best simple mapping of a near task graph, and its value; infinite where none keeps all limits.

        That of the plan, carried over, and list schedules: by its starts, and, for few layers, by HEFT's ranks.
        """
        problem, view = self.problem, self.problem.mapping(groups)
        carried = carried_over(problem, answer, groups)
        found: list[Decisions | None] = [carried, decode_list(view, view.arrays, by_starts(view, carried))]
        if view.n <= LISTED_LAYERS:
            found.append(heft(view))
        self.search.work += view.n * view.m * 1e-5
        best, least = carried, math.inf
        for decisions in found:
            if decisions is not None:
                judged = problem.judge((groups, decisions))
                self.search.accept(judged)
                if judged.feasible and judged.value < least:
                    best, least = decisions, judged.value
        return best, least

    def _mapping(self) -> None:
        """The mapping of the best task graph."""
        answer = self.answer
        self._improve(answer.groups, answer.evaluation.decisions, MAPPING_SECONDS, windows=True)

    def _improve(self, groups: Groups, start: Decisions, seconds: float, *, windows: bool = False) -> None:
        """Improve one mapping for some seconds (units of work)."""
        polish(
            self.problem,
            self.search,
            groups,
            start,
            min(seconds, self.left()),
            seed=int(self.rng.integers(2**31)),
            windows=windows,
        )

    def _part(self) -> None:
        """Some tasks anew in the model, all else as it is."""
        from dnnplan.formulations.whole.cpsat import build, extract
        from dnnplan.formulations.whole.cpsat.parts import part_of_model

        problem, search = self.problem, self.search
        if self.model is None:
            horizon = latest_end(problem, search)
            tick = tick_of(problem.mapping(problem.apart), horizon)
            self.model = build(
                problem, tick, horizon=horizon, proofs=False, keep_going=lambda: not search.finished()
            )
        v = self.model
        if v is None:
            return
        free = self.rng.choice(problem.n, min(FREE_TASKS, problem.n), replace=False).tolist()
        below = search.value if problem.stages[0] == (("latency", 1.0),) else None
        built = TaskModel(
            model=part_of_model(v, self.answer, free, below),
            unit=v.unit,
            constant=v.constant,
            extract=lambda value: extract(v, value),
            answers="whole plan",
            part=True,
        )
        run_task_model(built, search, min(MODEL_SECONDS, self.left()))


def by_starts(view: MappingProblem, decisions: Decisions) -> IntArray:
    """Layers in a topological order that follows the order of each device of a plan."""
    place = np.zeros(view.n, dtype=np.int64)
    for row in decisions.order:
        for number, call in enumerate(row):
            for i in decisions.calls[call]:
                place[i] = number
    depth = np.zeros(view.n, dtype=np.int64)
    for i in view.topological:
        for k in view.inputs[i]:
            if view.source[k] >= 0:
                depth[i] = max(depth[i], depth[view.source[k]] + 1)
        depth[i] = max(depth[i], place[i])
    return np.array(by_priority(view, depth.tolist()), dtype=np.int64)
