"""The objective and the limits of whole plans, as integer sums that never exceed their float value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from dnnplan.costs.judged import Terms as Stage
from dnnplan.costs.mapping import ROUNDING
from dnnplan.costs.objectives import UNITS
from dnnplan.formulations.grouping.cpsat.objective import weighted as weighted_graph
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.formulations.integer_sums import Terms, keep_at_most, rounded, unit_of
from dnnplan.formulations.whole.cpsat.variables import Variables

Price: TypeAlias = Callable[[int, int], float]
"""What a byte from one end to another adds."""


def set_objective(v: Variables) -> None:
    """Minimise the first stage; keep the limits, and the values of stages that came before."""
    for name, limit in v.problem.limits.items():
        if name == "deadline":
            latest = max((job.release for job in v.original.jobs), default=0.0) + limit
            v.model.add(v.makespan <= math.floor(latest / v.tick * (1 + 1e-6)))
    rows = [(terms, limit) for terms, limit in limits_of(v.problem) if terms[0][0] != "deadline"]
    for terms, limit in rows:
        parts, constant = weighted(v, terms)
        keep_at_most(v.model, parts, limit - constant)
    parts, v.constant = weighted(v, v.problem.stages[0])
    if len(parts) == 1 and parts[0][0] > 0:
        v.unit = parts[0][0]
        v.model.minimize(parts[0][1])
    else:
        v.unit = unit_of(parts)
        v.model.minimize(rounded(parts, v.unit))


def weighted(v: Variables, stage: Stage) -> tuple[Terms, float]:
    """A weighted sum of measures of task graph and mapping: its terms, and a constant."""
    graph = tuple((name, weight) for name, weight in stage if name not in UNITS)
    terms, constant = weighted_graph(v.graph, graph) if graph else ([], 0.0)
    for name, weight in stage:
        if name in UNITS:
            terms = [*terms, *((weight * factor, item) for factor, item in measure_of(v, name))]
    return terms, constant


def measure_of(v: Variables, name: str) -> Terms:
    """A measure of the mapping as (coefficient, integer expression >= 0) pairs; made once."""
    if ("terms of " + name, 0) not in v.extra:
        known: dict[str, Callable[[], Terms]] = {
            "latency": lambda: [(v.tick, v.makespan)],
            "energy": lambda: energy(v),
            "traffic": lambda: moved(v, lambda a, b: 1.0),
        }
        v.extra["terms of " + name, 0] = known[name]()
    found: Terms = v.extra["terms of " + name, 0]
    return found


def energy(v: Variables) -> Terms:
    """Sum e[c,d] run[c,d] + energy per byte of what moves + idle power x (C - compute) of each device."""
    view = v.view
    terms: Terms = [(float(view.energy[c, d]), run) for c, row in enumerate(v.run) for d, run in row.items()]
    for d in range(view.m):
        power = float(view.idle_power[d])
        if power > 0:
            idle = v.time(f"idle_{d}")
            exact = v.original.duration[:, d] / v.tick * (1 - ROUNDING)
            busy = sum(math.ceil(exact[c]) * row[d] for c, row in enumerate(v.run) if d in row)
            v.model.add(idle >= v.makespan - busy)
            terms.append((power * v.tick, idle))
    per_byte = view.routes.energy_per_byte
    if per_byte.any():
        terms += moved(v, lambda a, b: float(per_byte[a, b]))
    return [(factor, item) for factor, item in terms if factor > 0]


def moved(v: Variables, price: Price) -> Terms:
    """Bytes of every tensor that moves times price(from, to), and of weights that are loaded.

    taken[k,a,b] >= p[k,b] + x[i,a] + own(i) - 2: once for each device, by the copy that is there.
    """
    view, terms = v.view, []
    for send in v.sends.values():
        k, b = send.tensor, send.device
        i = int(view.source[k])
        own = v.own(i) if i >= 0 else None
        sources = v.x[i] if i >= 0 else {view.m: None}
        for a, at in sources.items():
            cost = float(view.size[k]) * price(a, b)
            if a == b or cost <= 0 or view.is_free(k, a, b):
                continue
            taken = v.flag(f"taken_{k}_{a}_{b}")
            absent = [~literal for literal in (at, own) if literal is not None]
            v.model.add_bool_or([taken, ~send.needed, *absent])
            terms.append((cost, taken))
    return [*terms, *_loaded(v, price)]


def _loaded(v: Variables, price: Price) -> Terms:
    """Bytes of the weights that calls load times price(host, to)."""
    view, terms = v.view, []
    if not view.host or not (v.pins or view.execution.weights == "streamed"):
        return []
    for c, row in enumerate(v.run):
        for d, run in row.items():
            cost = float(view.weight_bytes[c]) * price(view.m, d)
            if cost > 0:
                terms.append((cost, v.extra["loads", c * view.m + d] if v.pins else run))
    return terms
