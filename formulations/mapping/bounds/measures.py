"""What a point of the relaxation costs, as terms of its programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.formulations.mapping.bounds.bound import LIMIT_TOLERANCE
from dnnplan.formulations.mapping.bounds.linear import as_terms
from dnnplan.formulations.mapping.bounds.relaxation import Relaxation, Terms, scaled


@dataclass(frozen=True, eq=False)
class Measures:
    """Terms of each measure, by its name: seconds, joules, bytes."""

    by_name: dict[str, Terms]


def add_measures(r: Relaxation) -> Measures:
    """Terms of the measures: latency = C; traffic = bytes of all moves; energy = compute + moves + idle.

    Idle time of a device: ``I(d) >= C - sum_i t(i,d) x(i,d)`` and ``I(d) >= 0``. Limits on these measures become rows.
    """
    problem = r.problem
    traffic: Terms = []
    energy: Terms = []
    for i in range(problem.n):
        joules = np.where(r.x[i] >= 0, problem.energy[i], 0.0)
        energy += as_terms(r.x[i], joules)
    for move in r.moves:
        traffic += scaled(move.terms, move.bytes)
        energy += scaled(move.terms, move.joules) if move.joules else []
    latency: Terms = []
    if r.makespan >= 0:
        latency = [(r.makespan, r.unit)]
        energy += _idle(r)
    measures = Measures({"latency": latency, "energy": energy, "traffic": traffic})
    _add_limits(r, measures)
    return measures


def _idle(r: Relaxation) -> Terms:
    problem, terms = r.problem, []
    for d in np.flatnonzero(problem.idle_power > 0).tolist():
        seconds = np.where(np.isfinite(problem.duration[:, d]), problem.duration[:, d], 0.0) / r.unit
        idle = r.program.variable(0.0, 1.0)
        r.row([(idle, 1.0), (r.makespan, -1.0), *as_terms(r.x[:, d], seconds)])
        terms.append((idle, float(problem.idle_power[d]) * r.unit))
    return terms


def _add_limits(r: Relaxation, measures: Measures) -> None:
    for name, terms in measures.by_name.items():
        limit = r.problem.limits.get(name)
        if limit is not None and limit > 0 and terms:
            r.row(scaled(terms, -1 / limit), -1.0 - LIMIT_TOLERANCE)
