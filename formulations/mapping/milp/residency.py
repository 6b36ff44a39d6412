"""What becomes resident with which event, and when it leaves (docs/cost-model.md, 5).

Events are the starts of calls and, with overlap, the begins of transfers to devices.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pulp

from dnnplan.formulations.mapping.milp.variables import Linear, Move, Option, Variables


@dataclass(eq=False)
class Event:
    """The start of the call of `layer`, or of `move`: the moments at which something becomes resident."""

    number: int
    time: Linear
    layer: int = -1
    move: Move | None = None


@dataclass(eq=False)
class Lifetime:
    """Items that become resident with one event and leave together, when the last of `ends` has passed.

    Parameters
    ----------
    items
        (memory, scaled bytes, 1 if it is there).
    ends
        (layer whose call, or move, that ends it; 1 if it counts), `over` a moment at or after all that count.
    """

    number: int
    event: Event
    items: list[tuple[int, float, Linear]]
    ends: list[tuple[int | Move, Linear]] = field(default_factory=list)
    over: Linear = None


@dataclass(eq=False)
class Residency:
    """All events and lifetimes.

    `first[u, v]` = 1: event u is not after v; `gone[a, v]` = 1: lifetime a is over at v.
    """

    events: list[Event] = field(default_factory=list)
    lifetimes: list[Lifetime] = field(default_factory=list)
    first: dict[tuple[int, int], Linear] = field(default_factory=dict)
    gone: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)


def residency_of(v: Variables) -> Residency:
    """Events and lifetimes of docs/cost-model.md, 5; made once."""
    if v.residency is None:
        v.residency = Residency()
        for i in range(v.problem.n):
            v.residency.events.append(Event(i, v.start[i], layer=i))
        for i in range(v.problem.n):
            _call_lives(v, v.residency, i)
        for k in range(len(v.problem.tensors)):
            v.pause()
            if v.problem.source[k] >= 0 and v.problem.size[k] > 0:
                _product_lives(v, v.residency, k)
        for move in v.moves:
            if move.kind in ("send", "read") and move.target != v.problem.m:
                _copy_lives(v, v.residency, move)
    residency: Residency = v.residency
    return residency


def _life(
    v: Variables, residency: Residency, event: Event, items: list[tuple[int, float, Linear]]
) -> Lifetime:
    life = Lifetime(len(residency.lifetimes), event, items)
    residency.lifetimes.append(life)
    return life


def _close(v: Variables, life: Lifetime) -> None:
    """Let over >= end - M (1 - counts) for all ends."""
    if len(life.ends) == 1 and isinstance(life.ends[0][0], int):
        life.over = v.end[life.ends[0][0]]
        return
    life.over = v.time(f"over_{life.number}")
    for end, counts in life.ends:
        moment = v.end[end] if isinstance(end, int) else end.end
        v.add(life.over >= moment - v.horizon * (1 - counts))


def _call_lives(v: Variables, residency: Residency, i: int) -> None:
    """While a call runs: workspace and unpinned weights."""
    problem, items = v.problem, []
    for d, x in v.x[i].items():
        memory = int(problem.memory_of[d])
        if problem.workspace[i] > 0:
            items.append((memory, float(problem.workspace[i]) / v.byte, x))
        if (i, d) in v.load:
            items.append((memory, float(problem.weight_bytes[i]) / v.byte, v.load[i, d]))
    if items:
        life = _life(v, residency, residency.events[i], items)
        life.ends.append((i, 1))
        _close(v, life)


def _product_lives(v: Variables, residency: Residency, k: int) -> None:
    """A tensor where it is produced: until its call, its transfers away and its readers there have ended."""
    problem, p = v.problem, int(v.problem.source[k])
    direct = problem.execution.staging == "direct"
    size = float(problem.size[k]) / v.byte
    life = _life(
        v, residency, residency.events[p], [(int(problem.memory_of[d]), size, x) for d, x in v.x[p].items()]
    )
    life.ends.append((p, 1))
    for move in v.moves:
        if move.tensor != k or move.kind == "load":
            continue
        if move.kind != "read":
            away = [o.use for o in move.options if not o.free]
            if away:
                life.ends.append((move, pulp.lpSum(away)))
        elif problem.host_device in v.x[p]:
            happens = pulp.lpSum(o.use for o in move.options)
            life.ends.append((move, happens + v.x[p][problem.host_device] - 1))
    for j in problem.readers[k]:
        for (d, e), use in v.both[p, j].items():
            if (d == e and direct) or _shared(v, k, d, e):
                life.ends.append((j, use))
            elif d == e:
                life.ends.append((j, use + v.kept(k, d) - 1))
    _close(v, life)


def _shared(v: Variables, k: int, d: int, e: int) -> bool:
    """Whether a reader on e that fetches tensor k, made on d, uses the copy on d."""
    problem = v.problem
    if problem.execution.staging == "direct":
        return d != e and problem.is_free(k, d, e)
    return problem.is_free(k, d, problem.m) and problem.is_free(k, problem.m, e)


def _copy_lives(v: Variables, residency: Residency, move: Move) -> None:
    """A tensor where it was moved to: until its last reader there has ended, or the call that read it."""
    problem, k = v.problem, move.tensor
    size = float(problem.size[k] if move.kind == "send" else problem.read_sizes[k, move.layer]) / v.byte
    items = [(o.target, use) for o in move.options if (use := _second_copy(v, move, o)) is not None]
    if not items or size == 0:
        return
    if v.overlap:
        event = Event(len(residency.events), move.begin, move=move)
        residency.events.append(event)
    else:
        event = residency.events[move.layer]
    life = _life(v, residency, event, [(int(problem.memory_of[e]), size, use) for e, use in items])
    if move.layer >= 0:
        life.ends.append((move.layer, 1))
    for j in problem.readers[k]:
        for e in sorted({e for e, _ in items}):
            if j != move.layer and e in v.x[j]:
                stays = 1 if move.kind == "send" else v.kept(k, e)
                counts = v.x[j][e] if move.layer < 0 else v.x[j][e] + move.to(e) + stays - 2
                life.ends.append((j, counts))
    _close(v, life)


def _second_copy(v: Variables, move: Move, option: Option) -> Linear | None:
    """1 if an option brings a copy of its own to its device; None if it never does."""
    problem, k = v.problem, move.tensor
    if option.target == problem.m:
        return None
    if not option.free:
        return option.use
    if move.kind == "send" or move.after < 0:
        return None
    # A zero-copy read is of the producer's copy, if the write was zero-copy too; else of a copy on the host.
    pairs = v.both[move.after, move.layer].items()
    shared = [use for (d, e), use in pairs if e == option.target and problem.is_free(k, d, problem.m)]
    copy = v.share(f"copy_{k}_{move.layer}_{option.target}")
    v.add(copy >= option.use - pulp.lpSum(shared))
    return copy
