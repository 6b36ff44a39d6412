"""From a solution of the periodic model to a cyclic plan, and from a plan to a complete hint."""

from __future__ import annotations

import math
from collections.abc import Callable

from dnnplan.costs.periodic import CyclicPlan
from dnnplan.formulations.mapping.periodic.cpsat.variables import Variables, delays

Value = Callable[[object], int]


def extract(v: Variables, value: Value) -> CyclicPlan:
    """The plan of a solution, in seconds; times are those of the rounded model, a tick too short here and there."""
    view = v.problem.mapping
    place = [next(d for d, x in row.items() if value(x)) for row in v.x]
    cycle = value(v.cycle)
    starts: list[int] = [0] * view.n
    waits = delays(v.problem)
    before: list[list[int]] = [[] for _ in range(view.n)]
    for i, j in waits:
        before[j].append(i)
    for i in view.topological:
        own = v.start[i]
        if own is not None:
            starts[i] = value(own)
            continue
        ready = math.floor(v.problem.release[int(view.job_of[i])] * cycle)
        if view.host:
            inputs = [view.move_seconds(k, view.m, place[i]) for k in view.inputs[i] if view.source[k] < 0]
            ready += int(max(inputs, default=0.0))
        for j in before[i]:
            ready = max(ready, starts[j] + v.ticks(j, place[j]) + int(waits[j, i][place[j], place[i]]))
        within = value(v.within[i])
        starts[i] = within + max(0, math.ceil((ready - within) / max(cycle, 1))) * cycle
    return CyclicPlan(
        cycle=cycle * v.tick, place=tuple(place), start=tuple(float(s * v.tick) for s in starts)
    )


def hint(v: Variables, plan: CyclicPlan) -> None:
    """Hint placement, cycle and starts of a plan, squeezed if it is too long; the solver works out the rest."""
    v.model.clear_hints()
    cycle = min(math.ceil(plan.cycle / v.tick), v.longest)
    v.model.add_hint(v.cycle, cycle)
    stretch = cycle * v.tick / plan.cycle
    for i, row in enumerate(v.x):
        for d, x in row.items():
            v.model.add_hint(x, int(plan.place[i] == d))
        moment = math.floor(plan.start[i] * stretch / v.tick * (1 + 1e-12))
        own = v.start[i]
        if own is not None:
            v.model.add_hint(own, moment)
        if own is None or v.crossings[int(v.problem.mapping.job_of[i])] > 0:
            v.model.add_hint(v.within[i], moment % cycle)
