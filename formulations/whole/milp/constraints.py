"""Constraints on copies of layers, devices, tensors and weights, one function each, in linear rows.

Symbols: copies c, f of layers, own(c) = 1: c is there; stands(e,c) = 1: copy e stands for c; devices d; x[c,d] = 1: c
or what stands for it is on d, run[c,d] = 1: c runs there; s_c, e_c start and end; t[c,d] time of a call; C makespan;
tensors k of copy i, read by copies j of the same task; w[k,a,b] time from a to b; m is the host; M what the ends of
windows allow.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pulp

from dnnplan.formulations.whole.milp.variables import Linear, Variables


def copies_have_one_device(v: Variables) -> None:
    """sum_d x[c,d] = 1.

    Without it a layer could run nowhere.
    """
    for row in v.x:
        v.add(pulp.lpSum(row.values()) == 1)


def copies_run_if_there(v: Variables) -> None:
    """run[c,d] = x[c,d] own(c);  sum_d run[c,d] = own(c).

    The product is linear: run <= x, run >= x + own - 1. Without it a copy could run that no group has, or a group have
    none that runs.
    """
    for c, row in enumerate(v.x):
        if v.copies.level(c) is None:
            continue
        own = v.own(c)
        for d, x in row.items():
            run = v.run[c].get(d)
            if run is None:
                v.add(x + own <= 1)
                continue
            v.add(run <= x)
            v.add(run >= x + own - 1)
        v.add(pulp.lpSum(v.run[c].values()) == own)


def copies_stand_for_others(v: Variables) -> None:
    """|x[c,d] - x[e,d]| <= 1 - stands(e,c);  e_c >= e_e - M (1 - stands(e,c)).

    A task whose block is shared sees it where the first task of its group has it, and not before it is done: so tensors
    of a task go from copy to copy of the task itself. That it does not see it later costs nothing. Without it a task
    could read what nobody has computed.
    """
    for c in range(v.view.n):
        for e, stands in v.stands_for(c):
            for d in sorted(set(v.x[c]) | set(v.x[e])):
                here, there = v.x[c].get(d, 0), v.x[e].get(d, 0)
                v.add(here - there <= 1 - stands)
                v.add(there - here <= 1 - stands)
            v.add(v.end[c] >= v.end[e] - _room(v, e, v.end[c]) * (1 - stands))


def _room(v: Variables, before: int, moment: pulp.LpVariable) -> float:
    """M: by how much the end of a copy may exceed a moment."""
    return max(0.0, float(v.end[before].upBound) - float(moment.lowBound))


def calls_last(v: Variables) -> None:
    """e_c >= s_c + sum_d t[c,d] run[c,d];  e_c >= s_c + sum_d x[c,d] min over copies e that may stand for c of t[e,d].

    Without the first one calls would take no time; the second is redundant, and gives copies that are not there a
    length in the relaxation.
    """
    least = v.copies.least(v.work)
    for c, row in enumerate(v.x):
        v.add(v.end[c] >= v.start[c] + pulp.lpSum(v.scaled(v.work[c, d]) * r for d, r in v.run[c].items()))
        if v.copies.level(c) is not None:
            v.add(v.end[c] >= v.start[c] + pulp.lpSum(v.scaled(least[c, d]) * x for d, x in row.items()))


def devices_run_one_call_a_slot(v: Variables) -> None:
    """before(c,f) + before(f,c) >= run[c,d] + run[f,d] - 1;  s_f >= e_c - M (1 - before(c,f)).

    Disjunctive constraints (Manne 1960), for two copies of which neither has to wait for the other. With several slots
    run[.,d] is assigned to one of them: sum_q slot[c,d,q] = run[c,d]. Without it a device would run any number of calls
    at once.
    """
    places = [_slots_of(v, c) for c in range(v.view.n)]
    for c, f in combinations(range(v.view.n), 2):
        common = [place for place in places[c] if place in places[f]]
        if not common or v.precedes(c, f) or v.precedes(f, c):
            continue
        first, second = v.flag(f"before_{c}_{f}"), v.flag(f"before_{f}_{c}")
        v.add(first + second <= 1)
        for place in common:
            v.add(first + second >= places[c][place] + places[f][place] - 1)
        for a, b, order in ((c, f, first), (f, c, second)):
            v.add(v.start[b] >= v.end[a] - _room(v, a, v.start[b]) * (1 - order))


def _slots_of(v: Variables, c: int) -> dict[tuple[int, int], Linear]:
    """1 if a copy runs in a slot, by (device, slot), of devices with fewer slots than copies."""
    found: dict[tuple[int, int], Linear] = {}
    for d, run in v.run[c].items():
        slots = int(v.view.slots[d])
        if slots == 1:
            found[d, 0] = run
        elif slots < v.view.n:
            row = {(d, q): v.flag(f"slot_{c}_{d}_{q}") for q in range(slots)}
            v.add(pulp.lpSum(row.values()) == run)
            found.update(row)
    return found


def products_of_placements(v: Variables) -> None:
    """sum_b both[i,j][a,b] = x[i,a];  sum_a both[i,j][a,b] = x[j,b], over pairs with routes for all that j reads of i.

    Products of assignments (Adams and Johnson 1994). Without it it would not be known which way tensors go; it forbids
    placements without a route.
    """
    for k, readers in enumerate(v.view.readers):
        i = int(v.view.source[k])
        for j in readers if i >= 0 else ():
            if (i, j) in v.both:
                continue
            tensors = [q for q in v.view.outputs[i] if j in v.view.readers[q]]
            ways = v.both[i, j] = {
                (a, b): v.share(f"both_{i}_{j}_{a}_{b}")
                for a in v.x[i]
                for b in v.x[j]
                if all(math.isfinite(v.move(q, a, b)) for q in tensors)
            }
            for a, x in v.x[i].items():
                v.add(pulp.lpSum(way for (source, _), way in ways.items() if source == a) == x)
            for b, x in v.x[j].items():
                v.add(pulp.lpSum(way for (_, target), way in ways.items() if target == b) == x)


def readers_wait_for_tensors(v: Variables) -> None:
    """s_j >= e_i + sum_(a,b) w[k,a,b] both[i,j][a,b]; inputs: s_j >= release of k + sum_b w[k,m,b] x[j,b].

    Without it layers would compute before their inputs are there.
    """
    for k, readers in enumerate(v.view.readers):
        i = int(v.view.source[k])
        for j in readers:
            if i >= 0:
                way = pulp.lpSum(v.move(k, a, b) * use for (a, b), use in v.both[i, j].items())
                v.add(v.start[j] >= v.end[i] + way)
            elif v.view.host:
                times = {b: v.move(k, v.view.m, b) for b in v.x[j]}
                for b in (b for b, time in times.items() if math.isinf(time)):
                    v.add(v.x[j][b] <= 0)
                way = pulp.lpSum(w * v.x[j][b] for b, w in times.items() if math.isfinite(w))
                v.add(v.start[j] >= v.scaled(v.view.tensor_release[k]) + way)


def outputs_go_to_host(v: Variables) -> None:
    """C >= e_i;  C >= e_i + sum_a w[k,a,m] x[i,a] for outputs k of i, if there is a host.

    Without it plans would end before their results are there.
    """
    for i in range(v.view.n):
        v.add(v.makespan >= v.end[i])
        for k in v.view.outputs[i]:
            if not (v.view.output[k] and v.view.host):
                continue
            times = {a: v.move(k, a, v.view.m) for a in v.x[i]}
            for a in (a for a, time in times.items() if math.isinf(time)):
                v.add(v.x[i][a] <= 0)
            v.add(
                v.makespan
                >= v.end[i] + pulp.lpSum(w * v.x[i][a] for a, w in times.items() if math.isfinite(w))
            )


def paths_bound_times(v: Variables) -> None:
    """s_c >= sum_d head[c,d] x[c,d];  C >= e_c + sum_d tail[c,d] x[c,d].

    Redundant: heads and tails of the communication-aware critical path, each copy with the least time of those that may
    stand for it. Releases are part of heads, and bounds of s_c.
    """
    for c, row in enumerate(v.x):
        v.add(v.start[c] >= pulp.lpSum(v.scaled(v.heads[c, d]) * x for d, x in row.items()))
        v.add(v.makespan >= v.end[c] + pulp.lpSum(v.scaled(v.tails[c, d]) * x for d, x in row.items()))


def makespan_covers_load(v: Variables) -> None:
    """slots[d] C >= sum_c t[c,d] run[c,d].

    Redundant; it gives the relaxation what disjunctions do not.
    """
    for d in range(v.view.m):
        calls = [v.scaled(v.work[c, d]) * row[d] for c, row in enumerate(v.run) if d in row]
        if int(v.view.slots[d]) < len(calls):
            v.add(int(v.view.slots[d]) * v.makespan >= pulp.lpSum(calls))


def weights_fit(v: Variables) -> None:
    """sum_c bytes_c run[c,d] <= weight capacity of d, and over the devices of a memory <= its bytes.

    Where memory counts and weights stay. Without it plans would hold more weights than there is room for.
    """
    view = v.view
    if view.execution.memory == "none" or (view.host and view.execution.weights == "streamed"):
        return
    rows = [([d], float(view.weight_capacity[d])) for d in range(view.m)]
    rows += [
        ([int(d) for d in np.flatnonzero(view.memory_of == memory)], capacity)
        for memory, capacity in enumerate(view.capacity.tolist())
    ]
    for devices, capacity in rows:
        terms = [
            float(view.weight_bytes[c]) / v.byte * row[d]
            for c, row in enumerate(v.run)
            for d in devices
            if d in row and view.weight_bytes[c] > 0
        ]
        if math.isfinite(capacity) and terms:
            v.add(pulp.lpSum(terms) <= capacity / v.byte)
