"""Tensors that travel from device to device (docs/cost-model.md, section 4.1).

Symbols: tensor k, made by layer i or an input of the network (i = none), read by layers j; c[k,a,b] ticks of sending k
from a to b; m is the host.
"""

from __future__ import annotations

import math
from itertools import pairwise

from dnnplan.formulations.mapping.cpsat.channels import load_weights, one_transfer_at_a_time
from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Linear, Move, Variables


def move_tensors(v: Variables) -> None:
    """All constraints on tensors under direct staging."""
    problem = v.problem
    activities = v.channelled or v.live or v.prices_moves
    for k in range(len(problem.tensors)):
        forbid_missing_routes(v, k)
        readers_wait_for_producer(v, k)
        if not problem.execution.overlap:
            first_reader_receives(v, k)
        elif activities:
            sends_are_activities(v, k)
        else:
            readers_wait_for_send(v, k)
        if problem.output[k] and problem.host and problem.source[k] >= 0:
            outputs_go_to_host(v, k)
    load_weights(v)
    if not problem.execution.overlap:
        calls_last(v)
    one_transfer_at_a_time(v)


def _source_on(v: Variables, k: int) -> dict[int, BoolVar]:
    """{end: literal that the tensor starts there}: the producer's devices, or the host for an input."""
    i = int(v.problem.source[k])
    if i >= 0:
        return dict(v.x[i])
    return {v.problem.m: v.always} if v.problem.host else {}


def _earliest(v: Variables, k: int) -> Linear:
    """When the tensor exists where it starts."""
    i = int(v.problem.source[k])
    return v.end[i] if i >= 0 else int(v.problem.tensor_release[k])


def _stays(v: Variables, k: int, a: int, b: int) -> bool:
    """Whether tensor k needs no transfer from end a to end b."""
    return a == b or v.problem.is_free(k, a, b)


def forbid_missing_routes(v: Variables, k: int) -> None:
    """Not (x[i,a] and x[j,b]) where no route leads from a to b."""
    for a, at in _source_on(v, k).items():
        for j in v.problem.readers[k]:
            for b, reads in v.x[j].items():
                if a != b and math.isinf(v.problem.move_seconds(k, a, b)):
                    v.model.add_bool_or([~at, ~reads])


def readers_wait_for_producer(v: Variables, k: int) -> None:
    """s_j >= e_i (the release of the job for inputs)."""
    if int(v.problem.source[k]) >= 0:
        for j in v.problem.readers[k]:
            v.model.add(v.start[j] >= _earliest(v, k))


def readers_wait_for_send(v: Variables, k: int) -> None:
    """s_j >= e_i + c[k,a,b] if x[i,a] and x[j,b].

    For each b the least c over a /= b needs only ``x[j,b] and not x[i,b]``: with uniform links that is all there
    is, m constraints an edge instead of m (m - 1).
    """
    problem, source = v.problem, _source_on(v, k)
    for j in problem.readers[k]:
        for b, reads in v.x[j].items():
            delays = {a: problem.move_seconds(k, a, b) for a in source if not _stays(v, k, a, b)}
            finite = {a: int(c) for a, c in delays.items() if math.isfinite(c) and c > 0}
            if not finite:
                continue
            least = min(finite.values()) if len(finite) == len(delays) else 0
            stays = [source[a] for a in source if a not in delays]
            if least > 0:
                v.model.add(v.start[j] >= _earliest(v, k) + least).only_enforce_if(
                    reads, *(~s for s in stays)
                )
            for a, c in finite.items():
                if c > least:
                    v.model.add(v.start[j] >= _earliest(v, k) + c).only_enforce_if(reads, source[a])


def sends_are_activities(v: Variables, k: int) -> None:
    """One activity for each (tensor, reading device b): present if a reader is on b and the source is not.

    p_b >= x[j,b] - sum over a that need no transfer to b of x[i,a];  S_b >= e_i;  E_b - S_b = c[k,a,b] if x[i,a];
    s_j >= E_b if x[j,b] and p_b. Without contention and live memory S_b = e_i is the earliest and allowed.
    """
    problem, source = v.problem, _source_on(v, k)
    for b in v.devices_of(problem.readers[k]):
        far = {a: lit for a, lit in source.items() if not _stays(v, k, a, b)}
        far = {a: lit for a, lit in far.items() if math.isfinite(problem.move_seconds(k, a, b))}
        if not far:
            continue
        move = new_move(v, "send", k, b, problem.readers[k][0])
        near = [source[a] for a in source if _stays(v, k, a, b)]
        readers = [v.x[j][b] for j in problem.readers[k] if b in v.x[j]]
        for reads in readers:
            v.model.add_bool_or([move.present, ~reads, *near])
        v.model.add_bool_or(readers).only_enforce_if(move.present)
        for s in near:
            v.model.add_implication(move.present, ~s)
        v.model.add(move.start >= _earliest(v, k)).only_enforce_if(move.present)
        for a, at in far.items():
            ticks = int(problem.move_seconds(k, a, b))
            v.model.add(move.end - move.start == ticks).only_enforce_if(move.present, at)
        for j in problem.readers[k]:
            if b in v.x[j]:
                v.model.add(v.start[j] >= move.end).only_enforce_if(v.x[j][b], move.present)


