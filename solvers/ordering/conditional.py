"""Orders of tasks that run only sometimes: exact least expected cost."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.ordering.constructive import nearest_orders
from dnnplan.solvers.ordering.depth_first import repaired
from dnnplan.solvers.ordering.relocation import improve_by_relocation
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

NOTHING = -1
"""The last task that has run where none has."""
MOST_STATES = 3_000_000
CLOSED_TASKS = 8
"""Tasks up to which closed orders are tried one by one."""
HEURISTIC_SECONDS = 10.0
LOOK = 4096
"""States between looks at the limits."""

State = tuple[int, tuple[int, ...]]


class ConditionalDynamic:
    """Dynamic programming over (tasks placed, task that ran last in each scenario), with completion bounds.

    A prefix costs, in each set of tasks that can run together, its steps between tasks that run; what comes after
    depends on the tasks that are placed and on those that ran last. Open orders of any size as far as memory goes;
    closed ones of up to eight tasks by trying all.
    """

    summary = "least expected cost with conditions, by dynamic programming"
    capabilities = Capabilities(
        problem="ordering", exact=True, bounds=True, objectives=("switching", "expected", "energy")
    )

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Local search, then the proof.

        Raises
        ------
        UnsupportedError
            No conditions.
        """
        if problem.scenarios is None:
            raise UnsupportedError("conditional: no task has a condition; use dynamic or auto")
        solve_conditional(problem, search)


def solve_conditional(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Orders by relocation, then all that is not too dear."""
    search.propose(repaired(problem, list(range(problem.n))))
    for order in nearest_orders(problem):
        search.propose(order)
    improve_by_relocation(problem, search, min(HEURISTIC_SECONDS, 0.2 * search.remaining))
    if problem.closed:
        _try_all(problem, search)
    else:
        _layers(problem, search)


def _try_all(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Closed orders: the step into the next period pairs the last task of one draw with the first of another."""
    if problem.n > CLOSED_TASKS:
        return
    for order in permutations(range(problem.n)):
        if search.finished():
            return
        if problem.keeps(order):
            search.propose(order)
    if search.value is None:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
    else:
        search.improve_bound(search.value, "all orders")


def _layers(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Layer by layer; what is left of a layer bounds all orders, so that an early end has a bound as well."""
    assert problem.scenarios is not None
    runs, chance = problem.scenarios.runs, problem.scenarios.probability.tolist()
    entering = _least_entering(problem)
    total = float(entering.sum())
    layer: dict[State, tuple[float, tuple[int, ...]]] = {(0, (NOTHING,) * len(chance)): (0.0, ())}
    first, switch = problem.first.tolist(), problem.switch.tolist()
    active = [[bool(runs[s, t]) for s in range(len(chance))] for t in range(problem.n)]
    left = {0: total}
    for _ in range(problem.n):
        grown: dict[State, tuple[float, tuple[int, ...]]] = {}
        ceiling = math.inf if search.value is None else search.value / problem.weight * (1 + 1e-12)
        for number, ((done, lasts), (cost, order)) in enumerate(layer.items()):
            if number % LOOK == 0 and (search.finished() or len(grown) > MOST_STATES):
                return
            for task in range(problem.n):
                if done >> task & 1 or problem.predecessors[task] & ~done:
                    continue
                value, now = cost, list(lasts)
                for s, p in enumerate(chance):
                    if active[task][s]:
                        value += p * (first[task] if lasts[s] == NOTHING else switch[lasts[s]][task])
                        now[s] = task
                after = done | 1 << task
                rest = left.setdefault(after, left[done] - float(entering[task]))
                if value + rest > ceiling or value == math.inf:
                    continue
                state = (after, tuple(now))
                known = grown.get(state)
                if known is None or value < known[0]:
                    grown[state] = (value, (*order, task))
        layer = grown
        if not layer:
            break
        least = min(cost + left[done] for (done, _), (cost, _) in layer.items())
        _report(problem, search, least)
    _conclude(problem, search, [found for found in layer.values() if len(found[1]) == problem.n])


def _report(problem: OrderingProblem, search: TaskSearch[OrderingProblem], least: float) -> None:
    value = math.inf if search.value is None else search.value
    search.improve_bound(
        min(least * problem.weight * (1 - 1e-12), value), "dynamic programming over prefixes"
    )


def _conclude(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], whole: list[tuple[float, tuple[int, ...]]]
) -> None:
    """All prefixes below the incumbent have been looked at."""
    for _, order in whole:
        search.propose(order)
    if search.value is None:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
        return
    search.improve_bound(search.value, "dynamic programming over prefixes")


def _least_entering(problem: OrderingProblem) -> np.ndarray:
    """(n,) probability of each task times the least that a step into it costs."""
    assert problem.scenarios is not None
    switch = np.where(np.eye(problem.n, dtype=bool) | problem.before.T, np.inf, problem.switch)
    least = np.minimum(switch.min(axis=0, initial=np.inf), problem.first)
    probability = problem.scenarios.probability @ problem.scenarios.runs
    return np.where(np.isfinite(least), least, 0.0) * probability
