"""Variables of the periodic CP-SAT model."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.costs.periodic import Due, PeriodicProblem
from dnnplan.costs.rounding import rounded_down

LARGEST_DENOMINATOR = 10_000
"""Shares of the cycle with larger denominators are rounded, so that sums stay within 64 bits."""


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    problem, original
        The view in ticks, and the one in seconds.
    cycle
        L: ticks until everything repeats.
    x
        x[i][d] = 1: layer i runs on device d; only devices that can run it.
    start
        s[i]: ticks after the begin of the cycle in which its job is released; None for jobs without deadline.
    within
        v[i] in [0, L]: where in the cycle it starts, v[i] = s[i] - k L.
    crossings
        Largest k of each job, 0 if it always ends in its own cycle.
    duration
        Ticks of layer i, a linear expression of x.
    """

    problem: PeriodicProblem
    original: PeriodicProblem
    model: cp_model.CpModel
    shortest: int
    longest: int
    cycle: cp_model.IntVar
    x: list[dict[int, cp_model.IntVar]]
    start: list[cp_model.IntVar | None]
    within: list[cp_model.IntVar]
    crossings: list[int]
    duration: list[cp_model.LinearExprT] = field(default_factory=list)

    @property
    def tick(self) -> float:
        """Seconds in a tick."""
        return self.problem.mapping.tick or 1.0

    def ticks(self, layer: int, device: int) -> int:
        """Ticks of a layer on a device."""
        return int(self.problem.mapping.duration[layer, device])

    def release(self, job: int) -> Fraction:
        """Share of the cycle at which a job is released, rounded down if need be."""
        share = self.problem.release[job]
        if share.denominator <= LARGEST_DENOMINATOR:
            return share
        return Fraction(math.floor(share * LARGEST_DENOMINATOR), LARGEST_DENOMINATOR)

    def due(self, job: int) -> tuple[Fraction, int] | None:
        """(share of the cycle, ticks) by which a job must be done, rounded up; None: whenever.

        Ticks are stretched as the shortest cycle is when it is rounded up to a whole tick (see `safe_bound`).
        """
        due = self.problem.due[job]
        if due is None:
            return None
        share = due.share
        if share.denominator > LARGEST_DENOMINATOR:
            share = Fraction(math.ceil(share * LARGEST_DENOMINATOR), LARGEST_DENOMINATOR)
        if due.seconds == 0:
            return share, 0
        return share, math.ceil(due.seconds / self.tick * (1 + 1 / max(self.shortest, 1) + 1e-12))


def create_variables(problem: PeriodicProblem, tick: float, shortest: float, longest: float) -> Variables:
    """All variables with their domains; the cycle is fixed where both ends are one."""
    view = rounded_down(problem.mapping, tick)
    rounded = dataclasses.replace(problem, mapping=view)
    model = cp_model.CpModel()
    low, high = max(1, math.floor(shortest / tick)), math.ceil(longest / tick) + 1
    if shortest == longest:
        low = high = max(1, round(longest / tick))
    v = Variables(
        problem=rounded,
        original=problem,
        model=model,
        shortest=low,
        longest=high,
        cycle=model.new_int_var(low, high, "cycle"),
        x=[],
        start=[],
        within=[],
        crossings=[],
    )
    latest = []
    for job in range(len(view.jobs)):
        due = v.due(job)
        v.crossings.append(_crossings(problem.due[job], low, tick))
        latest.append(None if due is None else math.ceil(due[0] * high) + due[1])
    for i, job in enumerate(view.job_of.tolist()):
        v.x.append({d: model.new_bool_var(f"x_{i}_{d}") for d in view.allowed[i]})
        v.duration.append(sum(v.ticks(i, d) * x for d, x in v.x[i].items()))
        end = latest[job]
        v.start.append(None if end is None else model.new_int_var(0, end, f"start_{i}"))
        own = v.start[i]
        alone = own is not None and v.crossings[job] == 0
        v.within.append(own if alone and own is not None else model.new_int_var(0, high, f"within_{i}"))
    return v


def _crossings(due: Due | None, shortest: int, tick: float) -> int:
    """How many borders of cycles lie between the begin of a job's cycle and its deadline, at most."""
    if due is None:
        return 1
    return max(0, math.ceil(float(due.share) + due.seconds / (shortest * tick) - 1e-9) - 1)


def delays(
    problem: PeriodicProblem,
) -> dict[tuple[int, int], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """{(i, j): (m, m)} least time from the end of layer i on a device to the start of j on another; diagonal 0."""
    view = problem.mapping
    found: dict[tuple[int, int], np.ndarray[tuple[int, int], np.dtype[np.float64]]] = {}
    for k, i, j in view.edges.tolist():
        move = view.move[k, : view.m, : view.m].copy()
        np.fill_diagonal(move, 0.0)
        found[i, j] = np.maximum(found[i, j], move) if (i, j) in found else move
    return found
