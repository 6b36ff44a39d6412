"""Which transfers happen, and what has to wait for them (docs/cost-model.md, 3 and 4.1 to 4.4).

Symbols: tensor k made by layer p (on device d) and read by layers j (on device e); c[k,d,e] seconds of a
transfer.
"""

from __future__ import annotations

import math
from itertools import combinations

import pulp

from dnnplan.formulations.mapping.milp.variables import Linear, Move, Option, Variables


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
            options.append(v.option((problem.m, d), use, float(problem.load[i, d]), size))
        if options:
            v.moves.append(Move("load", -1, i, options, over_by=i))


# -- direct staging --------------------------------------------------------------------------------------


def tensors_are_sent(v: Variables) -> None:
    """sent[k,d,e] >= both[p,j][d,e] for every reader j, d != e: one transfer a tensor and reading device.

    With one reader, sent = both. Inputs: sent[k,host,e] >= x[j,e]. Without overlap one of the readers on e
    pays for it: sum_j pays[k,j,d,e] = sent[k,d,e], pays[k,j,d,e] <= both[p,j][d,e]. Without it, tensors
    would move for nothing, or several times.
    """
    problem = v.problem
    for k, readers in enumerate(problem.readers):
        v.pause()
        p = int(problem.source[k])
        if p < 0 and not problem.host:
            continue
        if readers:
            (_send_alone if v.overlap else _send_with_readers)(v, k, p, _crossings(v, k, p))
        if p >= 0 and problem.host and problem.output[k]:
            _send_output(v, k, p)


def _crossings(v: Variables, k: int, p: int) -> dict[tuple[int, int], dict[int, Linear]]:
    """For each pair of different ends: 1 if tensor k goes that way for a reader, by reader."""
    problem = v.problem
    found: dict[tuple[int, int], dict[int, Linear]] = {}
    for j in problem.readers[k]:
        if p >= 0:
            ways: dict[tuple[int, int], Linear] = v.both[p, j]
        else:
            ways = {(problem.m, e): x for e, x in v.x[j].items()}
        for (d, e), use in ways.items():
            if d != e and math.isfinite(problem.move_seconds(k, d, e)):
                found.setdefault((d, e), {})[j] = use
            elif d != e:
                v.add(use <= 0)
    return found


def _send_option(v: Variables, k: int, ends: tuple[int, int], use: Linear) -> Option:
    problem = v.problem
    return v.option(ends, use, problem.move_seconds(k, *ends), float(problem.size[k]))


def _send_alone(v: Variables, k: int, p: int, crossings: dict[tuple[int, int], dict[int, Linear]]) -> None:
    """With overlap: a move for each receiving device, or one for all if there is one reader."""
    readers = v.problem.readers[k]
    if len(readers) == 1:
        options = [_send_option(v, k, ends, use[readers[0]]) for ends, use in crossings.items()]
        if options:
            v.moves.append(Move("send", k, readers[0], options, after=p, over_by=readers[0]))
        return
    by_target: dict[int, list[Option]] = {}
    for ends, uses in crossings.items():
        sent = v.share(f"sent_{k}_{ends[0]}_{ends[1]}")
        v.add(sent <= pulp.lpSum(uses.values()))
        for use in uses.values():
            v.add(sent >= use)
        by_target.setdefault(ends[1], []).append(_send_option(v, k, ends, sent))
    for options in by_target.values():
        v.moves.append(Move("send", k, -1, options, after=p))


def _send_with_readers(
    v: Variables, k: int, p: int, crossings: dict[tuple[int, int], dict[int, Linear]]
) -> None:
    """Without overlap: a move for each reader, of which one on each device pays."""
    options: dict[int, list[Option]] = {j: [] for j in v.problem.readers[k]}
    for ends, uses in crossings.items():
        if len(uses) == 1:
            ((j, use),) = uses.items()
            options[j].append(_send_option(v, k, ends, use))
            continue
        sent = v.share(f"sent_{k}_{ends[0]}_{ends[1]}")
        pays = {j: v.flag(f"pays_{k}_{j}_{ends[0]}_{ends[1]}") for j in uses}
        v.add(pulp.lpSum(pays.values()) == sent)
        v.add(sent <= pulp.lpSum(uses.values()))
        for j, use in uses.items():
            v.add(sent >= use)
            v.add(pays[j] <= use)
            options[j].append(_send_option(v, k, ends, pays[j]))
    for j, mine in options.items():
        if mine:
            v.moves.append(Move("send", k, j, mine, after=p, over_by=j))


