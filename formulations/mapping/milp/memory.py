"""Memory: pinned weights, and what is resident at every moment (docs/cost-model.md, 4.3 and 5).

What is resident begins when a call starts or a transfer begins. So it is enough to count at these *events*:
an item counts at an event if it began before it (or with it) and is not over. Moments are half-open.
"""

from __future__ import annotations

import math
from itertools import combinations

import pulp

from dnnplan.formulations.mapping.milp.residency import Event, Lifetime, Residency, residency_of
from dnnplan.formulations.mapping.milp.variables import Linear, Variables
from dnnplan.formulations.mapping.milp.windows import LIMIT_TOLERANCE


def weights_fit(v: Variables) -> None:
    """sum_w bytes_w pin[w,d] <= weight capacity of d; over the devices of one memory <= its bytes.

    pin[w,d] >= x[i,d] for the layers i of w where all weights in use are pinned; where they are a choice
    pin[w,d] <= sum_i x[i,d], since pinning what is not used only costs. Without it, plans would pin more
    than memories hold.
    """
    problem = v.problem
    if v.pins_are_free:
        return
    if not problem.host or problem.execution.weights == "resident":
        for i in range(problem.n):
            for d, x in v.x[i].items() if problem.weight_bytes[i] > 0 else ():
                w = int(problem.weight_of[i])
                if (w, d) not in v.pin:
                    v.pin[w, d] = v.share(f"pin_{w}_{d}")
                v.add(v.pin[w, d] >= x)
    for w, d in v.pin:
        users = [v.x[i][d] for i in range(problem.n) if problem.weight_of[i] == w and d in v.x[i]]
        v.add(v.pin[w, d] <= pulp.lpSum(users))
    if problem.execution.memory == "none":
        return
    for d in range(problem.m):
        _knapsack(v, {d}, float(problem.weight_capacity[d]))
    for memory, capacity in enumerate(problem.capacity.tolist()):
        _knapsack(v, {d for d in range(problem.m) if problem.memory_of[d] == memory}, capacity)


def _knapsack(v: Variables, devices: set[int], capacity: float) -> None:
    terms = _pinned(v, devices)
    if terms and math.isfinite(capacity):
        v.add(pulp.lpSum(terms) <= capacity / v.byte)


def _pinned(v: Variables, devices: set[int]) -> list[Linear]:
    size = {
        int(w): float(b) / v.byte for w, b in zip(v.problem.weight_of, v.problem.weight_bytes, strict=True)
    }
    return [size[w] * pin for (w, d), pin in v.pin.items() if d in devices and size[w] > 0]


def memories_hold_what_is_resident(v: Variables) -> None:
    """At every event, for every memory: pinned weights + what is resident <= its bytes.

    (docs/cost-model.md, 5, ``live``; also for a limit of ``memory``.) Without it plans would need more
    memory than there is.
    """
    problem = v.problem
    if not v.live:
        return
    capacity = [math.inf] * len(problem.memory_names)
    if problem.execution.memory == "live":
        capacity = problem.capacity.tolist()
    if "memory" in problem.limits:
        capacity = [min(c, problem.limits["memory"] * (1 + LIMIT_TOLERANCE)) for c in capacity]
    for memory, peak in enumerate(_peaks(v, {m for m, c in enumerate(capacity) if math.isfinite(c)})):
        for level in peak:
            v.add(level <= capacity[memory] / v.byte)


def peaks_are_at_most(v: Variables) -> pulp.LpVariable:
    """P >= pinned weights + what is resident, at every event, for every memory; returns P (scaled bytes)."""
    top = v.model.add_variable("peak", 0)
    for peak in _peaks(v, set(range(len(v.problem.memory_names)))):
        for level in peak:
            v.add(top >= level)
    return top


