"""Lower bounds on the cycle that need no search; the hyperperiod divided by one bounds the rate from above."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.periodic import PeriodicProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import SAFETY, Bound, heads_and_tails, load_bound

MOST_WINDOWS = 24
"""Windows whose load is worth a linear programme."""
MOST_MOMENTS = 100
"""Different releases up to which windows are looked at; there are as many as their square."""


def cycle_bound(problem: PeriodicProblem) -> Bound:
    """The best of load, critical path and load of windows; infinite where some deadline cannot be met at any rate."""
    load = load_bound(problem.mapping)
    bounds = [load, path_bound(problem)]
    if math.isfinite(bounds[1].value):
        bounds.append(window_bound(problem, max(b.value for b in bounds)))
    return max(bounds, key=lambda bound: bound.value)


def job_paths(problem: PeriodicProblem) -> FloatArray:
    """(jobs,) least seconds from release to completion, if the job were alone: communication-aware critical path."""
    view = problem.mapping
    calm = dataclasses.replace(
        view, release=np.zeros_like(view.release), tensor_release=np.zeros_like(view.tensor_release)
    )
    heads, tails = heads_and_tails(calm)
    through = (heads + view.duration + tails).min(axis=1)
    return np.array([through[list(layers)].max(initial=0.0) for layers in problem.layers_of_job])


def path_bound(problem: PeriodicProblem) -> Bound:
    """Max over jobs of path / (share of the cycle from release to deadline); infinite if D < path for a fixed D.

    *Proof.* The job takes at least its path, and has (delta - rho) L + D for it.
    """
    value = 0.0
    for share, due, path in zip(problem.release, problem.due, job_paths(problem).tolist(), strict=True):
        if due is None:
            continue
        room, needed = float(due.share - share), path * (1 - SAFETY) - due.seconds
        if needed > 0:
            value = max(value, needed / room if room > 0 else math.inf)
    return Bound(value * (1 - SAFETY), "critical path within a deadline")


def window_bound(problem: PeriodicProblem, known: float) -> Bound:
    """Max over windows [a L, b L] of load(jobs released and due within) / (b - a).

    *Proof.* Those jobs run within the window in every cycle; in (b - a) L seconds a device of P slots computes
    P (b - a) L. Only jobs whose deadline is a share of the cycle count. Windows that cannot beat `known` are skipped.
    """
    if len({*problem.release}) > MOST_MOMENTS:
        return Bound(0.0, "load within a window")
    spans = [
        (share + shift, due.share + shift, job)
        for job, (share, due) in enumerate(zip(problem.release, problem.due, strict=True))
        if due is not None and due.seconds == 0
        for shift in (0, 1)
    ]
    view = problem.mapping
    least = view.duration.min(axis=1)
    work = [float(least[list(layers)].sum()) for layers in problem.layers_of_job]
    windows: list[tuple[float, Fraction, tuple[int, ...]]] = []
    for a in sorted({a for a, _, _ in spans if a < 1}):
        for b in sorted({b for _, b, _ in spans if a < b < a + 1}):
            jobs = tuple(job for begin, end, job in spans if a <= begin and end <= b)
            windows.append((sum(work[job] for job in jobs) / float(b - a), b - a, jobs))
    windows.sort(key=lambda window: (-window[0], window[1], window[2]))
    value = 0.0
    for densest, width, jobs in windows[:MOST_WINDOWS]:
        # Work on the fastest devices, all on one device, is more than the load of that window can be.
        if densest > max(known, value):
            load = load_bound(_part(view, [i for job in jobs for i in problem.layers_of_job[job]]))
            value = max(value, load.value / float(width))
    return Bound(value * (1 - SAFETY), "load within a window")


def _part(view: MappingProblem, layers: list[int]) -> MappingProblem:
    """The view with the durations of some layers only, as `load_bound` reads it."""
    keep = np.zeros(view.n, dtype=bool)
    keep[layers] = True
    return dataclasses.replace(view, duration=np.where(keep[:, None], view.duration, 0.0))
