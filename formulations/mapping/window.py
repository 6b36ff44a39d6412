"""Part of a schedule as a small CP-SAT model: the layers of a window change, what is before and after stays.

For the plainest setting: direct staging, overlap, no contention, one layer at a time on a device, latency.

Symbols: W the layers of the window, F the free ones among them; x[i,d] = 1 if i of F runs on d; s, e start and end;
c[k,a,b] the time to send tensor k; q(j) seconds from the end of layer j to the end of the plan (its tail); for each
device d, a(d) the end of its last layer before the window and z(d) the seconds from the start of its first layer behind
it to the end of the plan. Layers before the window keep their times; those behind keep their devices and order, so that
the longest path through the window ends at exactly

    C = max over i of W of e(i) + q'(i),   e(i) + c + t(j) + q(j) for readers j behind,   e(i) + z(d) if i runs on d.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray

NEVER = float("inf")


@dataclass(frozen=True, eq=False)
class Schedule:
    """A plan in time: order (by start), its inverse, devices, ends and tails in seconds, and its length."""

    order: IntArray
    position: IntArray
    place: IntArray
    end: FloatArray
    tail: FloatArray
    latency: float


@dataclass(eq=False)
class Window:
    """The model of a window, in ticks from the earliest moment that it can change.

    Parameters
    ----------
    inside, free
        Layers in the order of the schedule, and those whose device and order may change.
    x, start
        By layer; a layer that is not free has no x.
    length
        Ticks from `origin` to the end of the plan.
    """

    model: cp_model.CpModel
    inside: list[int]
    free: set[int]
    origin: float
    tick: float
    x: dict[int, dict[int, cp_model.IntVar]] = field(default_factory=dict)
    start: dict[int, cp_model.IntVar] = field(default_factory=dict)
    end: dict[int, Any] = field(default_factory=dict)
    length: Any = None

    def on(self, i: int, d: int, place: IntArray) -> Any:
        """1 if layer i runs on device d: a literal, or the constant that it is."""
        return self.x[i].get(d, 0) if i in self.x else int(place[i] == d)


def build_window(
    problem: MappingProblem, plan: Schedule, first: int, last: int, free: Sequence[int], tick: float
) -> Window:
    """The model of positions `first` to `last` (inclusive) of the order, in which the layers of `free` may change.

    Times are rounded to the nearest tick: what is found is evaluated anew.
    """
    inside = plan.order[first : last + 1].tolist()
    before = plan.order[:first]
    origin = float((plan.end[inside] - problem.duration[inside, plan.place[inside]]).min())
    available = np.zeros(problem.m)
    np.maximum.at(available, plan.place[before], plan.end[before])
    w = Window(cp_model.CpModel(), inside, set(free), origin, tick)
    horizon = _ticks(w, plan.latency)
    w.length = w.model.new_int_var(0, horizon, "length")
    for i in inside:
        _add_layer(w, problem, plan, i, horizon, available)
    behind = _behind(problem, plan, last)
    _add_devices(w, problem, plan, available, behind)
    for i in inside:
        _add_tensors(w, problem, plan, i, first, last)
    w.model.minimize(w.length)
    _hint(w, problem, plan)
    return w


def _ticks(w: Window, moment: float) -> int:
    return round((moment - w.origin) / w.tick)


def _span(w: Window, seconds: float) -> int:
    return round(seconds / w.tick)


def _add_layer(
    w: Window, problem: MappingProblem, plan: Schedule, i: int, horizon: int, available: FloatArray
) -> None:
    """s(i) >= release; e(i) = s(i) + sum over d of t(i,d) x(i,d); exactly one x(i,d)."""
    w.start[i] = w.model.new_int_var(max(0, _ticks(w, float(problem.release[i]))), horizon, "")
    if i in w.free:
        w.x[i] = {d: w.model.new_bool_var("") for d in problem.allowed[i]}
        w.model.add_exactly_one(w.x[i].values())
        w.end[i] = w.start[i] + sum(_span(w, problem.duration[i, d]) * x for d, x in w.x[i].items())
    else:
        w.end[i] = w.start[i] + _span(w, problem.duration[i, plan.place[i]])
    w.model.add(w.end[i] <= w.length)


def _behind(problem: MappingProblem, plan: Schedule, last: int) -> FloatArray:
    """z(d), 0 where nothing runs on d behind the window."""
    behind = np.zeros(problem.m)
    for j in plan.order[last + 1 :][::-1].tolist():
        d = plan.place[j]
        behind[d] = problem.duration[j, d] + plan.tail[j]
    return behind


def _add_devices(
    w: Window, problem: MappingProblem, plan: Schedule, available: FloatArray, behind: FloatArray
) -> None:
    """No two layers of W at once on a device; e(i) + z(d) <= C and s(i) >= a(d) if i runs on d.

    Redundant: a(d) + the time of the layers on d + z(d) <= C. Layers that are not free keep their order.
    """
    for d in range(problem.m):
        intervals, load = [], []
        begin, left = max(0, _ticks(w, float(available[d]))), _span(w, float(behind[d]))
        fixed = [i for i in w.inside if i not in w.free and plan.place[i] == d]
        for i, j in pairwise(fixed):
            w.model.add(w.start[j] >= w.end[i])
        for i in w.inside:
            seconds = problem.duration[i, d]
            if i in w.free:
                if d not in w.x[i]:
                    continue
                x, size = w.x[i][d], _span(w, seconds)
                intervals.append(w.model.new_optional_fixed_size_interval_var(w.start[i], size, x, ""))
                load.append(size * x)
                w.model.add(w.start[i] >= begin).only_enforce_if(x)
                w.model.add(w.end[i] + left <= w.length).only_enforce_if(x)
            elif plan.place[i] == d:
                size = _span(w, seconds)
                intervals.append(w.model.new_fixed_size_interval_var(w.start[i], size, ""))
                load.append(size)
                w.model.add(w.start[i] >= begin)
                w.model.add(w.end[i] + left <= w.length)
        if intervals:
            w.model.add_no_overlap(intervals)
            w.model.add(begin + sum(load) + left <= w.length)


def _add_tensors(w: Window, problem: MappingProblem, plan: Schedule, j: int, first: int, last: int) -> None:
    """What layer j reads, and what readers behind the window wait for."""
    m = problem.m
    for k in problem.inputs[j]:
        i = int(problem.source[k])
        if i < 0:
            if problem.host:
                moment = float(problem.tensor_release[k])
                for d in problem.allowed[j]:
                    _if_on(w, plan, j, d, _ticks(w, moment + problem.move_seconds(k, m, d)))
        elif plan.position[i] < first:
            a = int(plan.place[i])
            for d in problem.allowed[j]:
                _if_on(w, plan, j, d, _ticks(w, float(plan.end[i]) + _delay(problem, k, a, d)))
        else:
            _add_edge(w, problem, plan, k, i, j)
    for k in problem.outputs[j]:
        ways = {d: 0.0 for d in problem.allowed[j]}
        for reader in problem.readers[k]:
            if plan.position[reader] > last:
                b = int(plan.place[reader])
                follows = float(problem.duration[reader, b] + plan.tail[reader])
                ways = {d: max(s, _delay(problem, k, d, b) + follows) for d, s in ways.items()}
        if problem.output[k] and problem.host:
            ways = {d: max(s, problem.move_seconds(k, d, m)) for d, s in ways.items()}
        _end_by(w, plan, j, ways)


def _delay(problem: MappingProblem, k: int, a: int, b: int) -> float:
    return 0.0 if a == b else problem.move_seconds(k, a, b)


def _if_on(w: Window, plan: Schedule, j: int, d: int, moment: float) -> None:
    """s(j) >= moment if j runs on d; moments that never come forbid the device."""
    if j in w.free:
        if moment == NEVER:
            w.model.add(w.x[j][d] == 0)
        elif moment > 0:
            w.model.add(w.start[j] >= int(moment)).only_enforce_if(w.x[j][d])
    elif plan.place[j] == d and moment > 0:
        w.model.add(w.start[j] >= int(moment))


def _end_by(w: Window, plan: Schedule, i: int, ways: dict[int, float]) -> None:
    """e(i) + ways[d] <= C if i runs on d."""
    if i not in w.free:
        w.model.add(w.end[i] + _span(w, ways[int(plan.place[i])]) <= w.length)
        return
    terms = []
    for d, seconds in ways.items():
        if seconds == NEVER:
            w.model.add(w.x[i][d] == 0)
        elif seconds > 0:
            terms.append(_span(w, seconds) * w.x[i][d])
    if terms:
        w.model.add(w.end[i] + sum(terms) <= w.length)


def _add_edge(w: Window, problem: MappingProblem, plan: Schedule, k: int, i: int, j: int) -> None:
    """s(j) >= e(i) + c[k,a,b] if x(i,a) and x(j,b); linear where one of the two is not free."""
    w.model.add(w.start[j] >= w.end[i])
    if i not in w.free and j not in w.free:
        seconds = _delay(problem, k, int(plan.place[i]), int(plan.place[j]))
        w.model.add(w.start[j] >= w.end[i] + _span(w, seconds))
        return
    for a in problem.allowed[i] if i in w.free else (int(plan.place[i]),):
        for b in problem.allowed[j] if j in w.free else (int(plan.place[j]),):
            seconds = _delay(problem, k, a, b)
            given = [w.x[layer][d] for layer, d in ((i, a), (j, b)) if layer in w.free]
            if seconds == NEVER:
                w.model.add_bool_or([~x for x in given])
            elif seconds > 0:
                w.model.add(w.start[j] >= w.end[i] + _span(w, seconds)).only_enforce_if(given)


def _hint(w: Window, problem: MappingProblem, plan: Schedule) -> None:
    for i in w.inside:
        d = int(plan.place[i])
        w.model.add_hint(w.start[i], max(0, _ticks(w, float(plan.end[i] - problem.duration[i, d]))))
        for b, x in w.x.get(i, {}).items():
            w.model.add_hint(x, b == d)
