"""Rows that hold because a device runs, and a channel serves, a limited number of things at a time."""

from __future__ import annotations

import numpy as np

from dnnplan.formulations.mapping.bounds.linear import as_terms
from dnnplan.formulations.mapping.bounds.relaxation import Relaxation, Terms, scaled


def add_loads(r: Relaxation) -> None:
    """slots(d) C >= work on d; C >= work of a channel where transfers contend."""
    problem, unit = r.problem, r.unit
    busy: list[Terms] = [[] for _ in range(problem.m)]
    for d in range(problem.m):
        seconds = np.where(np.isfinite(problem.duration[:, d]), problem.duration[:, d], 0.0)
        busy[d] += scaled(as_terms(r.x[:, d], seconds), -1 / unit)
    for (_, d), terms in r.loading.items():
        busy[d] += scaled(terms, -1.0)
    served: dict[int, Terms] = {}
    for move in r.moves:
        if move.seconds <= 0:
            continue
        if move.device >= 0:
            busy[move.device] += scaled(move.terms, -move.seconds / unit)
        if move.channel >= 0:
            served.setdefault(move.channel, []).extend(scaled(move.terms, -move.seconds / unit))
    for d, terms in enumerate(busy):
        if terms and problem.slots[d] < problem.n:
            r.row([(r.makespan, float(problem.slots[d])), *terms])
    if problem.execution.contention == "links":
        for terms in served.values():
            r.row([(r.makespan, 1.0), *terms])