def _send_output(v: Variables, k: int, p: int) -> None:
    problem, options = v.problem, []
    for d, x in v.x[p].items():
        if math.isfinite(problem.move_seconds(k, d, problem.m)):
            options.append(_send_option(v, k, (d, problem.m), x))
        else:
            v.add(x <= 0)
    if options:
        v.moves.append(Move("send", k, p, options, after=p))


def sends_start_when_tensors_are_there(v: Variables) -> None:
    """Let begin >= e_p for the sends of what p makes (an input: its release), if they are not steps of a call.

    Equality where nothing makes them wait (no contention, no memory to wait for).
    """
    for move in v.moves:
        to_host = move.kind == "send" and move.target == v.problem.m
        if move.kind != "send" or not (v.overlap or to_host):
            continue
        made: Linear = (
            v.end[move.after] if move.after >= 0 else v.scaled(v.problem.tensor_release[move.tensor])
        )
        move.begin = made
        if v.contended or (v.live and not to_host):
            move.begin = v.time(f"begin_send_{move.tensor}_{move.layer}_{move.target}")
            v.add(move.begin >= made)


def readers_wait_for_sends(v: Variables) -> None:
    """s_j >= e_p + sum_(d,e) c[k,d,e] both[p,j][d,e] (overlap), and s_j >= end of the send to e if x[j,e] = 1.

    Without overlap: s_j >= e_p; and a reader that does not pay waits until the one that does has all it
    reads: s_j >= arrival_i - M (2 - pays[k,i,e] - x[j,e]). Without it, layers would compute before their
    inputs are there.
    """
    problem = v.problem
    for k, readers in enumerate(problem.readers):
        v.pause()
        p = int(problem.source[k])
        if p < 0 and not problem.host:
            continue
        made: Linear = v.end[p] if p >= 0 else v.scaled(problem.tensor_release[k])
        for j in readers:
            way: Linear = 0
            if v.overlap:
                ways = v.both[p, j].items() if p >= 0 else [((problem.m, e), x) for e, x in v.x[j].items()]
                costs = [(v.scaled(problem.move_seconds(k, d, e)), use) for (d, e), use in ways if d != e]
                way = pulp.lpSum(c * use for c, use in costs if 0 < c < math.inf)
            v.add(v.start[j] >= made + way)
    for move in v.moves:
        if move.kind == "send" and move.target != problem.m:
            (_wait_for_send if v.overlap else _wait_for_payer)(v, move)


def _wait_for_send(v: Variables, move: Move) -> None:
    if move.layer >= 0:
        v.add(v.start[move.layer] >= move.end)
        return
    for j in v.problem.readers[move.tensor]:
        if move.target in v.x[j]:
            v.add(v.start[j] >= move.end - v.horizon * (1 - v.x[j][move.target]))


def _wait_for_payer(v: Variables, move: Move) -> None:
    i = move.layer
    for j in v.problem.readers[move.tensor]:
        for e in {o.target for o in move.options} if j != i else ():
            if e in v.x[j]:
                big = max(0.0, v.latest[i] - v.earliest[j])
                v.add(v.start[j] >= v.arrival[i] - big * (2 - move.to(e) - v.x[j][e]))


# -- host staging ----------------------------------------------------------------------------------------


