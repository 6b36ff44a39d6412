"""Confidence intervals of ratios: bootstrap over instances, Student's t over seeds, Wilcoxon's test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 4999
SEED = 0
FEWEST = 3
"""Instances below which no interval is given: resampling two of them says nothing."""


class Interval(NamedTuple):
    """A geometric mean with its confidence interval, from so many cases (or seeds); ends are None for too few."""

    mean: float
    low: float | None
    high: float | None
    cases: int


def finite_positive(ratios: Sequence[float]) -> list[float]:
    """Ratios that have a logarithm."""
    return [ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0]


def over_instances(ratios: Sequence[float]) -> Interval | None:
    """Geometric mean of one ratio an instance, with a bootstrap interval (BCa) over the instances.

    Bias-corrected and accelerated, 4,999 resamples with a fixed seed: Efron, *Better bootstrap confidence
    intervals*, JASA 82 (1987). None: no ratio is finite.

    >>> over_instances([1.1, 1.1, 1.1])
    Interval(mean=1.1, low=1.1, high=1.1, cases=3)
    """
    from scipy.stats import bootstrap

    logs = np.log(finite_positive(ratios))
    if not len(logs):
        return None
    mean = float(np.exp(logs.mean()))
    if np.ptp(logs) < 1e-12:
        mean = float(f"{mean:.12g}")
        end = mean if len(logs) >= FEWEST else None
        return Interval(mean, end, end, len(logs))
    if len(logs) < FEWEST:
        return Interval(mean, None, None, len(logs))
    found = bootstrap(
        (logs,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    low, high = float(np.exp(found.low)), float(np.exp(found.high))
    known = math.isfinite(low) and math.isfinite(high)
    return Interval(mean, low if known else None, high if known else None, len(logs))


def over_seeds(ratios: Sequence[float]) -> Interval | None:
    """Geometric mean of the ratios of one instance, with Student's t interval of their logarithms.

    A few seeds are too few to resample. None: no ratio is finite.
    """
    from scipy.stats import t

    logs = np.log(finite_positive(ratios))
    if not len(logs):
        return None
    mean = float(logs.mean())
    if len(logs) < 2:
        return Interval(math.exp(mean), None, None, 1)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    ends = [math.exp(min(end, 700.0)) for end in (mean - half, mean + half)]
    return Interval(math.exp(mean), ends[0], ends[1], len(logs))


def wilcoxon_p(ratios: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test that ratios are 1 in the middle; None: fewer than 6 differ from 1."""
    from scipy.stats import wilcoxon

    logs = np.log(finite_positive(ratios))
    logs = logs[np.abs(logs) > 1e-9]
    return float(wilcoxon(logs).pvalue) if len(logs) >= 6 else None
