"""Constraints of the load MILP, one function each.

Symbols: groups g, h; devices a, d; tensor k of group s(k) with readers R(k); x(g,d) = 1: g runs on d; r(k,d), o(k,d):
d receives k, d sends k away.
"""

from __future__ import annotations

import math

import numpy as np
import pulp

from dnnplan.formulations.mapping.load.variables import NEGLIGIBLE, Linear, Variables


def one_device_each(v: Variables) -> None:
    """Sum over d of x(g,d) = 1."""
    for row in v.x:
        v.model += pulp.lpSum(row.values()) == 1


def readers_receive(v: Variables) -> None:
    """r(k,d) >= x(h,d) - x(s(k),d) for h in R(k); r(k,d) >= x(h,d) for inputs.

    Where the time depends on the sender, a flow: sum over a of f(k,a,d) >= x(h,d), f(k,a,d) <= x(s(k),a), and
    f(k,d,d) is free. Moves without a route are ruled out.
    """
    loads = v.loads
    for k, readers in enumerate(loads.readers):
        source = int(loads.source[k])
        for d in range(loads.m):
            column = loads.receive[k, :, d]
            if source < 0:
                cost = float(column[loads.m])
                _receive(v, k, d, cost, [(v.on(h, d), 0) for h in readers])
                continue
            others = [float(column[a]) for a in v.x[source] if a != d]
            if not others:
                continue
            if max(others) == min(others):
                _receive(v, k, d, others[0], [(v.on(h, d), v.on(source, d)) for h in readers])
            else:
                _receive_from(v, k, d)


def _receive(v: Variables, k: int, d: int, cost: float, pairs: list[tuple[Linear, Linear]]) -> None:
    if cost <= NEGLIGIBLE * v.cutoff:
        return
    if cost > v.cutoff:
        for reader, home in pairs:
            if not (isinstance(reader, int) and isinstance(home, int)):
                v.model += reader - home <= 0
        return
    received = v.receives[k, d] = v.model.add_variable(f"r_{k}_{d}", 0, 1)
    v.moves[d].append((cost / v.cutoff, received))
    for reader, home in pairs:
        if not isinstance(reader, int):
            v.model += received >= reader - home


def _receive_from(v: Variables, k: int, d: int) -> None:
    loads = v.loads
    source = int(loads.source[k])
    flows = []
    for a, home in v.x[source].items():
        cost = float(loads.receive[k, a, d])
        if a == d:
            flows.append(home)
        elif cost <= v.cutoff:
            flow = v.receives[k, a * loads.m + d] = v.model.add_variable(f"f_{k}_{a}_{d}", 0, 1)
            v.model += flow <= home
            v.moves[d].append((cost / v.cutoff, flow))
            flows.append(flow)
    for h in loads.readers[k]:
        if d in v.x[h]:
            v.model += pulp.lpSum(flows) >= v.x[h][d]


def writers_send(v: Variables) -> None:
    """o(k,d) >= x(s(k),d) - x(h,d) for h in R(k); an output is sent in any case: o(k,d) = x(s(k),d)."""
    loads = v.loads
    for k, readers in enumerate(loads.readers):
        source = int(loads.source[k])
        if source < 0:
            continue
        for d, home in v.x[source].items():
            cost = float(loads.send[k, d])
            if cost <= NEGLIGIBLE * v.cutoff:
                continue
            if loads.always[k]:
                v.moves[d].append((min(cost / v.cutoff, 2.0), home))
                continue
            if cost > v.cutoff:
                for h in readers:
                    v.model += home <= v.on(h, d)
                continue
            sent = v.sends[k, d] = v.model.add_variable(f"o_{k}_{d}", 0, 1)
            v.moves[d].append((cost / v.cutoff, sent))
            for h in readers:
                v.model += sent >= home - v.on(h, d)


def weights_fit(v: Variables) -> None:
    """Sum over weights w of bytes(w) u(w,d) <= capacity, u(w,d) >= x(g,d) for each group g that has w."""
    loads = v.loads
    if not loads.limited:
        return
    owners: dict[int, list[int]] = {}
    for g, row in enumerate(loads.weights):
        for w in row:
            owners.setdefault(w, []).append(g)
    problem = loads.problem
    total = float(loads.weight_bytes.sum())
    used: list[list[tuple[float, Linear]]] = [[] for _ in range(loads.m)]
    shared: list[list[tuple[float, Linear]]] = [[] for _ in problem.memory_names]
    for w, groups in owners.items():
        size = float(loads.weight_bytes[w])
        if size == 0:
            continue
        for d in range(loads.m):
            on = [v.x[g][d] for g in groups if d in v.x[g]]
            if not on:
                continue
            held = on[0]
            if len(on) > 1:
                held = v.model.add_variable(f"u_{w}_{d}", 0, 1)
                for variable in on:
                    v.model += held >= variable
            used[d].append((size, held))
            shared[int(problem.memory_of[d])].append((size, held))
    rooms = [*zip(used, problem.weight_capacity, strict=True), *zip(shared, problem.capacity, strict=True)]
    for terms, room in rooms:
        if terms and math.isfinite(room) and room < total:
            scale = max(float(room), 1.0)
            v.model += pulp.lpSum(size / scale * held for size, held in terms) <= float(room) / scale * (
                1 + 1e-9
            )


def identical_devices_are_used_in_turn(v: Variables) -> None:
    """x(g_i, d_j) = 0 for j > i, with the devices d of a class and the heaviest groups g in a fixed order.

    Of the placements that differ by the names of identical devices one is left: name them in the order in which the
    groups come to them.
    """
    loads = v.loads
    finite = np.where(np.isfinite(loads.work), loads.work, np.inf)
    heaviest = np.argsort(-finite.min(axis=1), kind="stable").tolist()
    for members in loads.classes:
        for rank, g in enumerate(heaviest[: len(members)]):
            for d in members[rank + 1 :]:
                if d in v.x[g]:
                    v.x[g][d].upBound = 0
