"""Curves over all cases: performance profiles, cactus plots, and the gap over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dnnplan.reports.comparison.cases import Case, Run
from dnnplan.reports.comparison.pairs import middle

WITHIN = 0.01
"""Share of the best known value within which an answer counts as reached."""
SOONEST = 1e-3
"""Seconds: what is faster is drawn there, times have no meaning below."""
GRID = 80
"""Moments of curves over time."""


class Curve(NamedTuple):
    """Points of a step function."""

    x: list[float]
    y: list[float]


class Band(NamedTuple):
    """A median over time with the quartiles around it."""

    x: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


def profile(ratios: Sequence[float]) -> Curve:
    """Share of cases with a ratio of at most x; infinite ratios are failures.

    Dolan and More, *Benchmarking optimization software with performance profiles*, Mathematical Programming 91
    (2002).

    >>> profile([1.0, 1.5, float("inf"), 1.0])
    Curve(x=[1.0, 1.5], y=[0.5, 0.75])
    """
    known = sorted(ratio for ratio in ratios if math.isfinite(ratio))
    x: list[float] = []
    y: list[float] = []
    for count, ratio in enumerate(known, start=1):
        if x and ratio <= x[-1] * (1 + 1e-12):
            y[-1] = count / len(ratios)
        else:
            x.append(ratio)
            y.append(count / len(ratios))
    return Curve(x, y)


def seconds_to_proof(case: Case, run: Run) -> float:
    """Wall time until an answer was proven; infinite: it was not."""
    return max(run.seconds, SOONEST) if run.proven else math.inf


def seconds_to_near(case: Case, run: Run, within: float = WITHIN) -> float:
    """Seconds until a run had a plan within a share of the best known value; infinite: it had none."""
    if run.value is None or not case.ratio(run.value) <= 1 + within:
        return math.inf
    for seconds, value, _ in run.history:
        if value is not None and case.ratio(value) <= 1 + within:
            return max(min(seconds, run.seconds), SOONEST)
    return max(run.seconds, SOONEST)


Clock = Callable[[Case, Run], float]


def times_of(cases: Iterable[Case], method: str, clock: Clock) -> list[float]:
    """The time of a method on each case that it was run on: the median of its seeds, infinite where it failed."""
    return [middle([clock(case, run) for run in runs]) for case in cases if (runs := case.of(method))]


def time_ratios(cases: Iterable[Case], method: str, clock: Clock) -> list[float]:
    """Time of a method by that of the fastest one, for each case that it was run on and that any method solved."""
    ratios = []
    for case in cases:
        times = {m: middle([clock(case, run) for run in case.of(m)]) for m in case.methods}
        fastest = min(times.values(), default=math.inf)
        if method in times and math.isfinite(fastest):
            ratios.append(times[method] / fastest)
    return ratios


def cactus(times: Sequence[float]) -> Curve:
    """Seconds within which 1, 2, 3, ... cases are solved, each with a limit of its own.

    >>> cactus([3.0, 1.0, float("inf")])
    Curve(x=[1, 2], y=[1.0, 3.0])
    """
    solved = sorted(seconds for seconds in times if math.isfinite(seconds))
    return Curve(list(range(1, len(solved) + 1)), solved)


def primal_gap(case: Case, value: float | None) -> float:
    """|value - best| / max(|value|, |best|), from 0 to 1; 1 without a plan or with one of another sign.

    Berthold, *Measuring the impact of primal heuristics*, Operations Research Letters 41 (2013).
    """
    if value is None or case.best is None or value * case.best < 0:
        return 1.0
    return abs(value - case.best) / max(abs(value), abs(case.best), 1e-300)


def gap_at(case: Case, run: Run, moments: Sequence[float]) -> list[float]:
    """The primal gap of a run at moments in ascending order, seconds."""
    steps = [(s, primal_gap(case, value)) for s, value, _ in run.history if value is not None]
    if run.value is not None:
        steps.append((run.seconds, primal_gap(case, run.value)))
    gaps, now, k = [], 1.0, 0
    for moment in moments:
        while k < len(steps) and steps[k][0] <= moment * (1 + 1e-12):
            now = steps[k][1]
            k += 1
        gaps.append(now)
    return gaps


def gap_over_time(cases: Sequence[Case], method: str, moments: Sequence[float]) -> Band | None:
    """Median and quartiles of the primal gap over the cases of a method; None: it has none with a known value."""
    rows = []
    for case in cases:
        runs = case.of(method)
        if runs and case.best is not None:
            rows.append(np.median([gap_at(case, run, moments) for run in runs], axis=0))
    if not rows:
        return None
    low, mid, high = np.quantile(np.array(rows), (0.25, 0.5, 0.75), axis=0).tolist()
    return Band(list(moments), low, mid, high)


def moments_of(cases: Iterable[Case]) -> list[float]:
    """Moments for curves over time: from the first plan to the end of the last run, equal in logarithm."""
    runs = [run for case in cases for run in case.runs]
    ends = [run.seconds for run in runs if run.seconds > 0]
    if not ends:
        return []
    firsts = [s for run in runs for s, value, _ in run.history[:1] if value is not None and s > 0]
    first = max(SOONEST, min([*firsts, min(ends)]))
    moments: list[float] = np.geomspace(first, max(*ends, 2 * first), GRID).tolist()
    return moments
