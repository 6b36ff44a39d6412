"""Compiled local search from the repaired plan and from list schedules, cut into pieces of about a millisecond."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.costs.compiled import compiled
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.list_schedule import schedule, upward_ranks
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import mean_delays, mean_times
from dnnplan.solvers.local.local_search import PATIENCE, layer_scale, times_exactly
from dnnplan.solvers.local.networks import net_of, plan_in, plan_out, state_of
from dnnplan.solvers.replan.before import Kept, is_topological, nearest_order
from dnnplan.solvers.replan.search import ReplanSearch

STRENGTHS = (0.0, 0.3, 1.0, 3.0, 10.0)
"""Seconds of delay that a second of excess price weighs as much as, in list schedules."""
LOOKAHEAD = ((0.5, 0.0), (0.5, 1.0), (1.0, 0.0), (1.0, 1.0))
"""Weights of the least time that must follow a layer, and of excess prices."""
PIECE = 0.001
"""Seconds between looks at the clock."""
FIRST_STEPS, FEWEST = 100, 20
"""Steps of the first piece, and of the shortest one."""
CYCLE, GROWTH = 0.4, 1.5
"""Seconds of the first cycle of cooling at most, and by how much cycles grow."""
HEATS = ((0.03, 0.0), (0.1, 0.0), (0.3, 0.0), (0.1, 0.3), (0.3, 0.3), (1.0, 0.0))
"""First heat of a cycle by the mean cost of a layer, and weight of the devices' mean last end, cycle after cycle."""
COOLING = 0.02
"""Last heat of a cycle by its first."""


class Walk:
    """One thread's plans as the compiled search sees them.

    Parameters
    ----------
    paid
        (n, m) prices of layers on devices beyond their cheapest one.
    """

    def __init__(
        self, view: MappingProblem, search: ReplanSearch, start: Evaluation, paid: FloatArray, seed: int
    ) -> None:
        self.view, self.search, self.paid, self.seed = view, search, paid, seed
        net, self.goal = net_of(view, start, paid)
        self.added = search.migration.by_layer()
        self.net = net._replace(extra=net.extra + self.added)
        self.state = state_of(self.net)
        self.best_order, self.best_place = plan_in(view, start)
        self.order, self.place = self.best_order.copy(), self.best_place.copy()
        self.exact = times_exactly(view) and search.migration.is_exact_by_layer
        self.scale = layer_scale(self.net, self.goal, self.best_place)
        self.value = self.guess(self.best_order, self.best_place)
        self.pieces, self.steps, self.idle = 0, 0, 0

    def guess(self, order: IntArray, place: IntArray) -> float:
        """What the compiled search takes a plan to cost."""
        from dnnplan.solvers.kernels.local_search import cost_of
        from dnnplan.solvers.kernels.sequences import fits, rebuild

        self.state.order[:], self.state.place[:] = order, place
        rebuild(self.net, self.state)
        if not fits(self.net, self.state):
            return float("inf")
        return float(cost_of(self.net, self.state, self.goal)[1])

    def take(self, order: IntArray, place: IntArray) -> bool:
        """Go on from a plan if it seems better than the best one so far.

        List schedules know nothing of tasks that wait for others; the compiled search takes topological orders only.
        """
        if not is_topological(self.view, order):
            position = np.empty(self.view.n, dtype=np.int64)
            position[order] = np.arange(self.view.n)
            order = nearest_order(self.view, position)
        value = self.guess(order, place)
        if value >= self.value * (1 - 1e-12):
            return False
        self.value = value
        self.best_order[:], self.best_place[:] = order, place
        return True

    def propose(self) -> None:
        """Have the best plan so far evaluated."""
        self.search.propose(plan_out(self.view, self.best_order, self.best_place))

    def restart(self) -> None:
        """Go on from the best plan so far."""
        self.state.order[:], self.state.place[:] = self.best_order, self.best_place

    def piece(self, steps: int, heats: tuple[float, float], spread: float) -> bool:
        """Some steps; True if they found a plan that seems better than all before."""
        from dnnplan.solvers.kernels.local_search import search

        self.pieces += 1
        first, last = (max(heat * self.scale, 1e-300) for heat in heats)
        value, _ = search(
            self.net,
            self.state,
            self.goal._replace(spread=spread),
            (first, last),
            steps,
            (self.seed + 104_729 * self.pieces) % 2**31,
            self.order,
            self.place,
        )
        self.steps += steps
        self.idle += steps
        if value >= self.value * (1 - 1e-12):
            return False
        self.value, self.idle = value, 0
        self.best_order[:], self.best_place[:] = self.order, self.place
        return True

    def run(self, until: float, over: Callable[[], bool]) -> bool:
        """Walk until that moment of `time.perf_counter`, until told so, or until more steps are hardly worth it.

        Returns
        -------
        Whether it was the last of these.
        """
        length, cycle = CYCLE, 0
        steps = FIRST_STEPS
        while not over() and self.idle <= PATIENCE * self.view.n**2:
            began = time.perf_counter()
            length = min(length, until - began)
            if length <= 0:
                return False
            hot, spread = HEATS[cycle % len(HEATS)]
            moment, waiting = 0.0, False
            self.restart()
            while moment < 1.0:
                before = time.perf_counter()
                span = min(PIECE / length, 1.0 - moment)
                heats = (hot * COOLING**moment, hot * COOLING ** (moment + span))
                found = self.piece(steps, heats, spread)
                if found and not self.exact:
                    self.propose()
                waiting |= found
                now = time.perf_counter()
                steps = max(FEWEST, int(steps * min(4.0, PIECE / max(now - before, 1e-6))))
                moment = max(moment + 1e-3, (now - began) / length)
                if now >= until or over():
                    break
            if waiting and self.exact:
                self.propose()
            length *= GROWTH
            cycle += 1
        return not over()


