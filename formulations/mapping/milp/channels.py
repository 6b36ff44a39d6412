"""Loads of weights, and transfers that share a channel (docs/cost-model.md, 4.3 and 4.4)."""

from __future__ import annotations

import math
from itertools import combinations

import pulp

from dnnplan.formulations.mapping.milp.variables import Linear, Move, Variables


def weights_are_loaded(v: Variables) -> None:
    """load[i,d] >= x[i,d] - pin[w,d] for the weights w of layer i; nothing where all weights are pinned.

    (docs/cost-model.md, 4.3.) Without it streamed weights would cost nothing.
    """
    problem = v.problem
    choice = problem.execution.weights == "choice"
    if not problem.host or problem.execution.weights == "resident" or (choice and v.pins_are_free):
        return
    for i in range(problem.n):
        size, w = float(problem.weight_bytes[i]), int(problem.weight_of[i])
        options = []
        for d, x in v.x[i].items() if size > 0 else ():
            use: Linear = x
            if choice:
                if (w, d) not in v.pin:
                    v.pin[w, d] = v.flag(f"pin_{w}_{d}")
                use = v.share(f"load_{i}_{d}")
                v.add(use >= x - v.pin[w, d])
                v.add(use <= x)
                v.add(use <= 1 - v.pin[w, d])
            if not math.isfinite(problem.load[i, d]):
                v.add(use <= 0)
                continue
            v.load[i, d] = use
            options.append(v.option(-1, (problem.m, d), use, float(problem.load[i, d]), size))
        if options:
            v.moves.append(Move("load", -1, i, options, over_by=i))


def one_transfer_a_channel(v: Variables) -> None:
    """begin_b >= end_a - M (1 - q[a,b]) - M (2 - on[a,l] - on[b,l]) for transfers a, b and their channel l.

    and the same with a, b exchanged and q[a,b] replaced by 1 - q[a,b]; pairs whose order is known are left
    out. (docs/cost-model.md, 4.4; plans carry the order, so that it may be any.) Without it links would
    carry any number of transfers at full speed.
    """
    for a, b in combinations([move for move in v.moves if move.channels], 2):
        shared = sorted(a.channels & b.channels)
        if not shared or _ordered(v, a, b) or _ordered(v, b, a):
            continue
        v.pause()
        first = v.flag(f"first_{v.next_number()}")
        for channel in shared:
            idle = 2 - a.on(channel) - b.on(channel)
            v.add(b.begin >= a.end - v.horizon * (1 - first) - v.horizon * idle)
            v.add(a.begin >= b.end - v.horizon * first - v.horizon * idle)


def _ordered(v: Variables, a: Move, b: Move) -> bool:
    """Whether a always ends before b begins, when both happen (steps of one call are ordered anyhow)."""
    m = v.problem.m
    inside_a = not v.overlap and not (a.kind == "send" and a.target == m)
    inside_b = not v.overlap and not (b.kind == "send" and b.target == m)
    if a.kind == "write" and b.kind == "read" and a.tensor == b.tensor:
        return True
    if inside_a and inside_b and a.layer == b.layer:
        return True
    over_by = a.layer if inside_a else a.over_by
    if over_by < 0:
        return False
    if inside_b or b.kind == "load":
        return v.precedes(over_by, b.layer)
    return b.after >= 0 and (b.after == over_by or v.precedes(over_by, b.after))


def makespan_covers_channels(v: Variables) -> None:
    """C >= sum of the seconds of all transfers on a channel.

    Redundant under contention: the linear relaxation does not see that transfers exclude each other.
    """
    for channel in sorted({c for move in v.moves for c in move.channels}):
        terms = [
            o.seconds * o.use for m in v.moves for o in m.options if o.channel == channel and o.seconds > 0
        ]
        v.add(v.makespan >= pulp.lpSum(terms))
