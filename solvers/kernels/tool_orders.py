"""Simulated annealing on orders whose cost is what memory loads along them, keeping what is needed soonest.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.plan_state import chance, draw

NEVER = 1 << 30


class Shop(NamedTuple):
    """Tasks and what they need.

    Parameters
    ----------
    start, need
        Tools of task t: ``need[start[t]:start[t + 1]]``, ascending.
    size, load
        (T,) room that a tool takes, and cost of loading it.
    room
        (n,) room beside what a task needs.
    switch, first
        Costs of steps, and of the first task.
    before
        (n, n) precedences.
    warm
        Whether memory is full at the start.
    """

    start: IntArray
    need: IntArray
    size: FloatArray
    load: FloatArray
    room: FloatArray
    switch: FloatArray
    first: FloatArray
    before: IntArray
    warm: bool


class Desk(NamedTuple):
    """Scratch space: next uses by place and tool, what is held, and the last random number."""

    after: IntArray
    soonest: IntArray
    held: IntArray
    random: IntArray


@inner
def needs(shop: Shop, task: int, tool: int) -> bool:
    """Whether a task needs a tool; its tools are ascending."""
    low, high = shop.start[task], shop.start[task + 1]
    while low < high:
        middle = (low + high) // 2
        if shop.need[middle] < tool:
            low = middle + 1
        else:
            high = middle
    return bool(low < shop.start[task + 1] and shop.need[low] == tool)


@inner
def look_ahead(shop: Shop, desk: Desk, order: IntArray) -> None:
    """Next use of every tool after every place."""
    for tool in range(shop.size.shape[0]):
        desk.soonest[tool] = NEVER
    for p in range(order.shape[0] - 1, -1, -1):
        for tool in range(shop.size.shape[0]):
            desk.after[p, tool] = desk.soonest[tool]
        for e in range(shop.start[order[p]], shop.start[order[p] + 1]):
            desk.soonest[shop.need[e]] = p


@inner
def fill_at_start(shop: Shop, desk: Desk, order: IntArray) -> None:
    """What a warm memory holds: tools in the order of first need, until one does not fit."""
    free = shop.room[order[0]]
    for e in range(shop.start[order[0]], shop.start[order[0] + 1]):
        free += shop.size[shop.need[e]]
    for p in range(order.shape[0]):
        for e in range(shop.start[order[p]], shop.start[order[p] + 1]):
            tool = shop.need[e]
            if desk.held[tool] == 0:
                if shop.size[tool] > free:
                    return
                desk.held[tool] = 1
                free -= shop.size[tool]


@kernel
def cost_of(shop: Shop, desk: Desk, order: IntArray) -> float:
    """Cost of an open order: steps, and loads (docs/cost-model.md, 10). O(n T)."""
    tools = shop.size.shape[0]
    look_ahead(shop, desk, order)
    for tool in range(tools):
        desk.held[tool] = 0
    if shop.warm:
        fill_at_start(shop, desk, order)
    total = shop.first[order[0]]
    for p in range(order.shape[0]):
        task = order[p]
        if p > 0:
            total += shop.switch[order[p - 1], task]
        for e in range(shop.start[task], shop.start[task + 1]):
            tool = shop.need[e]
            if desk.held[tool] == 0:
                desk.held[tool] = 1
                total += shop.load[tool]
        used = 0.0
        for tool in range(tools):
            if desk.held[tool] == 1 and not needs(shop, task, tool):
                used += shop.size[tool]
        while used > shop.room[task]:
            worst, farthest = -1, -1
            for tool in range(tools):
                if desk.held[tool] == 1 and desk.after[p, tool] > farthest and not needs(shop, task, tool):
                    worst, farthest = tool, desk.after[p, tool]
            desk.held[worst] = 0
            used -= shop.size[worst]
    return float(total)


@kernel
def keeps(shop: Shop, order: IntArray, low: int, high: int) -> bool:
    """Whether no task at places low to high comes before one that has to precede it."""
    for p in range(low, high + 1):
        for q in range(p + 1, high + 1):
            if shop.before[order[q], order[p]]:
                return False
    return True


@inner
def change(shop: Shop, desk: Desk, order: IntArray, trial: IntArray) -> bool:
    """A random neighbour: a block moved, two tasks swapped, or a stretch turned; False: it breaks a precedence."""
    n = order.shape[0]
    kind = draw(desk, 4)
    i, j = draw(desk, n), draw(desk, n)
    low, high = min(i, j), max(i, j)
    for p in range(n):
        trial[p] = order[p]
    if low == high:
        return False
    if kind == 0:
        trial[low], trial[high] = order[high], order[low]
    elif kind == 1:
        for p in range(low, high + 1):
            trial[p] = order[low + high - p]
    else:
        length = 1 if kind == 2 else 1 + draw(desk, min(high - low, 3))
        if i < j:
            for p in range(low, high - length + 1):
                trial[p] = order[p + length]
            for p in range(length):
                trial[high - length + 1 + p] = order[low + p]
        else:
            for p in range(low + length, high + 1):
                trial[p] = order[p - length]
            for p in range(length):
                trial[low + p] = order[high - length + 1 + p]
    return keeps(shop, trial, low, high)


@kernel
def anneal(
    shop: Shop,
    desk: Desk,
    order: IntArray,
    best: IntArray,
    values: FloatArray,
    steps: int,
    hot: float,
    cold: float,
) -> bool:
    """Steps while the temperature falls from hot to cold; `best` and values (current, best) are replaced."""
    trial = order.copy()
    improved = False
    n = order.shape[0]
    for step in range(steps):
        if not change(shop, desk, order, trial):
            continue
        value = cost_of(shop, desk, trial)
        heat = hot * (cold / hot) ** (step / steps)
        if value <= values[0] - heat * np.log(max(chance(desk), 1e-12)):
            values[0] = value
            for p in range(n):
                order[p] = trial[p]
            if value < values[1] - 1e-9:
                values[1] = value
                improved = True
                for p in range(n):
                    best[p] = trial[p]
    return improved