def _peaks(v: Variables, memories: set[int]) -> list[list[Linear]]:
    """Scaled bytes in use at every event, by memory; nothing for memories that are not asked for."""
    residency = residency_of(v)
    levels: list[list[Linear]] = []
    for memory in range(len(v.problem.memory_names)):
        if memory not in memories:
            levels.append([])
            continue
        devices = {d for d in range(v.problem.m) if v.problem.memory_of[d] == memory}
        base = pulp.lpSum(_pinned(v, devices))
        levels.append([base] + [base + _level(v, residency, memory, event) for event in residency.events])
    return levels


def _level(v: Variables, residency: Residency, memory: int, event: Event) -> Linear:
    """Sum of bytes * here, where here >= first[u, v] - gone[a, v] + present - 1: begun and not over."""
    v.pause()
    terms = []
    for life in residency.lifetimes:
        items = [item for item in life.items if item[0] == memory]
        if not items:
            continue
        begun = _first(v, residency, life.event, event)
        if begun is None or (life.event is not event and _surely_over(v, life, event)):
            continue
        gone: Linear = 0 if life.event is event else _gone(v, residency, life, event)
        for _, size, present in items:
            if life.event is event:
                terms.append(size * present)
                continue
            here = v.share(f"here_{v.next_number()}")
            v.add(here >= begun - gone + present - 1)
            terms.append(size * here)
    return pulp.lpSum(terms)


def _first(v: Variables, residency: Residency, u: Event, w: Event) -> Linear | None:
    """first[u, w]: 1 if event u is not after w; None if it is always after it."""
    if u is w:
        return 1
    if _follows(v, u, w):
        return 1
    if _follows(v, w, u):
        return None
    if (u.number, w.number) not in residency.first:
        flag = v.flag(f"first_{u.number}_{w.number}")
        v.add(w.time >= u.time - v.horizon * (1 - flag))
        v.add(u.time >= w.time - v.horizon * flag)
        residency.first[u.number, w.number] = flag
        residency.first[w.number, u.number] = 1 - flag
    return residency.first[u.number, w.number]


def _follows(v: Variables, u: Event, w: Event) -> bool:
    """Whether w is surely not before u."""
    if u.move is None and w.move is None:
        return v.precedes(u.layer, w.layer)
    if u.move is None:
        assert w.move is not None
        p = w.move.after
        return p >= 0 and (p == u.layer or v.precedes(u.layer, p))
    return (
        u.move.layer >= 0
        and w.move is None
        and (u.move.layer == w.layer or v.precedes(u.move.layer, w.layer))
    )


def _surely_over(v: Variables, life: Lifetime, event: Event) -> bool:
    """Whether all that ends it lies before the event: calls of layers that precede it."""
    layer = event.layer if event.move is None else event.move.after
    for end, _ in life.ends:
        if not isinstance(end, int) or layer < 0:
            return False
        if not (v.precedes(end, layer) or (event.move is not None and end == layer)):
            return False
    return True


def _gone(v: Variables, residency: Residency, life: Lifetime, event: Event) -> pulp.LpVariable:
    """gone[a, v] = 1 only if the time of v >= over of a."""
    key = (life.number, event.number)
    if key not in residency.gone:
        flag = v.flag(f"gone_{key[0]}_{key[1]}")
        v.add(event.time >= life.over - v.horizon * (1 - flag))
        residency.gone[key] = flag
    return residency.gone[key]


def events_are_ordered(v: Variables) -> None:
    """first[a,b] + first[b,c] + first[c,a] <= 2 for any three events.

    Without it three events of the same moment could each be counted without one of the others.
    """
    if v.residency is None:
        return
    residency: Residency = v.residency
    for a, b, c in combinations(residency.events, 3):
        v.pause()
        for x, y, z in ((a, b, c), (a, c, b)):
            pairs = [(x, y), (y, z), (z, x)]
            known = [residency.first.get((f.number, g.number)) for f, g in pairs]
            if sum(k is None for k in known) > 1:
                continue
            terms: list[Linear] = []
            for (f, g), k in zip(pairs, known, strict=True):
                terms.append(k if k is not None else int(_follows(v, f, g)))
            v.add(pulp.lpSum(terms) <= 2)
