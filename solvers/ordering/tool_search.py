"""Orders with a memory that keeps more than one path: annealing on what is loaded, and bounds."""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.ordering.tools import Tools
from dnnplan.formulations.ordering.bounds.assignment import assignment_bound
from dnnplan.formulations.ordering.bounds.path_form import relaxed_form
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.ordering.constructive import nearest_orders
from dnnplan.solvers.ordering.depth_first import depth_first_order, repaired
from dnnplan.solvers.ordering.relocation import improve_by_relocation
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.tool_orders import Desk, Shop

KERNEL = "dnnplan.solvers.kernels.tool_orders:anneal"
COMPILER_SECONDS, LOADING_SECONDS = 15.0, 1.5
ALL_TASKS = 7
"""Tasks up to which all orders are tried."""
FIRST_STEPS, GROWTH, LONGEST = 4_000, 1.6, 400_000
"""Steps of the first cycle of cooling, by how much cycles grow, and the longest."""
HOT, COLD = 1.5, 0.15
"""Temperatures of a cycle, by the mean cost of a load."""
STEPS_PER_WORK = 100_000


class ToolSearch:
    """Simulated annealing over orders; what is loaded along each is counted by the rule of the device.

    Moves: a block to another place, two tasks swapped, a stretch turned round. Each order is evaluated in O(n T) by
    keeping the tools that are needed soonest (Tang and Denardo 1988). Few tasks are tried in all orders; closed
    orders are searched by relocation.
    """

    summary = "annealing over orders with a memory that keeps tools or blocks"
    capabilities = Capabilities(
        problem="ordering", bounds=True, objectives=("switching", "expected", "energy")
    )

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Until the limits.

        Raises
        ------
        UnsupportedError
            Memory keeps one path only.
        """
        if problem.tools is None:
            raise UnsupportedError("tool_search: memory keeps one path only; use local_search or auto")
        solve_tools(problem, search)


def solve_tools(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Simple orders and a bound, then all orders or annealing."""
    assert problem.tools is not None
    search.propose(repaired(problem, list(range(problem.n))))
    if problem.graph is not None:
        search.propose(repaired(problem, depth_first_order(problem)))
    for order in nearest_orders(problem):
        search.propose(order)
    bound = step_bound(problem) + tool_bound(problem)
    if bound == math.inf:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
        return
    search.improve_bound(bound * problem.weight, "steps and loads that no order avoids")
    if search.finished():
        return
    if problem.n <= ALL_TASKS:
        _try_all(problem, search)
        return
    if problem.closed or not worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
        improve_by_relocation(problem, search, search.share(1.0))
        return
    _anneal(problem, search)


