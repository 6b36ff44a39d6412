"""The objective and the limits, as integer linear expressions that never exceed their float value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from dnnplan.costs.mapping import ROUNDING
from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Linear, Move, Variables
from dnnplan.instances import UnsupportedError

OBJECTIVES = ("latency", "energy", "traffic", "weighted_completion", "tardiness")
RESOLUTION = 2.0**50
"""Integer steps in the largest sum that an objective can reach; CP-SAT wants sums below 2^63."""
Terms: TypeAlias = list[tuple[float, Linear]]


def set_objective(v: Variables) -> None:
    """Minimise the first stage; keep the limits.

    Every term is (coefficient, variable) with coefficients in the objective's unit; they are rounded down to
    multiples of `v.unit`, so that the integer objective times the unit is at most the float one.
    """
    names = {name for name, _ in v.problem.stages[0]}
    if unknown := names - set(OBJECTIVES):
        raise UnsupportedError(f"the CP-SAT formulation does not cover the objective {sorted(unknown)[0]}")
    for name, limit in v.problem.limits.items():
        if name in OBJECTIVES:
            _limit(v, expression(v, name), limit)
        elif name == "deadline":
            for job, completion in zip(v.problem.jobs, v.completion, strict=True):
                v.model.add(completion <= math.floor(job.release + limit / v.tick + 1))
    stage = v.problem.stages[0]
    if stage == (("latency", 1.0),):
        v.unit = v.tick
        v.model.minimize(v.makespan)
        return
    terms = [(weight * factor, item) for name, weight in stage for factor, item in expression(v, name)]
    v.unit = _unit(v, terms)
    v.model.minimize(_rounded(terms, v.unit))


def expression(v: Variables, name: str) -> Terms:
    """An objective as (coefficient, integer expression >= 0) pairs; coefficients are >= 0."""
    tick = v.tick
    if name == "latency":
        return [(tick, v.makespan)]
    if name == "energy":
        return _energy(v)
    if name == "traffic":
        return _moved(v, lambda a, b: 1.0)
    terms: Terms = []
    for job, completion in zip(v.problem.jobs, v.completion, strict=True):
        if name == "weighted_completion":
            late = v.time("")
            v.model.add(late >= completion - math.ceil(job.release))
            terms.append((tick * job.weight, late))
        elif job.due is not None:
            late = v.time("")
            v.model.add(late >= completion - math.ceil(job.due))
            terms.append((tick * job.weight, late))
    return terms


def _energy(v: Variables) -> Terms:
    """Sum e[i,d] x[i,d] + energy per byte of what moves + idle power x (C - compute) of each device."""
    problem, tick = v.problem, v.tick
    terms: Terms = [(float(problem.energy[i, d]), x) for i, row in enumerate(v.x) for d, x in row.items()]
    for d in range(problem.m):
        power = float(problem.idle_power[d])
        if power > 0:
            idle = v.time(f"idle_{d}")
            exact = v.original.duration[:, d] / tick * (1 - ROUNDING)
            load = sum(math.ceil(exact[i]) * row[d] for i, row in enumerate(v.x) if d in row)
            v.model.add(idle >= v.makespan - load)
            terms.append((power * tick, idle))
    per_byte = problem.routes.energy_per_byte
    if per_byte.any():
        terms += _moved(v, lambda a, b: float(per_byte[a, b]))
    return terms


def _moved(v: Variables, price: Callable[[int, int], float]) -> Terms:
    """Bytes of every transfer times price(from, to); one Boolean for each route that a transfer may take."""
    problem, m = v.problem, v.problem.m
    terms: Terms = []
    for move in v.moves:
        if move.kind == "load":
            routes = [(m, d, (x,)) for d, x in v.x[move.layer].items()]
            size = float(problem.weight_bytes[move.layer])
        elif move.kind == "read":
            routes = [(m, d, (x,)) for d, x in v.x[move.layer].items()]
            size = problem.read_sizes[move.tensor, move.layer]
        else:
            routes = _sends(v, move)
            size = float(problem.size[move.tensor])
        for a, b, literals in routes:
            cost = size * price(a, b)
            if a != b and cost > 0 and not problem.is_free(move.tensor, a, b):
                taken = v.flag("")
                v.model.add_bool_or([taken, ~move.present, *(~lit for lit in literals)])
                terms.append((cost, taken))
    return terms


def _sends(v: Variables, move: Move) -> list[tuple[int, int, tuple[BoolVar, ...]]]:
    problem, m = v.problem, v.problem.m
    source = int(problem.source[move.tensor])
    senders = dict(v.x[source]) if source >= 0 else {m: None}
    receivers = {move.device: None} if move.device >= 0 else dict(v.x[move.layer])
    return [
        (a, b, tuple(lit for lit in (at, reads) if lit is not None))
        for a, at in senders.items()
        for b, reads in receivers.items()
    ]


def _unit(v: Variables, terms: Terms) -> float:
    """A unit in which the largest possible sum stays far below 2^63 and errors stay below any gap of interest."""
    largest = sum(factor * (v.horizon if _is_time(item) else 1) for factor, item in terms)
    return largest / RESOLUTION if largest > 0 else 1.0


def _is_time(item: Linear) -> bool:
    return int(list(item.proto.domain)[-1]) > 1


def _rounded(terms: Terms, unit: float) -> Linear:
    return sum(math.floor(factor / unit) * item for factor, item in terms)


def _limit(v: Variables, terms: Terms, limit: float) -> None:
    unit = _unit(v, terms)
    v.model.add(_rounded(terms, unit) <= math.floor(limit / unit * (1 + 1e-9)) + 1)
