"""The shortest cycle of a placement and a cyclic order of every device, in floats."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from dnnplan.costs.periodic import CyclicPlan, PeriodicProblem
from dnnplan.costs.steady_state import steady_state

ROUNDS = 200
SLACKS = (0.0, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7)
"""Relative lengths that are added to the cycle of the linear programme until its plan holds in floats."""

Row = tuple[int, int, float, float]
"""(i, j, a, h): s[j] - s[i] + h L >= a; i = -1: no other layer."""


def tightened(problem: PeriodicProblem, plan: CyclicPlan) -> CyclicPlan | None:
    """The plan with the same placement and cyclic orders and the shortest cycle, every call as early as it can.

    Minimise L over L and s: a linear programme of n + 1 variables, since all constraints between calls are
    s[j] + h L >= s[i] + a once it is fixed who is next and how many cycles lie between. The plan may be slightly
    wrong (times rounded to ticks); None if no cycle makes it right.
    """
    rows = list(_rows(problem, plan))
    cycle = _shortest(problem, plan, rows)
    if cycle is None:
        return None
    for slack in SLACKS:
        longer = cycle * (1 + slack)
        starts = _earliest(problem, plan, rows, longer)
        if starts is None:
            continue
        tight = CyclicPlan(cycle=longer, place=plan.place, start=tuple(starts))
        if not steady_state(problem, tight).violations:
            return tight
    return None


def _rows(problem: PeriodicProblem, plan: CyclicPlan) -> Iterable[Row]:
    """All constraints between starts and cycle."""
    view, place = problem.mapping, plan.place
    took = [float(view.duration[i, d]) for i, d in enumerate(place)]
    for i, job in enumerate(view.job_of.tolist()):
        share, wait = float(problem.release[job]), 0.0
        for k in view.inputs[i]:
            source = int(view.source[k])
            if source >= 0:
                delay = view.move_seconds(k, place[source], place[i]) if place[source] != place[i] else 0.0
                yield source, i, took[source] + delay, 0.0
            elif view.host:
                wait = max(wait, view.move_seconds(k, view.m, place[i]))
        yield -1, i, wait, -share
    for d in range(view.m):
        if view.slots[d] > 1:
            continue
        mine = [i for i in range(view.n) if place[i] == d and took[i] > 0]
        lap = {i: math.floor(plan.start[i] / plan.cycle + 1e-9) for i in mine}
        mine.sort(key=lambda i: (plan.start[i] / plan.cycle - lap[i], took[i], i))
        for q, j in enumerate(mine):
            i = mine[q - 1]
            if i == j:
                yield i, j, took[i], 1.0
            else:
                yield i, j, took[i], float(lap[i] - lap[j] + (1 if q == 0 else 0))


def _shortest(problem: PeriodicProblem, plan: CyclicPlan, rows: list[Row]) -> float | None:
    """Least L by the linear programme; None if there is none."""
    view, n = problem.mapping, problem.mapping.n
    scale = plan.cycle
    entries: list[tuple[int, int, float]] = []
    bounds: list[float] = []
    for i, j, least, laps in rows:
        row = len(bounds)
        entries.append((row, n, -laps))
        if i != j:
            entries.append((row, j, -1.0))
            if i >= 0:
                entries.append((row, i, 1.0))
        bounds.append(-least / scale)
    for i, job in enumerate(view.job_of.tolist()):
        due = problem.due[job]
        if due is not None:
            row, d = len(bounds), plan.place[i]
            entries += [(row, i, 1.0), (row, n, -float(due.share))]
            bounds.append((due.seconds - float(view.duration[i, d]) - float(problem.after[i, d])) / scale)
    if not np.isfinite(bounds).all():
        return None
    row_of, column_of, value = (np.array(part) for part in zip(*entries, strict=True))
    matrix = coo_array((value.astype(float), (row_of, column_of)), shape=(len(bounds), n + 1))
    cost = np.zeros(n + 1)
    cost[n] = 1.0
    solution = linprog(cost, A_ub=matrix.tocsr(), b_ub=np.array(bounds), bounds=(0, None), method="highs")
    if solution.status != 0 or solution.x[n] <= 0:
        return None
    return float(solution.x[n]) * scale


def _earliest(
    problem: PeriodicProblem, plan: CyclicPlan, rows: list[Row], cycle: float
) -> list[float] | None:
    """Least starts under a cycle: longest paths by relaxation from the releases; None if they grow for ever."""
    first = np.array([row[0] for row in rows], dtype=np.int64)
    second = np.array([row[1] for row in rows], dtype=np.int64)
    least = np.array([row[2] - row[3] * cycle for row in rows])
    start = np.zeros(problem.mapping.n)
    tiny = 1e-13 * cycle
    for _ in range(max(ROUNDS, problem.mapping.n + 2)):
        base = np.where(first >= 0, start[first], 0.0)
        moments = start.copy()
        np.maximum.at(moments, second, base + least)
        if (moments <= start + tiny).all():
            return [float(s) for s in start]
        start = moments
    return None
