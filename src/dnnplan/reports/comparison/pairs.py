"""Exact against heuristic, instance by instance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnnplan.reports.comparison.cases import Case, Run
from dnnplan.reports.comparison.intervals import (
    Interval,
    finite_positive,
    over_instances,
    over_seeds,
    wilcoxon_p,
)
from dnnplan.reports.comparison.kinds import Kind


@dataclass(frozen=True, kw_only=True)
class Side:
    """The best method of a kind on a case: its runs, and the middle of their values and times."""

    method: str
    runs: tuple[Run, ...]
    value: float
    seconds: float
    proven: bool


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A case with its best exact and its best heuristic method; None: none of them found a plan.

    `ratio` is how many times worse the heuristic is, with an interval over seeds; below 1 it is better. `gap` is what
    the best known plan can be away from the best bound, relative to the plan.
    """

    case: Case
    exact: Side | None
    heuristic: Side | None
    ratio: Interval | None
    gap: float | None


def pairs_of(cases: Iterable[Case], kinds: Mapping[str, Kind]) -> tuple[Pair, ...]:
    """One pair for each case."""
    return tuple(_pair(case, kinds) for case in cases)


def overall(pairs: Iterable[Pair]) -> tuple[Interval | None, float | None]:
    """Geometric mean of the ratios with its interval over instances, and Wilcoxon's p."""
    ratios = finite_positive([pair.ratio.mean for pair in pairs if pair.ratio is not None])
    return over_instances(ratios), wilcoxon_p(ratios)


def _pair(case: Case, kinds: Mapping[str, Kind]) -> Pair:
    exact, heuristic = _best(case, kinds, "exact"), _best(case, kinds, "heuristic")
    ratio = None
    if exact is not None and heuristic is not None:
        ratio = over_seeds(_ratios(case, exact, heuristic))
    bounds = [run.bound for run in case.runs if run.bound is not None]
    gap = None
    if bounds and case.best is not None:
        bound = min(bounds) if case.maximise else max(bounds)
        gap = max(0.0, (bound - case.best) if case.maximise else (case.best - bound)) / max(
            abs(case.best), 1e-12
        )
    return Pair(case=case, exact=exact, heuristic=heuristic, ratio=ratio, gap=gap)


def _ratios(case: Case, exact: Side, heuristic: Side) -> list[float]:
    """Of runs with the same seed where there are such, else of each heuristic run to the middle of the exact ones."""
    by_seed = {run.row.seed: run.value for run in exact.runs}
    ratios = []
    for run in heuristic.runs:
        other = by_seed.get(run.row.seed)
        if run.value is not None:
            ratios.append(signed_ratio(case, run.value, exact.value if other is None else other))
    return ratios


def signed_ratio(case: Case, value: float, other: float) -> float:
    """How many times worse `value` is than `other`; below 1 where it is better."""
    if case.ratio(value, other) == 1.0:
        return 1.0
    if min(value, other) <= 0:
        return math.nan
    return other / value if case.maximise else value / other


def _best(case: Case, kinds: Mapping[str, Kind], kind: Kind) -> Side | None:
    sides = [side for m in case.methods if kinds.get(m) == kind and (side := _side(case, m)) is not None]
    if not sides:
        return None
    sign = -1.0 if case.maximise else 1.0
    least = min(sign * side.value for side in sides)
    good = [side for side in sides if sign * side.value <= least + 1e-9 * abs(least)]
    return min(good, key=lambda side: (not side.proven, side.seconds))


def _side(case: Case, method: str) -> Side | None:
    runs = case.of(method)
    values = [run.value for run in runs if run.value is not None]
    if not values:
        return None
    return Side(
        method=method,
        runs=runs,
        value=middle(values),
        seconds=middle([run.seconds for run in runs]),
        proven=any(run.proven for run in runs),
    )


def middle(values: Sequence[float]) -> float:
    """The median."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
