"""Constraints on copies of layers, devices and weights, one function each.

Symbols: copies c of layers, own(c) = 1: c is there; stands(e,c) = 1: copy e stands for c; devices d; x[c,d] = 1: c or
what stands for it is on d, run[c,d] = 1: c runs there; s_c, e_c start and end; t[c,d] compute time; C makespan.
"""

from __future__ import annotations

import math

import numpy as np

from dnnplan.formulations.whole.cpsat.variables import Variables


def copies_stand_for_others(v: Variables) -> None:
    """If stands(e,c): x[c,d] = x[e,d], s_c = s_e, e_c = e_e.

    A task whose block is shared sees it where and when the first task of its group has it. So tensors of a task always
    go from copy to copy of the task itself. Without it a task could read what nobody has computed.
    """
    for c in range(v.view.n):
        for other, stands in v.stands_for(c):
            v.model.add(v.start[c] == v.start[other]).only_enforce_if(stands)
            v.model.add(v.end[c] == v.end[other]).only_enforce_if(stands)
            for d in sorted(set(v.x[c]) | set(v.x[other])):
                here, there = v.x[c].get(d), v.x[other].get(d)
                if here is None or there is None:
                    v.model.add_implication(stands, ~(v.x[c] | v.x[other])[d])
                else:
                    v.model.add_bool_or([~stands, ~here, there])
                    v.model.add_bool_or([~stands, here, ~there])


def copies_run_if_there(v: Variables) -> None:
    """sum_d x[c,d] = 1;  run[c,d] = x[c,d] own(c);  sum_d run[c,d] = own(c).

    Without it a layer could run nowhere, or a copy run that no group has.
    """
    for c in range(v.view.n):
        v.model.add_exactly_one(list(v.x[c].values()))
        own = v.own(c)
        if own is None:
            continue
        for d, x in v.x[c].items():
            run = v.run[c].get(d)
            if run is None:
                v.model.add_implication(own, ~x)
                continue
            v.model.add_implication(run, x)
            v.model.add_implication(run, own)
            v.model.add_bool_or([run, ~x, ~own])
        v.model.add(sum(v.run[c].values()) == own)


def devices_run_one_call_a_slot(v: Variables) -> None:
    """At every moment the copies running on device d are at most slots[d]: intervals [s_c, e_c) present if run[c,d].

    The interval ties e_c to s_c: t[c,d], or the time of loading weights that are not pinned, if that is longer.
    """
    for d in range(v.view.m):
        intervals = []
        for c in range(v.view.n):
            if d not in v.run[c]:
                continue
            for literal, size in calls_of(v, c, d):
                if size > v.horizon:
                    v.model.add(literal == 0)
                    continue
                intervals.append(
                    v.model.new_optional_interval_var(v.start[c], size, v.end[c], literal, f"run_{c}_{d}")
                )
        slots = int(v.view.slots[d])
        if slots == 1:
            v.model.add_no_overlap(intervals)
        elif slots < len(intervals):
            v.model.add_cumulative(intervals, [1] * len(intervals), slots)


def calls_of(v: Variables, c: int, d: int) -> list[tuple[object, int]]:
    """(literal, ticks) of the ways in which a copy runs on a device: with pinned weights, and loading them."""
    compute = int(v.view.duration[c, d])
    if not v.pins or v.view.weight_bytes[c] <= 0:
        return [(v.run[c][d], int(v.work[c, d]))]
    load = float(v.view.load[c, d])
    longer = max(compute, int(load)) if math.isfinite(load) else v.horizon + 1
    if ("loads", c * v.view.m + d) not in v.extra:
        loads = v.flag(f"loads_{c}_{d}")
        v.model.add(v.pin[c][d] + loads == v.run[c][d])
        v.extra["loads", c * v.view.m + d] = loads
    return [(v.pin[c][d], compute), (v.extra["loads", c * v.view.m + d], longer)]


def calls_last_as_long_as_the_least(v: Variables) -> None:
    """e_c - s_c >= sum_d x[c,d] min over copies e that may stand for c of t[e,d]; equal where all are.

    Redundant; the linear relaxation gets a length for every copy, there or not.
    """
    least, most = v.copies.least(v.work), -v.copies.least(-v.work)
    for c, row in enumerate(v.x):
        length = sum(int(least[c, d]) * x for d, x in row.items() if np.isfinite(least[c, d]))
        same = all(least[c, d] == most[c, d] for d in row)
        if same and not (v.pins and v.view.weight_bytes[c] > 0):
            v.model.add(v.end[c] - v.start[c] == length)
        else:
            v.model.add(v.end[c] - v.start[c] >= length)


def releases_and_makespan(v: Variables) -> None:
    """s_c >= release;  C >= e_c."""
    for c in range(v.view.n):
        if v.view.release[c] > 0:
            v.model.add(v.start[c] >= int(v.view.release[c]))
        v.model.add(v.makespan >= v.end[c])


def weights_fit(v: Variables) -> None:
    """sum_c bytes_c run[c,d] <= weight capacity of d, and over the devices of a memory <= its bytes.

    pin[c,d] instead of run[c,d] where it is a decision which weights stay. Bytes are rounded down, capacities are
    exact.
    """
    view = v.view
    streamed = view.host and view.execution.weights == "streamed"
    if view.execution.memory == "none" or streamed:
        return
    held = v.pin if v.pins else v.run
    rows = [([d], float(view.weight_capacity[d])) for d in range(view.m)]
    rows += [
        ([int(d) for d in np.flatnonzero(view.memory_of == memory)], capacity)
        for memory, capacity in enumerate(view.capacity.tolist())
    ]
    for devices, capacity in rows:
        terms = [
            int(view.weight_bytes[c]) * held[c][d] for c in range(view.n) for d in devices if d in held[c]
        ]
        if math.isfinite(capacity) and terms:
            v.model.add(sum(terms) <= int(capacity))
