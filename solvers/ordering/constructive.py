"""Orders built task by task: the nearest next, and the cheapest insertion."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.solvers.ordering.depth_first import repaired
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

OBJECTIVES = ("switching", "expected", "energy")


class NearestNeighbour:
    """From each possible first task: always the task that costs least next, among those whose predecessors have run.

    Sees steps only: what memory keeps, and whether a task will run, it does not know. O(n^3).
    """

    summary = "always the cheapest next task, from every possible first one"
    capabilities = Capabilities(problem="ordering", objectives=OBJECTIVES)

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """An order for each first task."""
        for order in nearest_orders(problem):
            if search.finished():
                return
            search.propose(order)


class Insertion:
    """Task after task, each where it costs least between its predecessors and successors that are there.

    Tasks come in an order that keeps precedences, of those that are free next the one whose cheapest place costs
    least. O(n^3).
    """

    summary = "task after task at its cheapest place"
    capabilities = Capabilities(problem="ordering", objectives=OBJECTIVES)

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """One order."""
        search.propose(cheapest_insertion(problem))


def nearest_orders(problem: OrderingProblem) -> list[list[int]]:
    """A nearest-neighbour order from each task that can be first."""
    found = []
    masks = problem.predecessors
    for start in range(problem.n):
        if masks[start]:
            continue
        order, done = [start], 1 << start
        while len(order) < problem.n:
            free = [t for t in range(problem.n) if not done >> t & 1 and not masks[t] & ~done]
            row = problem.switch[order[-1]]
            order.append(min(free, key=lambda t: (row[t], t)))
            done |= 1 << order[-1]
        found.append(order)
    return found


def cheapest_insertion(problem: OrderingProblem) -> list[int]:
    """An order by cheapest insertion."""
    order: list[int] = []
    left = repaired(problem, list(range(problem.n)))
    while left:
        placed = set(order)
        free = [t for t in left if not any(problem.before[s, t] for s in left)] or left[:1]
        task, place, _ = min(
            ((t, *_cheapest_place(problem, order, t)) for t in free if t not in placed),
            key=lambda found: found[2],
        )
        order.insert(place, task)
        left.remove(task)
    return order


def _cheapest_place(problem: OrderingProblem, order: list[int], task: int) -> tuple[int, float]:
    """Place and added cost of a task, behind all of its predecessors and before all of its successors."""
    low = max((p + 1 for p, t in enumerate(order) if problem.before[t, task]), default=0)
    high = min((p for p, t in enumerate(order) if problem.before[task, t]), default=len(order))
    best = (low, math.inf)
    for place in range(low, high + 1):
        before = order[place - 1] if place else None
        after = order[place] if place < len(order) else None
        added = float(problem.first[task]) if before is None else float(problem.switch[before, task])
        if after is not None:
            added += float(problem.switch[task, after])
            added -= float(problem.first[after]) if before is None else float(problem.switch[before, after])
        if np.isnan(added):
            added = math.inf
        best = min(best, (place, added), key=lambda found: found[1])
    return best
