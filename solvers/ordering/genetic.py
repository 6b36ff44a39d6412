"""The genetic algorithm of the authors of Antler for orders, on whatever an order costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

ORDERS_PER_WORK = 20_000
MOST_KNOWN = 20_000
"""Orders whose costs are remembered at a time, where one is dear to work out."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How the population lives, as in the authors' public experiments.

    Parameters
    ----------
    population, elite
        Orders at a time, and how many of the best go on without a crossover.
    mutation
        Chance that two neighbours of an order are swapped, once a generation.
    generations
        After which the search ends.
    """

    population: int = 100
    elite: int = 20
    mutation: float = 0.1
    generations: int = 500


class Genetic:
    """Orders bred by sorting a stretch of one anew, at random, so that precedences are kept.

    Luo et al., Antler (arXiv 2302.13155, 2023), with the crossover of Yun and Moon (2011): two random places cut an
    order into three parts, and one of them becomes a random topological order of its tasks. A child has one parent,
    drawn by roulette wheel with chances as 1 / cost. Then any order, the best ones too, may have a task swapped with
    its neighbour in front, or else behind, as precedences allow; the last and the first are neighbours.

    Ours: costs are those of the problem (closed orders, conditions, tools), where theirs are sums of open steps or
    independent conditions. An order with a step that is not allowed has no chance, unless all are like that; then
    chances are equal. If a cost is 0 or less, chances are as 1 / (what it costs more than the least + the mean of
    that). Equal costs rank by place in the population. The answer is the best order ever seen, not that of the last
    generation. O(population x n^2) a generation, beside what judging the orders takes.
    """

    summary = "genetic search that sorts stretches of orders anew at random (after Antler, Luo et al. 2023)"
    capabilities = Capabilities(problem="ordering", objectives=("switching", "expected", "energy"))

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Random orders, one of them reported whatever the limits, then generations until the limits or the last."""
        parameters, rng = self.parameters, np.random.default_rng(search.settings.seed)
        orders = random_orders(problem, parameters.population, rng)
        search.propose(orders[0].tolist())
        if problem.n < 2 or search.finished():
            return
        judge = Judge(problem, search)
        costs = judge.costs(orders)
        for _ in range(parameters.generations):
            if search.finished():
                return
            orders = next_generation(problem, orders, costs, parameters, rng)
            costs = judge.costs(orders)