def tensors_go_through_the_host(v: Variables) -> None:
    """read[k,j,e] = 1: j reads k from the host on e; write[k,d] = 1: p writes it from d.

    ::

        read[k,j,e]       >= x[j,e] - keep[k,e]                     no kept copy
        read[k,j,e]       <= x[j,e] - both[p,j][e,e] + 1 - keep[k,e]
        sum_i read[k,i,e] >= x[j,e] - both[p,j][e,e]                a kept copy that was not made on e
        sum_i read[k,i,e] <= 1 + (R - 1)(1 - keep[k,e])             is read once (R readers)
        write[k,d]        >= both[p,j][d,e], d != e;  >= both[p,j][d,d] - keep[k,d];  = x[p,d] for outputs

    (docs/cost-model.md, 4.2.) Where keeping costs nothing and cannot delay anything (one slot, or the
    producer's own device, memory not live), keep = 1. Without it, tensors would move for nothing.
    """
    problem = v.problem
    for k, readers in enumerate(problem.readers):
        v.pause()
        p = int(problem.source[k])
        _may_keep(v, k, p)
        at_home = {(j, e): _at_home(v, p, j, e) for j in readers for e in v.x[j]}
        for j in readers:
            v.reads[k, j] = {e: _read(v, (k, j), e, x, at_home[j, e]) for e, x in v.x[j].items()}
        for e in sorted({e for j in readers for e in v.x[j]}) if len(readers) > 1 else ():
            reads = pulp.lpSum(v.reads[k, j].get(e, 0) for j in readers)
            for j in readers:
                if e in v.x[j]:
                    v.add(reads >= v.x[j][e] - at_home[j, e])
            v.add(reads <= 1 + (len(readers) - 1) * (1 - v.kept(k, e)))
        for j in readers:
            sizes = problem.read_sizes[k, j]
            options = []
            for e, use in v.reads[k, j].items():
                seconds = problem.read_seconds(k, e, sizes)
                if math.isfinite(seconds):
                    options.append(v.option((problem.m, e), use, seconds, sizes))
                else:
                    v.add(use <= 0)
            if options:
                v.moves.append(Move("read", k, j, options, after=p, over_by=j))
        if p >= 0 and (readers or problem.output[k]):
            _write(v, k, p, at_home)


def _may_keep(v: Variables, k: int, p: int) -> None:
    """keep[k,e] where keeping is a decision."""
    problem = v.problem
    for e in sorted({e for j in problem.readers[k] for e in v.x[j]}):
        several = sum(e in v.x[j] for j in problem.readers[k]) > 1
        home = p >= 0 and e in v.x[p]
        if (v.live and (home or several)) or (several and problem.slots[e] > 1):
            v.keep[k, e] = v.flag(f"keep_{k}_{e}")
            if home and not v.live:
                v.add(v.keep[k, e] >= v.x[p][e])


def _at_home(v: Variables, p: int, j: int, e: int) -> Linear:
    """1 if the producer p and its reader j are both on e."""
    return v.both[p, j].get((e, e), 0) if p >= 0 else 0


def _read(v: Variables, pair: tuple[int, int], e: int, x: Linear, at_home: Linear) -> Linear:
    """read[k,j,e]: an expression of x where it is determined, else a variable with its lower bounds."""
    k, j = pair
    if len(v.problem.readers[k]) == 1 and (k, e) not in v.keep:
        return x - at_home
    read = v.flag(f"read_{k}_{j}_{e}")
    v.add(read <= x)
    v.add(read <= x - at_home + 1 - v.kept(k, e))
    if (k, e) in v.keep:
        v.add(read >= x - v.keep[k, e])
    if len(v.problem.readers[k]) == 1:
        v.add(read >= x - at_home)
    return read


def _write(v: Variables, k: int, p: int, at_home: dict[tuple[int, int], Linear]) -> None:
    problem, options = v.problem, []
    for d, x in v.x[p].items():
        use: Linear = x
        if not problem.output[k]:
            use = v.share(f"write_{k}_{d}")
            away = [x - at_home.get((j, d), 0) for j in problem.readers[k]]
            v.add(use <= x)
            v.add(use <= pulp.lpSum(away) + 1 - v.kept(k, d))
            for leaves in away:
                v.add(use >= leaves)
            for j in problem.readers[k] if (k, d) in v.keep else ():
                v.add(use >= at_home.get((j, d), 0) - v.keep[k, d])
        seconds = problem.move_seconds(k, d, problem.m)
        if math.isfinite(seconds):
            options.append(v.option((d, problem.m), use, seconds, float(problem.size[k])))
        else:
            v.add(use <= 0)
    if options:
        v.moves.append(Move("write", k, p, options, after=p))


