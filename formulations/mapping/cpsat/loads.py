"""What moving tensors and weights costs each device and channel, as sums over literals of the placement.

Symbols: tensor k, made by layer i or an input of the network, read by layers j; devices a, b; m is the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Linear, Variables


@dataclass(frozen=True)
class Piece:
    """Ticks that a device (and a channel, -1: none or not known) is in use if `literal` holds.

    `layer` is the one whose call takes that long without overlap; -1: one of several.
    """

    device: int
    layer: int
    channel: int
    ticks: int
    literal: BoolVar


def is_needed_elsewhere(v: Variables, k: int, b: int) -> BoolVar:
    """y[k,b] >= x[j,b] - x[i,b] for every reader j: tensor k, not made on b, is read there."""
    key = ("elsewhere", k * v.problem.m + b)
    if key not in v.extra:
        i = int(v.problem.source[k])
        made = [v.x[i][b]] if i >= 0 and b in v.x[i] else []
        v.extra[key] = _one_of(v, [v.x[j][b] for j in v.problem.readers[k] if b in v.x[j]], made)
    found: BoolVar = v.extra[key]
    return found


def _one_of(v: Variables, any_of: list[BoolVar], but: list[BoolVar]) -> BoolVar:
    """A literal that holds (at least) where one of `any_of` holds and none of `but`."""
    if len(any_of) == 1 and not but:
        return any_of[0]
    y = v.flag("")
    for literal in any_of:
        v.model.add_bool_or([y, ~literal, *but])
    return y


def pieces(v: Variables, *, most: bool) -> list[Piece]:
    """All transfers: of each tensor to each device that reads it, under host staging from its maker, and loads.

    `most`: a tensor that layers of one device read in different sizes counts with the largest (as max_load counts
    it), else with the smallest (the least that the device is busy without overlap). Under direct staging the
    receiver pays. O(tensors x devices^2).
    """
    found = _loads(v)
    for k in range(len(v.problem.tensors)):
        if v.problem.execution.staging == "direct":
            found += _sends(v, k)
        else:
            found += _reads(v, k, most) + _write(v, k)
    return found


def _sends(v: Variables, k: int) -> list[Piece]:
    """The least that sending k to b takes from elsewhere, and what it takes more from a."""
    problem, i = v.problem, int(v.problem.source[k])
    if i < 0 and not problem.host:
        return []
    alone = problem.readers[k][0] if len(problem.readers[k]) == 1 else -1
    source: dict[int, BoolVar] = dict(v.x[i]) if i >= 0 else {problem.m: v.always}
    found = []
    for b in v.devices_of(problem.readers[k]):
        ticks = {a: problem.move_seconds(k, a, b) for a in source if a != b}
        ticks = {a: c for a, c in ticks.items() if math.isfinite(c)}
        far = {a: int(c) for a, c in ticks.items() if c > 0}
        if not far:
            continue
        readers = [v.x[j][b] for j in problem.readers[k] if b in v.x[j]]
        channels = {int(problem.routes.channel[a, b]) for a in far}
        channel = channels.pop() if len(channels) == 1 else -1
        least = min(far.values())
        near = [a for a in source if a not in far]
        if near == ([b] if b in source else []):
            found.append(Piece(b, alone, channel, least, is_needed_elsewhere(v, k, b)))
        else:
            found.append(Piece(b, alone, channel, least, _one_of(v, readers, [source[a] for a in near])))
        for a, c in far.items():
            if c > least:
                both = _one_of(v, readers, [~source[a]])
                found.append(Piece(b, alone, channel, c - least, both))
    return found


def _reads(v: Variables, k: int, most: bool) -> list[Piece]:
    problem, found = v.problem, []
    alone = problem.readers[k][0] if len(problem.readers[k]) == 1 else -1
    for b in v.devices_of(problem.readers[k]):
        i = int(problem.source[k])
        made = [v.x[i][b]] if i >= 0 and b in v.x[i] else []
        ticks: dict[int, float] = {
            j: problem.read_seconds(k, b, problem.read_sizes[k, j]) for j in problem.readers[k] if b in v.x[j]
        }
        channel, before = int(problem.routes.channel[problem.m, b]), 0
        steps = sorted({int(c) for c in ticks.values() if math.isfinite(c)})
        for c in steps if most else steps[:1]:
            if c > before:
                larger = [v.x[j][b] for j, t in ticks.items() if t >= c]
                same = len(larger) == len(ticks)
                literal = is_needed_elsewhere(v, k, b) if same else _one_of(v, larger, made)
                found.append(Piece(b, alone, channel, c - before, literal))
                before = c
    return found


def _write(v: Variables, k: int) -> list[Piece]:
    """w[k,a] if k is made on a, and is an output or read elsewhere."""
    problem, i = v.problem, int(v.problem.source[k])
    found = []
    for a, x in v.x[i].items() if i >= 0 and (problem.readers[k] or problem.output[k]) else ():
        ticks = problem.move_seconds(k, a, problem.m)
        if not math.isfinite(ticks) or ticks <= 0:
            continue
        away = x
        if not problem.output[k]:
            away = v.flag("")
            for j in problem.readers[k]:
                v.model.add_bool_or([away, ~x, v.on(j, a)])
        found.append(Piece(a, i, int(problem.routes.channel[a, problem.m]), int(ticks), away))
    return found


def _loads(v: Variables) -> list[Piece]:
    """load[i,d] if i runs on d and its weights are not pinned there."""
    problem, found = v.problem, []
    for move in v.moves:
        if move.kind != "load":
            continue
        i = move.layer
        for d, x in v.x[i].items():
            ticks = float(problem.load[i, d])
            if math.isfinite(ticks) and ticks > 0:
                literal = x
                if problem.execution.weights == "choice":
                    literal = _one_of(v, [x], [v.pin_of(i, d)])
                found.append(Piece(d, i, int(problem.routes.channel[problem.m, d]), int(ticks), literal))
    return found


def compute_of(v: Variables, d: int) -> Linear:
    """Ticks that device d computes: sum_i t[i,d] x[i,d]."""
    return sum(int(v.problem.duration[i, d]) * row[d] for i, row in enumerate(v.x) if d in row)


def makespan_covers_load(v: Variables) -> None:
    """slots[d] C >= sum_i t[i,d] x[i,d], and without overlap all transfers of d; C >= the transfers of a channel.

    Redundant, and the constraint that turns open flexible job shops into proofs of seconds: it gives the linear
    relaxation the load of each device and, under contention, of each channel.
    """
    overlap = v.problem.execution.overlap
    found = pieces(v, most=False) if not overlap or v.channelled else []
    if not overlap:
        calls_cover_their_transfers(v, found)
    for d in range(v.problem.m):
        slots = int(v.problem.slots[d])
        if slots < v.problem.n:
            moved = [p.ticks * p.literal for p in found if p.device == d] if not overlap else []
            v.model.add(slots * v.makespan >= compute_of(v, d) + sum(moved))
    for channel in sorted({p.channel for p in found if p.channel >= 0}) if v.channelled else ():
        v.model.add(v.makespan >= sum(p.ticks * p.literal for p in found if p.channel == channel))


def calls_cover_their_transfers(v: Variables, found: list[Piece]) -> None:
    """e_i - s_i >= work_i + its load, its writes, and what it alone receives, without overlap.

    Redundant, and linear: paths in the relaxation get the length of calls with their transfers.
    """
    own: dict[int, list[Linear]] = {}
    for piece in found:
        own.setdefault(piece.layer, []).append(piece.ticks * piece.literal)
    for i in range(v.problem.n):
        if i in own:
            v.model.add(v.end[i] >= v.start[i] + v.work[i] + sum(own[i]))


def largest_load(v: Variables) -> Linear:
    """Top >= compute + transfers of each device; with overlap top >= each of the two (docs/cost-model.md, 6)."""
    key = ("max_load", 0)
    if key in v.extra:
        return v.extra[key]
    found = pieces(v, most=True)
    highest = sum(max((int(t) for t in row if math.isfinite(t)), default=0) for row in v.problem.duration)
    top = v.model.new_int_var(0, int(highest + sum(p.ticks for p in found)), "max_load")
    for d in range(v.problem.m):
        moved = sum(p.ticks * p.literal for p in found if p.device == d)
        if v.problem.execution.overlap:
            v.model.add(top >= compute_of(v, d))
            v.model.add(top >= moved)
        else:
            v.model.add(top >= compute_of(v, d) + moved)
    v.extra[key] = top
    return top