class Judge:
    """Costs of orders; the best one is reported, and work is counted."""

    def __init__(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        self.problem, self.search = problem, search
        self.best = np.inf
        self.known: dict[bytes, float] = {}

    def costs(self, orders: IntArray) -> FloatArray:
        """(P,) cost of each row; infinite where it is not allowed, or was not worked out before the limits."""
        found = sums_of_steps(self.problem, orders) if self.problem.is_plain else self._one_by_one(orders)
        self.search.work += len(orders) / ORDERS_PER_WORK
        least = int(np.argmin(found))
        if found[least] < self.best:
            self.best = float(found[least])
            self.search.propose(orders[least].tolist())
        return found

    def _one_by_one(self, orders: IntArray) -> FloatArray:
        found = np.full(len(orders), np.inf)
        for row, order in enumerate(orders):
            key = order.tobytes()
            if key not in self.known:
                if self.search.finished():
                    break
                if len(self.known) >= MOST_KNOWN:
                    self.known.clear()
                self.known[key] = self.problem.cost(order.tolist())
            found[row] = self.known[key]
        return np.where(np.isfinite(found), found, np.inf)


def sums_of_steps(problem: OrderingProblem, orders: IntArray) -> FloatArray:
    """(P,) cost of each row, where a period costs the sum of what its steps cost."""
    first, last = orders[:, 0], orders[:, -1]
    start = problem.close[last, first] if problem.closed else problem.first[first]
    total: FloatArray = start + problem.switch[orders[:, :-1], orders[:, 1:]].sum(axis=1)
    return total


def next_generation(
    problem: OrderingProblem, orders: IntArray, costs: FloatArray, parameters: Parameters, rng: Generator
) -> IntArray:
    """The best orders and children of orders drawn by roulette wheel, all of them mutated now and then."""
    elite = orders[np.argsort(costs, kind="stable")[: parameters.elite]]
    drawn = rng.choice(len(orders), size=len(orders) - len(elite), p=chances(costs))
    young = np.concatenate([elite, crossed(problem, orders[drawn], rng)])
    mutate(problem, young, parameters.mutation, rng)
    return young


def chances(costs: FloatArray) -> FloatArray:
    """(P,) chance of each order on the roulette wheel: as 1 / cost, none where that is infinite."""
    allowed = costs[np.isfinite(costs)]
    if not len(allowed):
        return np.full(len(costs), 1.0 / len(costs))
    least = float(allowed.min())
    if least <= 0.0:
        excess = float((allowed - least).mean())
        raised = excess if excess > 0.0 else 1.0
        costs, least = costs - least + raised, raised
    share = least / costs
    wheel: FloatArray = share / share.sum()
    return wheel


def random_orders(problem: OrderingProblem, count: int, rng: Generator) -> IntArray:
    """(count, n) orders that keep precedences, each next task drawn from those that are free."""
    listed = np.tile(np.arange(problem.n, dtype=np.int64), (count, 1))
    ends = np.full(count, problem.n, dtype=np.int64)
    return sorted_anew(problem, listed, np.zeros_like(ends), ends, rng)


def crossed(problem: OrderingProblem, orders: IntArray, rng: Generator) -> IntArray:
    """A child of each row: before, between (both included) or behind two random places all is sorted anew."""
    count, n = orders.shape
    one, other = rng.integers(n, size=count), rng.integers(n - 1, size=count)
    other += other >= one
    low, high = np.minimum(one, other), np.maximum(one, other)
    part = rng.integers(3, size=count)
    begin = np.choose(part, [np.zeros_like(low), low, high + 1])
    end = np.choose(part, [low, high + 1, np.full_like(low, n)])
    return sorted_anew(problem, orders, begin, end, rng)


def sorted_anew(
    problem: OrderingProblem, orders: IntArray, begin: IntArray, end: IntArray, rng: Generator
) -> IntArray:
    """(P, n) orders with places `begin` to `end` - 1 of each in a random topological order of their tasks.

    All rows are sorted at once, the one with the longest stretch first. Each next task is drawn from those that no
    task left in the stretch has to come before, all with the same chance.
    """
    places, before = np.arange(problem.n), problem.before.astype(np.int32)
    by_length = np.argsort(begin - end, kind="stable")
    begin, length = begin[by_length], (end - begin)[by_length]
    found = orders.copy()
    chosen = np.zeros(orders.shape, dtype=bool)
    inside = (places >= begin[:, None]) & (places < (begin + length)[:, None])
    np.put_along_axis(chosen, orders[by_length], inside, axis=1)
    # Predecessors that a task waits for; n, more than it can have, where it is placed or not in the stretch.
    counts = (chosen.astype(np.float32) @ problem.before.astype(np.float32)).astype(np.int32)
    waiting = np.where(chosen, counts, problem.n)
    for step in range(int(length.max(initial=0))):
        rows = np.arange(np.count_nonzero(length > step))
        free = (waiting[rows] == 0).cumsum(axis=1)
        drawn = (rng.random(len(rows)) * free[:, -1]).astype(np.int64)
        task = (free > drawn[:, None]).argmax(axis=1)
        found[by_length[rows], begin[rows] + step] = task
        waiting[rows] -= before[task]
        waiting[rows, task] = problem.n
    return found


def mutate(problem: OrderingProblem, orders: IntArray, rate: float, rng: Generator) -> None:
    """Swap, in some rows, a random task with its neighbour in front or, if precedences forbid that, behind."""
    for row in np.flatnonzero(rng.random(len(orders)) < rate).tolist():
        place = int(rng.integers(problem.n))
        for other in ((place - 1) % problem.n, (place + 1) % problem.n):
            trial = orders[row].tolist()
            trial[place], trial[other] = trial[other], trial[place]
            if problem.keeps(trial):
                orders[row] = trial
                break
