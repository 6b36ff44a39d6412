"""Tensors under direct staging: sent from device to device (docs/cost-model.md, 4.1).

Symbols: tensor k made by layer p (on device d) and read by layers j (on device e); c[k,d,e] seconds.
"""

from __future__ import annotations

import math

import pulp

from dnnplan.formulations.mapping.milp.variables import Linear, Move, Option, Variables


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
    return v.option(k, ends, use, problem.move_seconds(k, *ends), float(problem.size[k]))


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
    """An output goes to the host, unless it is made there or sent to a reader there (the host being a device)."""
    problem, options, home = v.problem, [], v.problem.host_device
    for d, x in v.x[p].items():
        if d == home:
            continue
        if not math.isfinite(problem.move_seconds(k, d, problem.m)):
            v.add(x <= 0)
            continue
        readers = [v.both[p, j][d, home] for j in problem.readers[k] if (d, home) in v.both[p, j]]
        use: Linear = x
        if readers:
            use = v.share(f"output_{k}_{d}")
            v.add(use >= x - pulp.lpSum(readers))
            v.add(use <= x)
            for there in readers:
                v.add(use <= 1 - there)
        options.append(_send_option(v, k, (d, problem.m), use))
    if options:
        v.moves.append(Move("send", k, p, options, after=p))


def sends_start_when_tensors_are_there(v: Variables) -> None:
    """Let begin >= e_p for sends of what p makes (an input: its release), if they are not steps of a call.

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
    """s_j >= e_p + sum_(d,e) c[k,d,e] both[p,j][d,e] (overlap); s_j >= end of the send to e if x[j,e] = 1.

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