def host_transfers_start_in_turn(v: Variables) -> None:
    """With overlap: a write begins at or after e_p; a read after the write (an input: at its release).

    begin >= e_p + sum_d c[k,d,host] write[k,d] - M (1 - sum_e read[k,j,e]). (docs/cost-model.md, 4.2.)
    Without it tensors would be read before they are on the host.
    """
    writes = {move.tensor: move for move in v.moves if move.kind == "write"}
    for move in writes.values():
        move.begin = v.end[move.layer]
        if v.contended:
            move.begin = v.time(f"begin_write_{move.tensor}")
            v.add(move.begin >= v.end[move.layer])
    for move in v.moves:
        if move.kind != "read":
            continue
        k = move.tensor
        there: Linear = writes[k].end if k in writes else v.scaled(v.problem.tensor_release[k])
        move.begin = there
        if v.contended or v.live:
            move.begin = v.time(f"begin_read_{k}_{move.layer}")
            happens = pulp.lpSum(o.use for o in move.options)
            v.add(move.begin >= there - v.horizon * (1 - happens))


def readers_wait_for_reads(v: Variables) -> None:
    """Readers wait for their own reads, or for the one that brought the copy kept on their device.

    ::

        overlap:     s_j >= e_p + sum_(d != e) c[k,d,host] both[p,j][d,e] + sum_e r[k,j,e] read[k,j,e]
                     s_j >= end of j's read;   s_j >= s_i and s_j >= end of i's read, both
        no overlap:  s_j >= e_p;   s_j >= arrival_i, the latter
                     - M (2 - read[k,i,e] - x[j,e] + read[k,j,e]) for another reader i

    s_j >= s_i since the first reader in the order of the device is the one that reads (docs/cost-model.md,
    4.2). Without it, layers would compute before their inputs are there.
    """
    problem = v.problem
    reads = {(move.tensor, move.layer): move for move in v.moves if move.kind == "read"}
    for k, readers in enumerate(problem.readers):
        v.pause()
        p = int(problem.source[k])
        for j in readers:
            _wait_for_own_read(v, k, p, j, reads.get((k, j)))
        for i in readers:
            for j in readers:
                if i != j and (k, i) in reads:
                    _wait_for_shared_read(v, reads[k, i], j)


def _wait_for_own_read(v: Variables, k: int, p: int, j: int, move: Move | None) -> None:
    problem = v.problem
    made: Linear = v.end[p] if p >= 0 else v.scaled(problem.tensor_release[k])
    if not v.overlap:
        v.add(v.start[j] >= made)
        return
    away: Linear = 0
    if p >= 0:
        times = {d: v.scaled(problem.move_seconds(k, d, problem.m)) for d in v.x[p]}
        away = pulp.lpSum(
            times[d] * u for (d, e), u in v.both[p, j].items() if d != e and 0 < times[d] < math.inf
        )
    own: Linear = move.seconds if move is not None else 0
    v.add(v.start[j] >= made + away + own)
    if move is not None:
        happens = pulp.lpSum(o.use for o in move.options)
        v.add(v.start[j] >= move.end - v.horizon * (1 - happens))


def _wait_for_shared_read(v: Variables, move: Move, j: int) -> None:
    k, i = move.tensor, move.layer
    for e in sorted(v.reads[k, i]):
        if e not in v.x[j]:
            continue
        idle = 2 - v.reads[k, i][e] - v.x[j][e] + v.reads[k, j][e]
        if not v.overlap:
            v.add(v.start[j] >= v.arrival[i] - max(0.0, v.latest[i] - v.earliest[j]) * idle)
            continue
        v.add(v.start[j] >= v.start[i] - max(0.0, v.latest[i] - v.earliest[j]) * idle)
        v.add(v.start[j] >= move.end - v.horizon * idle)
        if (i, j) in v.before and v.problem.slots[e] == 1:
            v.add(v.before[i, j] >= 1 - idle)


# -- contention ------------------------------------------------------------------------------------------


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
        first = v.flag(f"first_{len(v.model.constraints)}")
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
