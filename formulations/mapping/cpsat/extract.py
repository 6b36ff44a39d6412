"""From a solution of the CP-SAT model to a plan, and from a plan to a complete hint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dnnplan.costs import Decisions, Evaluation, MappingProblem, decisions_of, evaluate
from dnnplan.costs.calls import CallGraph, call_graph
from dnnplan.formulations.mapping.cpsat.variables import Move, Variables
from dnnplan.formulations.mapping.symmetry import named_in_order
from dnnplan.instances import PlanError
from dnnplan.instances.plan import load_id, read_id, send_id, write_id

Value = Callable[[object], int]


def extract(problem: MappingProblem, v: Variables, value: Value) -> Decisions:
    """The decisions of a solution.

    Starts give the order of each device and channel. Under live memory, where waiting can be what makes a plan
    fit, the starts themselves become decisions (`not_before`).
    """
    place = [next(d for d, x in row.items() if value(x)) for row in v.x]
    starts = [value(s) for s in v.start]
    rank = {i: r for r, i in enumerate(problem.topological)}
    order: list[list[int]] = [[] for _ in range(problem.m)]
    for i in sorted(range(problem.n), key=lambda i: (starts[i], value(v.end[i]), rank[i])):
        order[place[i]].append(i)
    pinned = None
    if v.pin and problem.execution.weights == "choice":
        pinned = [
            sorted(w for (w, e), pin in v.pin.items() if e == d and value(pin)) for d in range(problem.m)
        ]
    kept = None
    if v.keep and v.live:
        kept = sorted((k, d) for (k, d), keep in v.keep.items() if value(keep))
    decisions = decisions_of(problem, place, order, pinned=pinned, kept=kept)
    transfers = _transfers(call_graph(problem, decisions), v, value)
    channels: dict[str, list[str]] = {}
    if v.channelled:
        for _, _, name, channel in sorted(transfers):
            if channel >= 0:
                channels.setdefault(problem.routes.channels[channel], []).append(name)
    not_before = {}
    if v.live:
        calls = [(starts[i], value(v.end[i]), problem.layers[i], i) for i in range(problem.n)]
        moves = [(start, end, name, -1) for start, end, name, _ in transfers if not name.startswith("load ")]
        not_before = _moments(problem, v, calls + (moves if problem.execution.overlap else []))
    return dataclasses.replace(decisions, transfer_order=channels, not_before=not_before)


def _moments(
    problem: MappingProblem, v: Variables, events: list[tuple[int, int, str, int]]
) -> dict[str, float]:
    """Seconds at which calls and transfers start so that everything that ended before them in ticks has ended.

    Durations are rounded down, each by less than a tick; so the p-th event in time starts as many ticks later as
    there are roundings before it. Where all times are whole ticks nothing is added.
    """
    exact = v.tick == 1.0
    moments: dict[str, float] = {}
    late = 0
    for start, _, name, layer in sorted(events):
        moments[name] = (start + (0 if exact else late)) * v.tick
        late += 1 if layer < 0 else 2 + len(problem.inputs[layer]) + len(problem.outputs[layer])
    return moments


def _transfers(graph: CallGraph, v: Variables, value: Value) -> list[tuple[int, int, str, int]]:
    """(start, end, identifier, channel) of every transfer of the plan that takes time."""
    problem, place = graph.problem, graph.decisions.place
    found = []
    for move in v.moves:
        # The model may book a write that nobody reads where that costs nothing; the plan has none.
        if not value(move.present) or (move.kind == "write" and not graph.write_needed(move.tensor)):
            continue
        a, b, name, seconds = _route(problem, move, place)
        if a != b and seconds > 0:
            found.append((value(move.start), value(move.end), name, int(problem.routes.channel[a, b])))
    return found


def _route(problem: MappingProblem, move: Move, place: list[int]) -> tuple[int, int, str, float]:
    m, layer = problem.m, problem.layers[move.layer]
    if move.kind == "load":
        d = place[move.layer]
        return m, d, load_id(layer), problem.load_seconds(d, float(problem.weight_bytes[move.layer]))
    k, tensor = move.tensor, problem.tensors[move.tensor]
    if move.kind == "read":
        d = place[move.layer]
        return m, d, read_id(tensor, layer), problem.read_seconds(k, d, problem.read_sizes[k, move.layer])
    source = int(problem.source[k])
    a = place[source] if source >= 0 else m
    b = move.device if move.device >= 0 else place[move.layer]
    if move.kind == "write":
        return a, m, write_id(tensor), problem.move_seconds(k, a, m)
    return a, b, send_id(tensor, problem.ends[b]), problem.move_seconds(k, a, b)


def hint(v: Variables, decisions: Decisions) -> bool:
    """Hint every variable that a plan determines; False if the plan does not fit the rounded model."""
    if v.symmetry is not None:
        decisions = named_in_order(v.symmetry, decisions)
    ticks = {name: v.problem.in_ticks(seconds) for name, seconds in decisions.not_before.items()}
    try:
        evaluation = evaluate(v.problem, dataclasses.replace(decisions, not_before=ticks))
    except PlanError:
        return False
    model = v.model
    model.clear_hints()
    times = evaluation.times
    for i, row in enumerate(v.x):
        for d, x in row.items():
            model.add_hint(x, int(decisions.place[i] == d))
        model.add_hint(v.start[i], int(times.start[i]))
        model.add_hint(v.end[i], int(times.end[i]))
    for (i, j), pairs in v.pairs.items():
        for b, both in pairs.items():
            model.add_hint(both, int(decisions.place[i] == decisions.place[j] == b))
    model.add_hint(v.makespan, int(max(evaluation.completion, default=0)))
    for completion, end in zip(v.completion, evaluation.completion, strict=True):
        model.add_hint(completion, int(end))
    for (w, d), pin in v.pin.items():
        model.add_hint(pin, int(w in decisions.pinned[d]))
    if v.live:
        for (k, d), keep in v.keep.items():
            model.add_hint(keep, int((k, d) in decisions.kept))
    _hint_moves(v, evaluation)
    return True


def _hint_moves(v: Variables, evaluation: Evaluation) -> None:
    """Hint the transfers: those of the plan where it has them, the others absent, of no length, where they fit."""
    booked = {}
    for t in evaluation.transfers:
        by_end = t.kind == "write" or (
            t.kind == "send" and (v.problem.execution.overlap or t.target == v.problem.m)
        )
        booked[t.kind, t.tensor, t.target if by_end else t.call] = t
    spans: dict[int, tuple[int, int]] = {}
    for move in v.moves:
        by_layer = move.kind in ("load", "read") or move.device == -1
        found = booked.get((move.kind, move.tensor, move.layer if by_layer else move.device))
        v.model.add_hint(move.present, int(found is not None))
        if found is not None:
            spans[id(move)] = (int(found.start), int(found.end))
    _place_absent(v, evaluation, spans)
    for move in v.moves:
        start, end = spans[id(move)]
        v.model.add_hint(move.start, start)
        v.model.add_hint(move.end, end)


def _place_absent(v: Variables, evaluation: Evaluation, spans: dict[int, tuple[int, int]]) -> None:
    """Moments for absent transfers: in their turn inside a call without overlap, else when they could be asked for."""
    times, problem = evaluation.times, v.problem
    if not problem.execution.overlap:
        for layer in range(problem.n):
            inside = [move for move in v.busy[layer] if move.kind != "load"]
            inside = sorted(inside, key=lambda move: move.tensor) + [
                m for m in v.busy[layer] if m.kind == "load"
            ]
            _in_turn(inside, int(times.start[layer]), spans)
            writes = sorted(
                (m for m in v.moves if m.kind == "write" and m.layer == layer), key=lambda move: move.tensor
            )
            present = [spans[id(m)][0] for m in writes if id(m) in spans]
            _in_turn(writes, min(present, default=int(times.end[layer])), spans)
    for move in v.moves:
        if id(move) not in spans:
            source = int(problem.source[move.tensor]) if move.tensor >= 0 else -1
            if move.kind == "load":
                moment = times.start[move.layer]
            else:
                moment = times.end[source] if source >= 0 else problem.tensor_release[move.tensor]
            spans[id(move)] = (int(moment), int(moment))


def _in_turn(moves: list[Move], begin: int, spans: dict[int, tuple[int, int]]) -> None:
    for move in moves:
        begin = spans.setdefault(id(move), (begin, begin))[1]
