"""Tensors under host staging: written to the host and read from there (docs/cost-model.md, 4.2).

Symbols: tensor k made by layer p (on device d) and read by layers j (on device e); c[k,d,host] seconds of a
write, r[k,j,e] seconds of a read.
"""

from __future__ import annotations

import math

import pulp

from dnnplan.formulations.mapping.milp.variables import Linear, Move, Variables


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
                    options.append(v.option(k, (problem.m, e), use, seconds, sizes))
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
            options.append(v.option(k, (d, problem.m), use, seconds, float(problem.size[k])))
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
