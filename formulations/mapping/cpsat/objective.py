"""The objective and the limits, as integer linear expressions that never exceed their float value."""

from __future__ import annotations

import math
from collections.abc import Callable

from dnnplan.costs.mapping import ROUNDING
from dnnplan.costs.objectives import UNITS
from dnnplan.formulations.integer_sums import Terms, keep_at_most, largest_sum, rounded, unit_of
from dnnplan.formulations.mapping.cpsat.loads import is_needed_elsewhere, largest_load
from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Move, Variables
from dnnplan.instances import UnsupportedError

OBJECTIVES = tuple(UNITS)
FACTOR_BITS, PRODUCT_BITS = 24, 46
"""Bits of the energy in a product of energy and time, and of the product."""


def set_objective(v: Variables) -> None:
    """Minimise the first stage; keep the limits, and the values of stages that came before.

    Every term is (coefficient, variable) with coefficients in the objective's unit; they are rounded down to
    multiples of `v.unit`, so that the integer objective times the unit is at most the float one.
    """
    if unknown := {name for name, _ in v.problem.stages[0]} - set(OBJECTIVES):
        raise UnsupportedError(f"the CP-SAT formulation does not cover the objective {sorted(unknown)[0]}")
    for name, limit in v.problem.limits.items():
        if name == "deadline":
            for job, completion in zip(v.problem.jobs, v.completion, strict=True):
                v.model.add(completion <= math.floor(job.release + limit / v.tick + 1))
        elif name == "switches":
            jobs_change_devices_at_most(v, int(limit))
        elif name in OBJECTIVES and name != "memory":
            keep_at_most(v.model, expression(v, name), limit)
    for earlier, value in v.problem.sums_at_most:
        keep_at_most(v.model, weighted(v, earlier), value)
    stage = v.problem.stages[0]
    if stage == (("latency", 1.0),):
        v.unit = v.tick
        v.model.minimize(v.makespan)
        return
    terms = weighted(v, stage)
    if len(terms) == 1 and terms[0][0] > 0:
        v.unit = terms[0][0]
        v.model.minimize(terms[0][1])
        return
    v.unit = unit_of(terms)
    v.model.minimize(rounded(terms, v.unit))


def weighted(v: Variables, stage: tuple[tuple[str, float], ...]) -> Terms:
    """A weighted sum of objectives as one list of terms."""
    return [(weight * factor, item) for name, weight in stage for factor, item in expression(v, name)]


def jobs_change_devices_at_most(v: Variables, limit: int) -> None:
    """Sum over tensors k of the job and devices b of y[k,b] <= limit;  y[k,b] >= x[j,b] - x[i,b] for readers j of k.

    Changes of device (docs/cost-model.md, 6): tensors times devices that read them and did not make them.
    """
    changes: dict[int, list[BoolVar]] = {}
    for k in range(len(v.problem.tensors)):
        i = int(v.problem.source[k])
        for b in v.devices_of(v.problem.readers[k]) if i >= 0 else ():
            changes.setdefault(int(v.problem.job_of[i]), []).append(is_needed_elsewhere(v, k, b))
    for flags in changes.values():
        v.model.add(sum(flags) <= limit)


def expression(v: Variables, name: str) -> Terms:
    """An objective as (coefficient, integer expression >= 0) pairs; coefficients are >= 0. Built once a model."""
    key = (f"terms of {name}", 0)
    if key not in v.extra:
        v.extra[key] = _expression(v, name)
    found: Terms = v.extra[key]
    return found


def _expression(v: Variables, name: str) -> Terms:
    known: dict[str, Callable[[], Terms]] = {
        "latency": lambda: [(v.tick, v.makespan)],
        "energy": lambda: _energy(v),
        "edp": lambda: _product(v),
        "traffic": lambda: _moved(v, lambda a, b: 1.0),
        "max_load": lambda: [(v.tick, largest_load(v))],
        "memory": lambda: [(1.0, v.extra["memory", 0])],
    }
    if name in known:
        return known[name]()
    terms: Terms = []
    for job, completion in zip(v.problem.jobs, v.completion, strict=True):
        due = job.release if name == "weighted_completion" else job.due
        if due is not None:
            late = v.time("")
            v.model.add(late >= completion - math.ceil(due))
            terms.append((v.tick * job.weight, late))
    return terms


def _product(v: Variables) -> Terms:
    """The energy-delay product: energy rounded down to whole steps, times C. Exact for the rounded model.

    Both factors are rounded down to `FACTOR_BITS`, so that products are far from overflow.
    """
    steps_of_time = 2.0 ** (PRODUCT_BITS - FACTOR_BITS)
    time, coarse = v.makespan, max(1, math.ceil(v.horizon / steps_of_time))
    if coarse > 1:
        time = v.model.new_int_var(0, v.horizon // coarse, "periods")
        v.model.add(coarse * time >= v.makespan - (coarse - 1))
    terms = _energy(v)
    largest = largest_sum(terms)
    unit = unit_of(terms, 2.0**FACTOR_BITS)
    most = max(1, math.ceil(largest / unit))
    steps = v.model.new_int_var(0, most, "steps_of_energy")
    v.model.add(steps >= rounded(terms, unit))
    product = v.model.new_int_var(0, most * (v.horizon // coarse + 1), "edp")
    v.model.add_multiplication_equality(product, [steps, time])
    return [(unit * coarse * v.tick, product)]


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
        flags = []
        for a, b, literals in routes:
            cost = size * price(a, b)
            if a != b and cost > 0 and not problem.is_free(move.tensor, a, b):
                taken = v.flag("")
                v.model.add_bool_or([taken, ~move.present, *(~lit for lit in literals)])
                terms.append((cost, taken))
                flags.append(taken)
        if len(flags) == len([a for a, b, _ in routes if a != b]):
            # One of the routes is taken: follows, and tells the linear relaxation.
            v.model.add_bool_or([~move.present, *flags])
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
