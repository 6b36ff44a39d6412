"""From a solution of the model to a whole plan, and from a plan to a hint."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs import Decisions, decisions_of, evaluate
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.rounding import rounded_down
from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.grouping.answer import Answer
from dnnplan.formulations.grouping.cpsat import extract as extract_graph
from dnnplan.formulations.whole.cpsat.variables import Variables
from dnnplan.instances import PlanError
from dnnplan.instances.plan import send_id

Value = Callable[[object], int]


def extract(v: Variables, value: Value) -> tuple[Groups, Decisions]:
    """The task graph of a solution, and the mapping that it leaves: starts give the order of devices and channels."""
    groups = extract_graph(v.graph, value)
    view, copy_of = v.problem.mapping(groups), copies_of_layers(v, groups)
    place = [next(d for d, x in v.x[c].items() if value(x)) for c in copy_of]
    starts = [value(v.start[c]) for c in copy_of]
    rank = {i: r for r, i in enumerate(view.topological)}
    order: list[list[int]] = [[] for _ in range(view.m)]
    for i in sorted(range(view.n), key=lambda i: (starts[i], value(v.end[copy_of[i]]), rank[i])):
        order[place[i]].append(i)
    pinned = None
    if v.pins:
        pinned = [
            sorted(
                int(view.weight_of[i])
                for i, c in enumerate(copy_of)
                if place[i] == d and view.weight_bytes[i] > 0 and value(v.pin[c][d])
            )
            for d in range(view.m)
        ]
    decisions = decisions_of(view, place, order, pinned=pinned)
    if v.queues:
        decisions.transfer_order.update(_transfers(v, view, copy_of, place, value))
    return groups, decisions


def copies_of_layers(v: Variables, groups: Groups) -> list[int]:
    """The copy that each layer of a task graph's network is."""
    return v.copies.of_layers(v.problem, groups)


def _transfers(
    v: Variables, view: MappingProblem, copy_of: list[int], place: list[int], value: Value
) -> dict[str, list[str]]:
    """Transfers by channel, in the order of their starts."""
    inputs = [k for k in range(len(v.view.tensors)) if v.view.source[k] < 0]
    found: list[tuple[int, int, str, int]] = []
    seen = 0
    for k in range(len(view.tensors)):
        i = int(view.source[k])
        if i >= 0:
            twin = v.view.outputs[copy_of[i]][view.outputs[i].index(k)]
            a = place[i]
        else:
            twin, a, seen = inputs[seen], view.m, seen + 1
        ends = {place[j] for j in view.readers[k]}
        if view.output[k] and view.host and i >= 0:
            ends.add(view.m)
        for b in sorted(ends - {a}):
            channel, send = int(view.routes.channel[a, b]), v.sends.get((twin, b))
            if channel >= 0 and send is not None and view.move_seconds(k, a, b) > 0:
                name = send_id(view.tensors[k], view.ends[b])
                found.append((value(send.start), value(send.end), name, channel))
    channels: dict[str, list[str]] = {}
    for _, _, name, channel in sorted(found):
        channels.setdefault(view.routes.channels[channel], []).append(name)
    return channels


def hint(v: Variables, groups: Groups, decisions: Decisions) -> bool:
    """Hint the task graph, and devices and times of all copies; False if the plan does not fit the rounded model."""
    view = rounded_down(v.problem.mapping(groups), v.tick)
    try:
        times = evaluate(view, decisions)
    except PlanError:
        return False
    model, answer = v.model, Answer(groups)
    model.clear_hints()
    for variable, recipe in v.graph.recipes:
        model.add_hint(variable, recipe(answer))
    copy_of = copies_of_layers(v, groups)
    layers = v.problem.layers(groups)
    seen: set[int] = set()
    for b, row in enumerate(v.copies.cells):
        for t in range(v.problem.n):
            for c, i in zip(row[t], layers[b][t], strict=True):
                if c in seen:
                    continue
                seen.add(c)
                for d, x in v.x[c].items():
                    model.add_hint(x, int(decisions.place[i] == d))
                if v.own(c) is not None:
                    for d, run in v.run[c].items():
                        model.add_hint(run, int(copy_of[i] == c and decisions.place[i] == d))
                for d, pin in v.pin[c].items():
                    held = int(view.weight_of[i]) in decisions.pinned[d] and copy_of[i] == c
                    model.add_hint(pin, int(held))
                model.add_hint(v.start[c], int(times.times.start[i]))
                model.add_hint(v.end[c], int(times.times.end[i]))
    model.add_hint(v.makespan, int(max(times.completion, default=0)))
    return True
