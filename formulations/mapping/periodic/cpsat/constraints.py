"""Constraints of the periodic model, one function each; symbols are those of docs/formulations.md."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np

from dnnplan.formulations.mapping.bounds.paths import heads_and_tails
from dnnplan.formulations.mapping.periodic.choices import Choices
from dnnplan.formulations.mapping.periodic.cpsat.variables import Variables, delays

MOST_WINDOWS = 200
"""Windows between releases and deadlines whose load is stated."""


def one_device_each(v: Variables, choices: Choices | None) -> None:
    """Sum over d of x[i,d] = 1; with choices, x[i,d] = sum over choices c of the task with device d for i of y[c]."""
    for row in v.x:
        v.model.add_exactly_one(row.values())
    if choices is None:
        return
    view = v.problem.mapping
    picks = {
        task: [v.model.new_bool_var(f"choice_{task}_{c}") for c in range(len(options))]
        for task, options in choices.items()
    }
    for literals in picks.values():
        v.model.add_exactly_one(literals)
    for job, layers in enumerate(v.problem.layers_of_job):
        task = view.jobs[job].task
        for position, i in enumerate(layers):
            for d, x in v.x[i].items():
                taken = [
                    literal
                    for literal, option in zip(picks[task], choices[task], strict=True)
                    if option[position] == d
                ]
                v.model.add(x == sum(taken))


def colocated_layers_share_a_device(v: Variables) -> None:
    """x[i,d] = x[j,d] for layers i and j of a colocation group."""
    for group in v.problem.mapping.colocate:
        for i, j in pairwise(group):
            for d in sorted({*v.x[i], *v.x[j]}):
                v.model.add(v.x[i].get(d, 0) == v.x[j].get(d, 0))


def starts_are_cycles_apart_from_their_place(v: Variables) -> None:
    """v[i] = s[i] - k L for exactly one k in 0..K, and v[i] <= L.

    Jobs that always end in their own cycle have v[i] = s[i]; layers of jobs without deadline have v[i] alone: their
    s[i] is the first of v[i] + k L at which all inputs are there.
    """
    for i, job in enumerate(v.problem.mapping.job_of.tolist()):
        start = v.start[i]
        if v.crossings[job] == 0:
            continue
        v.model.add(v.within[i] <= v.cycle)
        if start is None:
            continue
        literals = [v.model.new_bool_var(f"crossings_{i}_{k}") for k in range(v.crossings[job] + 1)]
        v.model.add_exactly_one(literals)
        for k, literal in enumerate(literals):
            v.model.add(v.within[i] == start - k * v.cycle).only_enforce_if(literal)


def devices_run_one_call_at_a_time(v: Variables) -> None:
    """The arcs [v[i], v[i] + t[i,d]) of a device are disjoint on a circle of length L.

    Arcs that may reach over the border are there twice, the second time L earlier: what is beyond the border lies at
    the begin of the cycle. Without the copies a call at the begin would not see the one that still runs.
    """
    view = v.problem.mapping
    earlier = {}
    for i, job in enumerate(view.job_of.tolist()):
        if v.crossings[job] > 0:
            earlier[i] = v.model.new_int_var(-v.longest, 0, f"earlier_{i}")
            v.model.add(earlier[i] == v.within[i] - v.cycle)
    for d in range(view.m):
        if view.slots[d] > 1:
            continue
        arcs = []
        for i, row in enumerate(v.x):
            if d in row and v.ticks(i, d) > 0:
                for first in (v.within[i], *([earlier[i]] if i in earlier else [])):
                    arcs.append(
                        v.model.new_optional_fixed_size_interval_var(first, v.ticks(i, d), row[d], "")
                    )
        v.model.add_no_overlap(arcs)


def jobs_start_when_released(v: Variables) -> None:
    """s[i] >= rho(j) L, as q s[i] >= p L - (q - 1) for rho = p / q: rounded down to a tick.

    Inputs of the model come from the host, where there is one.
    """
    view = v.problem.mapping
    for i, job in enumerate(view.job_of.tolist()):
        start = v.start[i]
        if start is None:
            continue
        _at_least(v, start, v.release(job))
        if not view.host:
            continue
        for d, x in v.x[i].items():
            wait = max(
                (view.move_seconds(k, view.m, d) for k in view.inputs[i] if view.source[k] < 0), default=0.0
            )
            if math.isinf(wait):
                v.model.add(x == 0)
            elif wait > 0:
                _at_least(v, start - int(wait), v.release(job)).only_enforce_if(x)


def _at_least(v: Variables, moment, share: Fraction):  # type: ignore[no-untyped-def]
    p, q = share.numerator, share.denominator
    return v.model.add(q * moment >= p * v.cycle - (q - 1))


def tensors_arrive(v: Variables) -> None:
    """s[j] >= s[i] + t[i] + c(d,e) if x[i,d] and x[j,e]; not both where there is no route.

    The least c(d,.) is asked for as soon as j is elsewhere; only pairs that take longer need a constraint of their own.
    """
    for (i, j), delay in delays(v.problem).items():
        first, second = v.start[i], v.start[j]
        if first is not None and second is not None:
            v.model.add(second >= first + v.duration[i])
        for d, here in v.x[i].items():
            others = [e for e in v.x[j] if e != d]
            for e in others:
                if math.isinf(delay[d, e]):
                    v.model.add_bool_or([~here, ~v.x[j][e]])
            if first is None or second is None:
                continue
            waits = {e: int(delay[d, e]) for e in others if math.isfinite(delay[d, e])}
            least = min(waits.values(), default=0)
            end = first + v.ticks(i, d)
            if least > 0:
                stays = [~v.x[j][d]] if d in v.x[j] else []
                v.model.add(second >= end + least).only_enforce_if([here, *stays])
            for e, wait in waits.items():
                if wait > least:
                    v.model.add(second >= end + wait).only_enforce_if([here, v.x[j][e]])


def jobs_meet_deadlines(v: Variables) -> None:
    """s[i] + t[i] + after(i,d) <= delta(j) L + D(j), rounded up to a tick."""
    view = v.problem.mapping
    for i, job in enumerate(view.job_of.tolist()):
        start, due = v.start[i], v.due(job)
        if start is None or due is None:
            continue
        after = 0
        for d, x in v.x[i].items():
            wait = v.problem.after[i, d]
            if math.isinf(wait):
                v.model.add(x == 0)
            elif wait > 0:
                after += int(wait) * x
        p, q = due[0].numerator, due[0].denominator
        v.model.add(q * (start + v.duration[i] + after - due[1]) <= p * v.cycle + (q - 1))


def weights_fit(v: Variables) -> None:
    """pin(w,d) >= x[i,d]; pinned bytes fit on each device and in each memory (docs/cost-model.md, section 5)."""
    view = v.original.mapping
    if view.execution.memory == "none":
        return
    pins: dict[tuple[int, int], list[int]] = {}
    for i, row in enumerate(v.x):
        for d in row:
            pins.setdefault((int(view.weight_of[i]), d), []).append(i)
    limits = [(view.weight_capacity[d], [d]) for d in range(view.m)]
    limits += [(room, np.flatnonzero(view.memory_of == c).tolist()) for c, room in enumerate(view.capacity)]
    pinned = {}
    for room, devices in limits:
        keys = [key for key in pins if key[1] in devices]
        size = {key: math.floor(view.weight_bytes[pins[key][0]]) for key in keys}
        if math.isinf(room) or sum(size.values()) <= room:
            continue
        for key in keys:
            if key not in pinned:
                pinned[key] = v.model.new_bool_var(f"pin_{key[0]}_{key[1]}")
                for i in pins[key]:
                    v.model.add_implication(v.x[i][key[1]], pinned[key])
        v.model.add(sum(size[key] * pinned[key] for key in keys) <= math.floor(room))


def cycle_covers_load(v: Variables) -> None:
    """L >= sum over i of t[i,d] x[i,d] for devices of one slot: redundant, and what the relaxation lacks."""
    view = v.problem.mapping
    for d in range(view.m):
        if view.slots[d] == 1:
            v.model.add(v.cycle >= sum(v.ticks(i, d) * row[d] for i, row in enumerate(v.x) if d in row))


def windows_cover_load(v: Variables) -> None:
    """(b - a) L >= sum of t[i,d] x[i,d] over the jobs released and due in [a L, b L]: redundant.

    For devices of one slot. Both ends may be rounded outwards by a tick.
    """
    view = v.problem.mapping
    spans = []
    for job, layers in enumerate(v.problem.layers_of_job):
        due = v.due(job)
        if due is not None and due[1] == 0:
            spans.append((v.release(job), due[0], layers))
    begins, ends = {a for a, _, _ in spans}, {b for _, b, _ in spans}
    windows = ((a, b) for a in sorted(begins) for b in sorted(ends) if a < b < a + 1)
    for a, b in islice(windows, MOST_WINDOWS):
        inside = [i for begin, end, layers in spans if a <= begin and end <= b for i in layers]
        q = (b - a).denominator
        for d in range(view.m):
            if inside and view.slots[d] == 1:
                load = sum(v.ticks(i, d) * v.x[i][d] for i in inside if d in v.x[i])
                v.model.add(q * load <= (b - a).numerator * v.cycle + 2 * q)


def jobs_cover_critical_path(v: Variables) -> None:
    """s[i] >= rho L + sum head(i,d) x[i,d] and s[i] + t[i] + sum tail(i,d) x[i,d] <= deadline: redundant."""
    view = v.problem.mapping
    calm = dataclasses.replace(
        view, release=np.zeros_like(view.release), tensor_release=np.zeros_like(view.tensor_release)
    )
    heads, tails = heads_and_tails(calm)
    for i, job in enumerate(view.job_of.tolist()):
        start, due = v.start[i], v.due(job)
        if start is None or due is None:
            continue
        sides = []
        for times in (heads[i], tails[i]):
            for d, x in v.x[i].items():
                if math.isinf(times[d]):
                    v.model.add(x == 0)
            sides.append(sum(int(times[d]) * x for d, x in v.x[i].items() if math.isfinite(times[d])))
        _at_least(v, start - sides[0], v.release(job))
        p, q = due[0].numerator, due[0].denominator
        v.model.add(q * (start + v.duration[i] + sides[1] - due[1]) <= p * v.cycle + (q - 1))