def new_move(v: Variables, kind: str, k: int, device: int, layer: int) -> Move:
    """A new activity, which the extraction will know."""
    name = f"{kind}_{k}_{device}_{layer}"
    move = Move(kind, k, device, layer, v.flag(f"p_{name}"), v.time(f"S_{name}"), v.time(f"E_{name}"))
    v.moves.append(move)
    v.model.add(move.end >= move.start)
    return move


def outputs_go_to_host(v: Variables, k: int) -> None:
    """An output is sent to the host: S >= e_i, E - S = c[k,a,m] if x[i,a].

    Not where the host is a device and a layer there reads it: then the send to that reader is the one.
    """
    problem = v.problem
    i = int(problem.source[k])
    move = new_move(v, "send", k, problem.m, i)
    v.model.add(move.start >= v.end[i])
    readers = [v.x[j][problem.host_device] for j in problem.readers[k] if problem.host_device in v.x[j]]
    v.model.add_bool_or([move.present, *readers])
    for reads in readers:
        v.model.add_implication(reads, ~move.present)
    for a, at in v.x[i].items():
        ticks = problem.move_seconds(k, a, problem.m)
        if math.isinf(ticks):
            v.model.add(at == 0)
        else:
            v.model.add(move.end - move.start == int(ticks)).only_enforce_if(move.present, at)


def first_reader_receives(v: Variables, k: int) -> None:
    """Without overlap the first reader on a device receives the tensor inside its call; the others wait for that.

    pay[j] = 1: layer j receives k. Exactly one reader on b pays if one is there and the source is not; it is busy
    for c[k,a,b] if x[i,a]; a reader j' /= j on b starts when the receiving of j has ended.
    """
    problem, source = v.problem, _source_on(v, k)
    pays: dict[int, BoolVar] = {}
    moves: dict[int, Move] = {}
    for j in problem.readers[k]:
        pays[j] = v.flag(f"pay_{k}_{j}")
        moves[j] = new_move(v, "send", k, -1, j)
        v.model.add(moves[j].present == pays[j])
        v.model.add(moves[j].start >= v.start[j])
        v.model.add(moves[j].end == moves[j].start).only_enforce_if(~pays[j])
        v.busy[j].append(moves[j])
    for b in v.devices_of(problem.readers[k]):
        near = [source[a] for a in source if _stays(v, k, a, b)]
        far = {a: lit for a, lit in source.items() if not _stays(v, k, a, b)}
        readers = [j for j in problem.readers[k] if b in v.x[j]]
        here = {j: _both(v, pays[j], v.x[j][b]) for j in readers}
        for j in readers:
            v.model.add_bool_or([*here.values(), ~v.x[j][b], *near] if far else [v.always])
            for s in near:
                v.model.add_bool_or([~here[j], ~s])
            if not far:
                v.model.add(here[j] == 0)
            for a, at in far.items():
                ticks = problem.move_seconds(k, a, b)
                if math.isfinite(ticks):
                    v.model.add(moves[j].end - moves[j].start == int(ticks)).only_enforce_if(here[j], at)
            for other in readers:
                if other != j:
                    v.model.add_implication(here[j], ~here[other])
                    v.model.add(v.start[other] >= receiving_ends(v, j)).only_enforce_if(
                        here[j], v.x[other][b]
                    )


def _both(v: Variables, a: BoolVar, b: BoolVar) -> BoolVar:
    both = v.flag("")
    v.model.add_multiplication_equality(both, [a, b])
    return both


def receiving_ends(v: Variables, j: int) -> Linear:
    """When the receiving phase of the call of layer j has ended."""
    key = ("received", j)
    if key not in v.extra:
        v.extra[key] = v.time(f"received_{j}")
    return v.extra[key]


def calls_last(v: Variables) -> None:
    """Without overlap a call receives one tensor after the other, loads, computes: s_j <= S_1 <= E_1 <= S_2 ...

    e_j - E_last >= work_j; without contention all of it follows without pause.
    """
    for j in range(v.problem.n):
        steps = sorted((move for move in v.busy[j] if move.kind != "load"), key=lambda move: move.tensor)
        loads = [move for move in v.busy[j] if move.kind == "load"]
        last = v.start[j]
        for move in steps:
            v.model.add(move.start >= last)
            last = move.end
        if ("received", j) in v.extra:
            v.model.add(v.extra["received", j] >= last)
        for a, b in pairwise(loads):
            v.model.add(b.start >= a.end)
        for move in loads:
            v.model.add(move.start >= last)
            last = move.end
        computed = v.time(f"computed_{j}")
        v.extra["computed", j] = computed
        v.model.add(computed >= last + v.work[j])
        v.model.add(v.end[j] >= computed)
