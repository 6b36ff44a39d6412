"""Constraints that no plan needs and proofs do: symmetry of devices, work before and after a moment.

Symbols: layers i, j; devices d; x[i,d] in {0,1}; s_i, e_i start and end; C makespan; t[i,d] compute time.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.ancestors import ancestors_of
from dnnplan.formulations.mapping.bounds import heads_and_tails, least_duration
from dnnplan.formulations.mapping.cpsat.constraints import has_transfers_inside
from dnnplan.formulations.mapping.cpsat.variables import Variables

ORDERED = 64
"""Layers by whose devices identical ones are named."""
LARGEST = 150_000
"""Layers x layers x devices up to which ancestors and descendants are summed for each layer."""
LARGEST_WITH_MOMENTS, MOMENTS = 4_000, 16
"""Layers x devices up to which the work of a device after (before) a moment is counted, and moments of each kind."""


def identical_devices_are_named_in_order(v: Variables) -> None:
    """x[i_r, d'] <= sum over q < r of x[i_q, d] for consecutive devices d, d' of a class, layers i_0, i_1, ...

    Of the plans that differ by the names of identical devices one remains (`mapping.symmetry`).
    """
    if v.symmetry is None:
        return
    order = v.symmetry.order[:ORDERED]
    for row in v.symmetry.classes:
        for before, after in pairwise(row):
            for r, i in enumerate(order):
                if after in v.x[i]:
                    users = [v.x[j][before] for j in order[:r] if before in v.x[j]]
                    v.model.add_bool_or([~v.x[i][after], *users])


def devices_work_between_moments(v: Variables) -> None:
    """slots[d] C >= slots[d] (h + q) u[S,d] + sum over i in S of t[i,d] x[i,d];  u[S,d] = 1 if one of S is on d.

    S are the layers that cannot begin on d before h and after which at least q has to follow (heads and tails of
    `bounds.heads_and_tails`): what they compute on d lies between h and C - q (the one-machine bound of Carlier
    1982, for a device whose layers are not known yet).
    """
    problem = v.problem
    if problem.n * problem.m > LARGEST_WITH_MOMENTS:
        return
    heads, tails = heads_and_tails(problem)
    work = least_duration(problem)
    for d in range(problem.m):
        slots = int(problem.slots[d])
        members = [i for i in range(problem.n) if d in v.x[i] and np.isfinite(heads[i, d] + tails[i, d])]
        if slots >= len(members):
            continue
        for chosen, idle in moments(heads[:, d], tails[:, d], members):
            used = v.flag("")
            v.model.add_max_equality(used, [v.x[i][d] for i in chosen])
            load = sum(int(work[i, d]) * v.x[i][d] for i in chosen)
            v.model.add(slots * v.makespan >= load + slots * int(idle) * used)


def moments(heads: FloatArray, tails: FloatArray, members: list[int]) -> list[tuple[list[int], float]]:
    """Sets of layers by head, by tail, and by both, at most `MOMENTS` of each, and the head + tail of each set."""
    found: dict[tuple[float, float], list[int]] = {}

    def note(h: float, q: float) -> None:
        chosen = [i for i in members if heads[i] >= h and tails[i] >= q]
        h, q = float(heads[chosen].min()), float(tails[chosen].min())
        if h + q > 0:
            found.setdefault((h, q), chosen)

    by_head, by_tail = (sorted(members, key=lambda i: key[i]) for key in (heads, tails))
    step = max(1, len(members) // MOMENTS)
    note(0.0, 0.0)
    for j in by_head[::step]:
        note(float(heads[j]), 0.0)
        note(float(heads[j]), float(tails[j]))
    for j in by_tail[::step]:
        note(0.0, float(tails[j]))
    return [(chosen, h + q) for (h, q), chosen in found.items()]


def ancestors_run_before_and_descendants_after(v: Variables) -> None:
    """s_j >= sum over ancestors i of t[i,d] x[i,d];  C >= e_j + sum over descendants i of t[i,d] x[i,d].

    What j waits for has run before j starts (ends its reads: without overlap, e_j - work_j), one layer after the
    other on each device d of one slot (slots[d] at a time on others); what waits for j runs after it. It gives the
    linear relaxation a start for each layer where heads do not see that devices are shared.
    """
    problem = v.problem
    if problem.n * problem.n * problem.m > LARGEST:
        return
    before = ancestors_of(problem)
    after = [0] * problem.n
    for j, bits in enumerate(before):
        for i in range(problem.n):
            if bits >> i & 1:
                after[i] |= 1 << j
    for j in range(problem.n):
        for d in range(problem.m):
            slots = int(problem.slots[d])
            for bits, room in (
                (before[j], v.end[j] - v.work[j] if has_transfers_inside(v, j) else v.start[j]),
                (after[j], v.makespan - v.end[j]),
            ):
                terms = [
                    int(problem.duration[i, d]) * v.x[i][d]
                    for i in range(problem.n)
                    if bits >> i & 1 and d in v.x[i]
                ]
                if len(terms) > slots:
                    v.model.add(slots * room >= sum(terms))
