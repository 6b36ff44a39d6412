"""Constraints that no plan needs and proofs do.

Symbols as in `constraints`; t'[c,d] the least time of the copies that may stand for c.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np

from dnnplan.costs.objectives import UNITS
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.ancestors import ancestors_of
from dnnplan.formulations.mapping.bounds import heads_and_tails
from dnnplan.formulations.mapping.cpsat.cuts import moments
from dnnplan.formulations.mapping.symmetry import symmetry_of
from dnnplan.formulations.whole.cpsat.variables import Variables
from dnnplan.formulations.whole.task_graphs import classes_of

LARGEST = 40_000
"""Copies x copies x devices up to which ancestors and descendants are summed."""


def makespan_covers_load(v: Variables) -> None:
    """slots[d] C >= sum_c t[c,d] run[c,d]."""
    for d in range(v.view.m):
        terms = [int(v.view.duration[c, d]) * row[d] for c, row in enumerate(v.run) if d in row]
        if terms and int(v.view.slots[d]) < len(terms):
            v.model.add(int(v.view.slots[d]) * v.makespan >= sum(terms))


def paths_bound_starts(v: Variables) -> None:
    """s_c >= sum_d head[c,d] x[c,d];  C >= e_c + sum_d tail[c,d] x[c,d].

    Heads and tails of the communication-aware critical path, with t' for t: a task's path leads through its own copies
    or those that stand for them.
    """
    heads, tails = _heads_and_tails(v)
    for c, row in enumerate(v.x):
        known = [d for d in row if np.isfinite(heads[c, d]) and np.isfinite(tails[c, d])]
        for d in row:
            if d not in known:
                v.model.add(row[d] == 0)
        v.model.add(v.start[c] >= sum(int(heads[c, d]) * row[d] for d in known))
        v.model.add(v.makespan >= v.end[c] + sum(int(tails[c, d]) * row[d] for d in known))


def _heads_and_tails(v: Variables) -> tuple[FloatArray, FloatArray]:
    if ("heads", 0) not in v.extra:
        least = dataclasses.replace(
            v.view, duration=v.copies.least(v.view.duration), load=v.copies.least(v.view.load)
        )
        v.extra["heads", 0] = heads_and_tails(least)
    found: tuple[FloatArray, FloatArray] = v.extra["heads", 0]
    return found


def devices_work_between_moments(v: Variables) -> None:
    """slots[d] C >= slots[d] (h + q) u[S,d] + sum over c in S of t[c,d] run[c,d];  u[S,d] = 1 if one of S runs on d.

    S are copies that cannot begin on d before h and after which at least q has to follow.
    """
    heads, tails = _heads_and_tails(v)
    for d in range(v.view.m):
        slots = int(v.view.slots[d])
        members = [c for c, row in enumerate(v.run) if d in row and np.isfinite(heads[c, d] + tails[c, d])]
        if slots >= len(members):
            continue
        for chosen, idle in moments(heads[:, d], tails[:, d], members):
            used = v.flag("")
            v.model.add_max_equality(used, [v.run[c][d] for c in chosen])
            load = sum(int(v.view.duration[c, d]) * v.run[c][d] for c in chosen)
            v.model.add(slots * v.makespan >= load + slots * int(idle) * used)


def paths_run_before_and_after(v: Variables) -> None:
    """s_c >= sum over copies e before c on its path of t'[e,d] x[e,d];  C >= e_c + the same over those after it.

    For a stem, all that runs after it: C >= e_c + sum of t[e,d] run[e,d].
    """
    n, m = v.view.n, v.view.m
    if n * n * m > LARGEST:
        return
    before, least = ancestors_of(v.view), v.copies.least(v.view.duration)
    for d in range(m):
        slots = int(v.view.slots[d])
        for c in range(n):
            terms = [
                int(least[e, d]) * v.x[e][d]
                for e in range(n)
                if before[c] >> e & 1 and d in v.x[e] and np.isfinite(least[e, d])
            ]
            if len(terms) > slots:
                v.model.add(slots * v.start[c] >= sum(terms))
            after = [e for e in range(n) if before[e] >> c & 1]
            if v.copies.home[c][0] < v.copies.stem:
                terms = [int(v.view.duration[e, d]) * v.run[e][d] for e in after if d in v.run[e]]
            else:
                terms = [
                    int(least[e, d]) * v.x[e][d] for e in after if d in v.x[e] and np.isfinite(least[e, d])
                ]
            if len(terms) > slots:
                v.model.add(slots * (v.makespan - v.end[c]) >= sum(terms))


def identical_devices_are_named_in_order(v: Variables) -> None:
    """x[c_r, d'] <= sum over q < r of x[c_q, d] for consecutive devices d, d' of a class, copies c_0, c_1, ..."""
    v.symmetry = symmetry_of(v.original)
    for row in v.symmetry.classes:
        for first, second in pairwise(row):
            for r, c in enumerate(v.symmetry.order):
                if second in v.x[c]:
                    users = [v.x[e][first] for e in v.symmetry.order[:r] if first in v.x[e]]
                    v.model.add_bool_or([~v.x[c][second], *users])


def equal_tasks_end_in_order(v: Variables) -> None:
    """Heads of tasks t < u of equal layers, where they may be exchanged: s of the first layer of t <= that of u.

    Always if all tasks are equal and no measure depends on which of them share; else only within a group of the last
    branch point.
    """
    if len(v.copies.cells) == v.copies.stem + v.copies.levels:
        return
    classes, heads = classes_of(v.problem), v.copies.cells[-1]
    graph = len(set(classes)) > 1 or bool(v.measured - set(UNITS) - {"deadline", "size", "execution_cost"})
    for u in range(1, v.problem.n):
        earlier = [t for t in range(u) if classes[t] == classes[u]]
        for t in earlier if graph else earlier[-1:]:
            if heads[t] and heads[u]:
                row = v.model.add(v.start[heads[t][0]] <= v.start[heads[u][0]])
                if graph:
                    row.only_enforce_if(v.graph.together(v.copies.levels - 1, t, u))