def _try_all(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    for order in permutations(range(problem.n)):
        if search.finished():
            return
        if problem.keeps(order):
            search.propose(order)
    if search.value is None:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
    else:
        search.improve_bound(search.value, "all orders")


def _anneal(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Cycles of cooling, longer and longer, from the best order and from others in turn."""
    from dnnplan.solvers.kernels import tool_orders as kernels

    shop, desk = shop_of(problem), desk_of(problem, search.settings.seed)
    rng = np.random.default_rng(search.settings.seed)
    until = search.seconds + (search.remaining if math.isfinite(search.remaining) else UNLIMITED_SECONDS)
    steps, cycle, chunk = FIRST_STEPS, 0, 500
    scale = float(shop.load.mean()) if len(shop.load) else 1.0
    while search.seconds < until and not search.finished():
        start = search.best.decisions if search.best is not None and cycle % 3 != 1 else None
        order = np.array(
            repaired(problem, rng.permutation(problem.n).tolist()) if start is None else start, dtype=np.int64
        )
        best, values = order.copy(), np.full(2, kernels.cost_of(shop, desk, order))
        done = 0
        while done < steps and search.seconds < until and not search.finished():
            part = [HOT * (COLD / HOT) ** (x / steps) * scale for x in (done, min(done + chunk, steps))]
            if kernels.anneal(shop, desk, order, best, values, chunk, part[0], part[1]):
                search.propose(best.tolist())
            done += chunk
            search.work += chunk / STEPS_PER_WORK
            chunk = 2_000 if problem.n < 20 else 1_000
        cycle, steps = cycle + 1, min(int(steps * GROWTH), LONGEST)


def shop_of(problem: OrderingProblem) -> Shop:
    """The problem as the compiled search wants it."""
    from dnnplan.solvers.kernels.tool_orders import Shop

    tools = problem.tools
    assert tools is not None
    start = np.zeros(problem.n + 1, dtype=np.int64)
    np.cumsum(tools.needs.sum(axis=1), out=start[1:])
    return Shop(
        start,
        np.nonzero(tools.needs)[1].astype(np.int64),
        tools.bytes.astype(float),
        tools.load.astype(float),
        tools.room.astype(float),
        problem.switch.copy(),
        problem.first.copy(),
        problem.before.astype(np.int64),
        tools.warm,
    )


def desk_of(problem: OrderingProblem, seed: int) -> Desk:
    """Empty scratch space."""
    from dnnplan.solvers.kernels.tool_orders import Desk

    assert problem.tools is not None
    count = len(problem.tools.bytes)
    after = np.zeros((problem.n, count), dtype=np.int64)
    random = np.array([1 + (seed * 7919 + 12_345) % 2_147_483_646], dtype=np.int64)
    return Desk(after, np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), random)


def step_bound(problem: OrderingProblem) -> float:
    """What the steps of every order cost at least, loads left out: an assignment; infinite if no order is allowed."""
    if problem.n == 0 or not (problem.switch.any() or problem.close.any() or problem.first.any()):
        return 0.0
    return assignment_bound(relaxed_form(problem))


def tool_bound(problem: OrderingProblem) -> float:
    """What every order loads at least: each tool that is needed is loaded once, but for what a warm memory holds.

    Warm: memory holds at the start what fits beside a first task; what is spared is at most the dearest loads that
    fit into the largest memory of any task (by cost per room, a fraction of the last one counts whole). Between any
    two tasks that follow each other, what both need together does not fit beyond that either; for tools alike this
    is counted for all pairs, and every order has n - 1 such pairs. Closed: only loads that memory cannot keep for
    ever count, which is bounded by 0.
    """
    tools = problem.tools
    assert tools is not None
    if problem.closed or problem.n == 0:
        return 0.0
    used = np.asarray(tools.needs.any(axis=0))
    total = float(tools.load[used].sum())
    if not tools.warm:
        return total * (1 - 1e-12)
    largest = float((tools.room + tools.needs @ tools.bytes).max())
    spared = _most_in(tools, used, largest)
    return max(0.0, (total - spared) * (1 - 1e-12), _by_pairs(problem, tools))


def _most_in(tools: Tools, used: np.ndarray, room: float) -> float:
    """Most load cost that fits into some room: the linear relaxation of a knapsack, rounded up to whole tools."""
    worth = tools.load / np.maximum(tools.bytes, 1e-300)
    chosen = sorted((int(k) for k in np.flatnonzero(used)), key=lambda k: (-float(worth[k]), k))
    spared = 0.0
    for k in chosen:
        if room <= 0:
            break
        part = 1.0 if tools.bytes[k] <= room else room / tools.bytes[k]
        spared += part * float(tools.load[k])
        room -= float(tools.bytes[k])
    return spared


def _by_pairs(problem: OrderingProblem, tools: Tools) -> float:
    """Tools alike: tasks i and j in a row load at least |T_i u T_j| - slots; n - 1 cheapest such steps."""
    if not tools.switches or problem.n < 2:
        return 0.0
    slots = float((tools.room + tools.needs @ tools.bytes)[0])
    pairs = [
        max(0.0, float((tools.needs[i] | tools.needs[j]).sum()) - slots)
        for i, j in combinations(range(problem.n), 2)
    ]
    return float(sum(sorted(pairs)[: problem.n - 1]))
