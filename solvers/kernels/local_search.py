"""Threshold search over complete plans, guided by their critical path.

A step moves a layer, swaps two, or moves a block along a chain; the change is timed by `sequences`, kept if it costs no
more than the current plan plus a random amount that cools down, and taken back otherwise. Importing this module loads
numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import bare, kernel
from dnnplan.costs.routes import IntArray
from dnnplan.solvers.kernels.plan_state import (
    CHANGES,
    MODULUS,
    MOVED,
    Net,
    State,
    chance,
    delay,
    draw,
)
from dnnplan.solvers.kernels.sequences import fits, keep, rebuild, settle, sort_by_start, take_back
from dnnplan.solvers.kernels.steps import (
    move_block,
    move_layer,
    pull_neighbours,
    shift_layer,
    swap_layers,
)

CRITICAL, PATIENCE = 0.5, 12
"""Share of steps that begin at a critical layer; kept steps after which the critical path is looked up again."""


class Goal(NamedTuple):
    """What a plan costs: weight x (makespan + spread x mean last end of the devices) + jobs + cost beside time.

    `by_final`: the makespan is that of the final layers; otherwise the last layers of the devices have it.
    """

    weight: float
    spread: float
    by_final: bool
    by_job: bool


@bare
def mean_last(s: State) -> float:
    """Mean over the devices of their last end."""
    total = 0.0
    for d in range(s.last.shape[0]):
        if s.last[d] >= 0:
            total += s.end[s.last[d]]
    return float(total / s.last.shape[0])


@bare
def makespan_of(net: Net, s: State, goal: Goal) -> float:
    """End of the plan."""
    latest = 0.0
    if not goal.by_final:
        for d in range(s.last.shape[0]):
            if s.last[d] >= 0:
                latest = max(latest, s.end[s.last[d]])
    for f in range(net.final.shape[0]):
        i = net.final[f]
        latest = max(latest, s.end[i] + net.final_delay[i, s.place[i]])
    return latest


@kernel
def cost_of(net: Net, s: State, goal: Goal) -> tuple[float, float]:
    """(guiding cost, true cost) of the plan."""
    true = goal.weight * makespan_of(net, s, goal) + s.total[0]
    if goal.by_job:
        done = np.zeros(net.job_weight.shape[0])
        for f in range(net.final.shape[0]):
            i = net.final[f]
            end = s.end[i] + net.final_delay[i, s.place[i]]
            done[net.final_job[f]] = max(done[net.final_job[f]], end)
        for j in range(done.shape[0]):
            true += net.job_weight[j] * max(0.0, done[j] - net.job_due[j])
    return true + goal.weight * goal.spread * mean_last(s), true


@bare
def critical_path(net: Net, s: State, goal: Goal, path: IntArray) -> int:
    """Layers of one critical path, last first; ties go to the earliest cause. Returns how many."""
    i, latest = -1, -1.0
    for d in range(s.last.shape[0]):
        j = s.last[d]
        if j >= 0 and s.end[j] + net.final_delay[j, d] > latest:
            i, latest = j, s.end[j] + net.final_delay[j, d]
    for f in range(net.final.shape[0]):
        j = net.final[f]
        if s.end[j] + net.final_delay[j, s.place[j]] > latest:
            i, latest = j, s.end[j] + net.final_delay[j, s.place[j]]
    count = 0
    while i >= 0:
        path[count] = i
        count += 1
        d = s.place[i]
        cause, ready = -1, net.base[i, d]
        p = s.before[i]
        if p >= 0 and net.unary[d] and s.end[p] > ready:
            cause, ready = p, s.end[p]
        for e in range(net.pred_start[i], net.pred_start[i + 1]):
            p = net.pred[e]
            moment = s.end[p] + delay(net, net.pred_size[e], net.pred_row[e], s.place[p], d)
            if moment > ready:
                cause, ready = p, moment
        i = cause
    return count


@bare
def step_from(net: Net, s: State, i: int) -> None:
    """A random step that begins at layer i."""
    kind = draw(s, 20)
    if kind < 6:
        move_layer(net, s, i)
    elif kind < 11:
        shift_layer(net, s, i)
    elif kind < 15:
        swap_layers(net, s, i)
    elif kind < 18:
        move_block(net, s, i)
    else:
        pull_neighbours(net, s, i)


@bare
def copy_plan(s: State, order: IntArray, place: IntArray) -> None:
    """Order and devices of the plan in `s`, into arrays of others."""
    for q in range(s.order.shape[0]):
        order[q] = s.order[q]
        place[q] = s.place[q]


@kernel
def search(
    net: Net,
    s: State,
    goal: Goal,
    heat: tuple[float, float],
    iterations: int,
    seed: int,
    best_order: IntArray,
    best_place: IntArray,
) -> tuple[float, int]:
    """Some steps from the plan in `s`, which is left where they end; the best plan goes to the last two arguments.

    Threshold accepting with random thresholds (the acceptance rule of Kirkpatrick, Gelatt and Vecchi 1983, drawn before
    the step is timed, so that timing can stop early) and geometric cooling between the two heats.

    Returns
    -------
    True cost of the best plan of this call, and how many steps were timed.
    """
    n = s.order.shape[0]
    rebuild(net, s)
    s.random[0] = 1 + (seed * 7919 + 12345) % (MODULUS - 1)
    for _ in range(8):
        draw(s, 2)
    current, best = cost_of(net, s, goal)
    copy_plan(s, best_order, best_place)
    path = np.empty(n, dtype=np.int64)
    length, age, kept, timed = 0, PATIENCE, 0, 0
    warmth = heat[0]
    ratio = (heat[1] / heat[0]) ** (1.0 / max(iterations, 1))
    for _ in range(iterations):
        warmth *= ratio
        if age >= PATIENCE:
            length = critical_path(net, s, goal, path)
            age = 0
        i = path[draw(s, length)] if chance(s) < CRITICAL else draw(s, n)
        total = s.total[0]
        step_from(net, s, i)
        if s.counts[MOVED] == 0:
            continue
        allowance = current - warmth * np.log(chance(s))
        limit = (allowance - s.total[0]) / goal.weight - goal.spread * mean_last(s)
        if goal.by_job:
            limit = np.inf
        timed += 1
        good = settle(net, s, limit)
        cost, true = np.inf, np.inf
        if good and fits(net, s):
            cost, true = cost_of(net, s, goal)
        if cost <= allowance:
            if s.counts[CHANGES] > 0:
                age += 1
                kept += 1
            keep(net, s)
            current = cost
            if true < best * (1 - 1e-12):
                best = true
                copy_plan(s, best_order, best_place)
                age = PATIENCE
            if kept >= 2 * n:
                sort_by_start(net, s)
                kept = 0
        else:
            take_back(net, s, total)
    return best, timed
