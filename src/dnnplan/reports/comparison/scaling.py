"""How time and gap grow with the number of layers: a power law fitted on logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dnnplan.reports.comparison.cases import Case
from dnnplan.reports.comparison.curves import Clock
from dnnplan.reports.comparison.intervals import CONFIDENCE
from dnnplan.reports.comparison.pairs import middle

FEWEST_SIZES = 4
"""Different sizes below which nothing is fitted."""


class Point(NamedTuple):
    """A case: its layers, the figure, its name, and whether the figure is only a lower end (the run was stopped)."""

    layers: int
    value: float
    name: str
    stopped: bool


class Fit(NamedTuple):
    """y = factor x layers^exponent, with the ends of the 95 % interval of the exponent, from so many cases."""

    exponent: float
    low: float
    high: float
    factor: float
    cases: int

    def at(self, layers: float) -> float:
        """The fitted figure."""
        return float(self.factor * layers**self.exponent)


def fit_power(points: Sequence[Point]) -> Fit | None:
    """Least squares on logarithms, over points that were not stopped; None: fewer than four sizes.

    >>> fit_power([Point(n, 2.0 * n**1.5, "", False) for n in (10, 20, 40, 80)]).exponent.__round__(6)
    1.5
    """
    from scipy.stats import linregress, t

    used = [p for p in points if not p.stopped and p.value > 0 and p.layers > 0]
    if len({p.layers for p in used}) < FEWEST_SIZES:
        return None
    x, y = (np.log([float(p[k]) for p in used]) for k in (0, 1))
    line = linregress(x, y)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(used) - 2) * line.stderr)
    slope = float(line.slope)
    return Fit(slope, slope - half, slope + half, math.exp(float(line.intercept)), len(used))


def ending_points(cases: Iterable[Case], method: str) -> list[Point]:
    """Wall time of a method over layers; runs that a limit stopped would have taken longer."""
    points = []
    for case in cases:
        runs = case.of(method)
        if runs and case.layers > 0 and any(run.row.status != "error" for run in runs):
            stopped = not all(run.ended for run in runs)
            points.append(Point(case.layers, middle([run.seconds for run in runs]), case.name, stopped))
    return points


def reaching_points(cases: Iterable[Case], method: str, clock: Clock) -> list[Point]:
    """Time until a clock stops over layers; cases that it did not stop for are left out."""
    points = []
    for case in cases:
        runs = case.of(method)
        if runs and case.layers > 0:
            seconds = middle([clock(case, run) for run in runs])
            if math.isfinite(seconds):
                points.append(Point(case.layers, seconds, case.name, False))
    return points


def gap_points(cases: Iterable[Case], method: str) -> list[Point]:
    """Proven gap of a method over layers; a gap of 0 has no logarithm and is left out."""
    points = []
    for case in cases:
        gaps = [run.row.gap for run in case.of(method) if run.row.gap is not None and run.value is not None]
        if gaps and case.layers > 0 and middle(gaps) > 1e-9:
            points.append(Point(case.layers, middle(gaps), case.name, False))
    return points
