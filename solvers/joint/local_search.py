"""Local search over task graphs with orders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.joint import JointProblem
from dnnplan.costs.judged import Judged
from dnnplan.costs.routes import IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.solvers.joint.exact import OBJECTIVES, propose_simple_answers
from dnnplan.solvers.joint.parts import part_of
from dnnplan.solvers.ordering.depth_first import depth_first_order, repaired
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

Order = tuple[int, ...]
STEPS_PER_WORK = 2_000
COOLING = 0.999
"""Factor on the temperature at each step; it starts again when it is spent."""
HOT, COLD = 0.1, 1e-4
"""Temperatures relative to the value."""


class LocalSearch:
    """Simulated annealing: a task joins another one up to a branch point, or an order changes.

    A step takes a random task out of its groups and puts it with another task up to a random branch point, below which
    it is alone; or joins two groups; or moves a task in the order to another place that precedences allow. After a
    change of the task graph the order is the depth-first one, repaired for precedences, or the one before, whichever is
    better.
    """

    summary = "simulated annealing on task graph and order"
    capabilities = Capabilities(problem="joint", objectives=OBJECTIVES)

    def run(self, problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
        """Simple answers, then steps until the limits (60 s of them where there is none)."""
        propose_simple_answers(problem, search)
        improve_both(problem, search)


@dataclass
class _State:
    """Where the search is: (L, n) number of each task's group, the order, and the judged answer."""

    home: IntArray
    order: Order
    judged: Judged


def improve_both(problem: JointProblem, search: TaskSearch[JointProblem], seconds: float = math.inf) -> None:
    """Anneal from the incumbent for at most `seconds` (units of work, where work is limited)."""
    if search.best is None or problem.n < 2 or search.finished():
        return
    rng = np.random.default_rng(search.settings.seed)
    by_work = search.settings.work_limit is not None
    until = min(seconds, part_of(search, 1.0)) + (search.work if by_work else search.seconds)
    state = _State(*_start(problem, search.best), search.best)
    heat = HOT
    while not search.finished() and (search.work if by_work else search.seconds) < until:
        search.work += 1.0 / STEPS_PER_WORK
        heat = HOT if heat < COLD else heat * COOLING
        following = _step(problem, state, rng)
        if following is None or not following.judged.feasible:
            continue
        loss = following.judged.value - state.judged.value
        scale = heat * max(abs(state.judged.value), 1e-12)
        if loss <= 0 or rng.random() < math.exp(-loss / scale):
            state = following
            search.accept(state.judged)


def _start(problem: JointProblem, best: Judged) -> tuple[IntArray, Order]:
    groups, order = best.decisions
    home = np.zeros((len(groups), problem.n), dtype=np.int64)
    for level, partition in enumerate(groups):
        for number, group in enumerate(partition):
            home[level, list(group)] = number
    return home, tuple(order)


def _step(problem: JointProblem, state: _State, rng: np.random.Generator) -> _State | None:
    """A random neighbour; None where the step changes nothing."""
    if rng.random() < 0.3 and not (problem.template.is_free and problem.template.is_plain):
        order = _moved(problem, state.order, rng)
        home, groups = state.home, state.judged.decisions[0]
    else:
        home = _regrouped(state.home, rng)
        if np.array_equal(home, state.home):
            return None
        groups = groups_of(home)
        order = _order_of(problem, groups, state.order)
    return None if order is None else _State(home, order, problem.judge((groups, order)))


def _order_of(problem: JointProblem, groups: Groups, before: Order) -> Order:
    """The better one of the depth-first order of a task graph, repaired for precedences, and the order before."""
    ordering = problem.ordering(groups)
    walk = tuple(depth_first_order(ordering))
    if ordering.is_free and ordering.is_plain:
        return walk
    return min(tuple(repaired(ordering, list(walk))), before, key=ordering.cost)


def _regrouped(home: IntArray, rng: np.random.Generator) -> IntArray:
    """One task with another one up to a branch point and alone below it, or two groups joined at one branch point."""
    levels, n = home.shape
    home = home.copy()
    if levels == 0:
        return home
    task, other = rng.choice(n, 2, replace=False).tolist()
    if rng.random() < 0.5:
        depth = int(rng.integers(levels + 1))
        home[:depth, task] = home[:depth, other]
        home[depth:, task] = n
    else:
        # The first branch point at which they part: there their groups become one.
        apart = np.flatnonzero(home[:, task] != home[:, other])
        if len(apart):
            level = int(apart[0])
            home[level, home[level] == home[level, task]] = home[level, other]
    return np.array([np.unique(row, return_inverse=True)[1] for row in home], dtype=np.int64)


def _moved(problem: JointProblem, order: Order, rng: np.random.Generator) -> Order | None:
    """A task at another place of the order; None if precedences forbid it."""
    source, target = rng.choice(problem.n, 2, replace=False).tolist()
    moved = list(order)
    moved.insert(target, moved.pop(source))
    return tuple(moved) if problem.template.keeps(moved) else None


def groups_of(home: IntArray) -> Groups:
    """Numbers of groups as partitions."""
    return tuple(
        tuple(tuple(np.flatnonzero(row == number).tolist()) for number in np.unique(row)) for row in home
    )
