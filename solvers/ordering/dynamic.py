"""Dynamic programming over sets of tasks: proven best orders of up to some twenty tasks."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.kernels.order_dp import NONE, best_costs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

MOST_TASKS = 20
"""2^20 sets x 20 tasks x 16 bytes are 340 MB."""
OBJECTIVES = ("switching", "expected", "energy")


class DynamicProgramming:
    """Held and Karp (1962) on sets that are closed under precedences; in a closed order for every first task.

    O(2^n n^2) in time and O(2^n n) in memory; n times as much for closed orders, unless the order can be turned.
    """

    summary = "dynamic programming over sets of tasks, up to 20"
    capabilities = Capabilities(problem="ordering", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Prove the best order.

        Raises
        ------
        UnsupportedError
            Too many tasks, conditions, or a memory that keeps more than a path.
        """
        if not problem.is_plain:
            raise UnsupportedError(
                "dynamic: costs of conditions and tools are no sums of steps; use conditional or auto"
            )
        if problem.n > MOST_TASKS:
            raise UnsupportedError(f"dynamic: {problem.n} tasks, expected at most {MOST_TASKS}")
        prove_small_order(problem, search)


def prove_small_order(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """The best order and its proof, for a problem whose costs are sums of steps."""
    if problem.n == 0:
        return
    value, order = best_order(problem)
    if order is None:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
        return
    search.propose(order)
    # Sums in another order differ in the last digits.
    search.improve_bound(
        min(value * problem.weight, search.value if search.value is not None else math.inf),
        "dynamic programming",
    )


def best_order(problem: OrderingProblem) -> tuple[float, list[int] | None]:
    """Cost and tasks of the best order; None if there is none."""
    if not problem.closed:
        return _best_open(problem, problem.first, None)
    best: tuple[float, list[int] | None] = (math.inf, None)
    starts = [t for t in range(problem.n) if problem.predecessors[t] == 0]
    if _turns(problem):
        starts = starts[:1]
    for start in starts:
        first = np.full(problem.n, np.inf)
        first[start] = 0.0
        found = _best_open(problem, first, problem.close[:, start])
        best = min(best, found, key=lambda pair: pair[0])
    return best


def _turns(problem: OrderingProblem) -> bool:
    """Whether a closed order costs the same from wherever it starts: closing is a step like any other."""
    return problem.is_free and bool(np.array_equal(problem.close, problem.switch))


def _best_open(
    problem: OrderingProblem, first: FloatArray, last: FloatArray | None
) -> tuple[float, list[int] | None]:
    """The best order that starts at cost `first` and, where it is closed, ends at cost `last`."""
    ends = np.zeros(problem.n) if last is None else last
    masks = np.array(problem.predecessors, dtype=np.int64)
    if is_ready(best_costs) or problem.n > 12:
        cost, parent = compiled(best_costs, nogil=True)(first, problem.switch, masks)
        return _trace(cost, parent, ends)
    return _best_plain(first.tolist(), problem.switch.tolist(), problem.predecessors, ends.tolist())


def _trace(cost: FloatArray, parent: IntArray, ends: FloatArray) -> tuple[float, list[int] | None]:
    n = len(ends)
    done = (1 << n) - 1
    total = cost[done] + ends
    task = int(np.argmin(total))
    value = float(total[task])
    if not math.isfinite(value):
        return math.inf, None
    order = []
    while task != NONE:
        order.append(task)
        done, task = done & ~(1 << task), int(parent[done, task])
    return value, order[::-1]


def _best_plain(
    first: list[float], switch: list[list[float]], predecessors: tuple[int, ...], ends: list[float]
) -> tuple[float, list[int] | None]:
    """The same layer by layer with dictionaries: sets that precedences exclude are never made."""
    n = len(first)
    layer: dict[tuple[int, int], tuple[float, tuple[int, int] | None]] = {
        (1 << t, t): (first[t], None) for t in range(n) if not predecessors[t] and first[t] < math.inf
    }
    layers = [layer]
    for _ in range(n - 1):
        grown: dict[tuple[int, int], tuple[float, tuple[int, int] | None]] = {}
        for (done, last), (cost, _) in layer.items():
            row = switch[last]
            for task in range(n):
                if done >> task & 1 or predecessors[task] & ~done:
                    continue
                value, state = cost + row[task], (done | 1 << task, task)
                if value < grown.get(state, (math.inf, None))[0]:
                    grown[state] = (value, (done, last))
        layer = grown
        layers.append(layer)
    if not layer:
        return math.inf, None
    value, state = min((cost + ends[last], (done, last)) for (done, last), (cost, _) in layer.items())
    if not math.isfinite(value):
        return math.inf, None
    order: list[int] = []
    back: tuple[int, int] | None = state
    for one in reversed(layers):
        assert back is not None
        order.append(back[1])
        back = one[back][1]
    return value, order[::-1]