def list_plans(
    view: MappingProblem, kept: Kept, added: FloatArray, paid: FloatArray, tails: FloatArray | None
) -> Iterator[tuple[IntArray, IntArray]]:
    """Orders and places of list schedules that know what it costs to leave the old places.

    By upward rank, by the least work that follows, and as the old plan started; with prices, and looking ahead.
    """
    topological = np.array(view.topological, dtype=np.int64)
    delays = mean_delays(view, view.arrays)
    rank = compiled(upward_ranks)(view.arrays, topological, mean_times(view), delays)
    position = np.empty(view.n, dtype=np.int64)
    position[topological] = np.arange(view.n)
    by_rank = np.lexsort((position, -rank)).astype(np.int64)
    seconds = added / _second(view)
    orders = [by_rank, kept.order]
    if tails is not None:
        ahead = np.where(np.isfinite(tails), tails, np.inf)
        work = (view.arrays.duration + tails).min(axis=1)
        orders.insert(0, np.lexsort((position, -work)).astype(np.int64))
        for order in orders:
            for share, strength in LOOKAHEAD:
                yield from _scheduled(view, order, seconds + strength * paid + share * ahead, position)
    for order in orders:
        for strength in STRENGTHS:
            yield from _scheduled(view, order, seconds + strength * paid, position)


def _second(view: MappingProblem) -> float:
    """What a second of makespan counts in the objective."""
    return sum(weight for name, weight in view.stages[0] if name == "latency") or 1.0


def _scheduled(
    view: MappingProblem, order: IntArray, bias: FloatArray, position: IntArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """The list schedule of an order, if there is one."""
    decode = compiled(schedule)
    place, start, end = decode(view.arrays, order, np.full(view.n, -1, dtype=np.int64), bias)
    if view.colocate and (place >= 0).all():
        place, start, end = decode(view.arrays, order, colocated(view, place), bias)
    if (place >= 0).all():
        yield np.lexsort((position, end, start)).astype(np.int64), place
