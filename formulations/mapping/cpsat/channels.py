"""Loads of weights, and channels that serve one transfer at a time (docs/cost-model.md, 4.3 and 4.4)."""

from __future__ import annotations

import math

from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Move, Variables


def load_weights(v: Variables) -> None:
    """A call loads the weights that are not pinned on its device.

    One activity for each layer i with weights, present unless they are pinned where it runs:
    p >= x[i,d] - pin[w,d];  E - S = load[i,d] if p and x[i,d];  S >= s_i. With overlap the call computes meanwhile
    and e_i >= E; without, `calls_last` puts it before the compute.
    """
    problem = v.problem
    if not problem.host or problem.execution.weights == "resident":
        return
    for i in range(problem.n):
        if problem.weight_bytes[i] <= 0:
            continue
        if problem.execution.weights == "choice" and problem.execution.memory == "none" and not v.live:
            continue
        move = Move("load", -1, -1, i, v.flag(f"load_{i}"), v.time(f"S_load_{i}"), v.time(f"E_load_{i}"))
        v.moves.append(move)
        v.model.add(move.start >= v.start[i])
        v.model.add(move.end >= move.start)
        for d, x in v.x[i].items():
            pin = v.pin_of(i, d)
            v.model.add_bool_or([move.present, ~x, pin])
            v.model.add_implication(pin, ~x).only_enforce_if(move.present)
            ticks = problem.load[i, d]
            if math.isinf(ticks):
                v.model.add_bool_or([~x, pin])
            else:
                v.model.add(move.end - move.start == int(ticks)).only_enforce_if(move.present, x)
        if problem.execution.overlap:
            v.model.add(v.end[i] >= v.start[i] + v.work[i])
            v.model.add(v.end[i] >= move.end).only_enforce_if(move.present)
        else:
            v.model.add(move.end == move.start).only_enforce_if(~move.present)
            v.busy[i].append(move)


def one_transfer_at_a_time(v: Variables) -> None:
    """No overlap of the transfers on one channel: optional intervals [S, E) present if the transfer takes that route.

    Without it, transfers that share a link would each see all of it (the assumption of H2H).
    """
    if not v.channelled:
        return
    intervals: dict[int, list[object]] = {c: [] for c in range(len(v.problem.routes.channels))}
    for move in v.moves:
        for channel, literals in sorted(_routes(v, move).items()):
            if channel < 0:
                continue
            uses = v.flag("")
            for pair in literals:
                v.model.add_bool_or([uses, ~move.present, *(~lit for lit in pair)])
            v.model.add_implication(uses, move.present)
            size = v.model.new_int_var(0, v.horizon, "")
            intervals[channel].append(v.model.new_optional_interval_var(move.start, size, move.end, uses, ""))
    for rows in intervals.values():
        if rows:
            v.model.add_no_overlap(rows)


def _routes(v: Variables, move: Move) -> dict[int, list[tuple[BoolVar, ...]]]:
    """{channel: literals under which the transfer takes it}; transfers of 0 ticks are not queued."""
    problem, m = v.problem, v.problem.m
    found: dict[int, list[tuple[BoolVar, ...]]] = {}

    def note(a: int, b: int, ticks: float, literals: tuple[BoolVar, ...]) -> None:
        if ticks > 0 and math.isfinite(ticks):
            found.setdefault(int(problem.routes.channel[a, b]), []).append(literals)

    if move.kind == "load":
        for d, x in v.x[move.layer].items():
            note(m, d, float(problem.load[move.layer, d]), (x,))
    elif move.kind == "read":
        for d, x in v.x[move.layer].items():
            note(
                m, d, problem.read_seconds(move.tensor, d, problem.read_sizes[move.tensor, move.layer]), (x,)
            )
    else:
        source = int(problem.source[move.tensor])
        senders = dict(v.x[source]) if source >= 0 else {m: v.always}
        for b, reads in _receivers(v, move).items():
            for a, lit in senders.items():
                if a != b:
                    note(a, b, problem.move_seconds(move.tensor, a, b), (lit, *reads))
    return found


def _receivers(v: Variables, move: Move) -> dict[int, tuple[BoolVar, ...]]:
    """{end: literals under which a send or write goes there}."""
    if move.kind == "write":
        return {v.problem.m: ()}
    if move.device >= 0:
        return {move.device: ()}
    return {d: (x,) for d, x in v.x[move.layer].items()}
