"""What a policy achieves, with confidence intervals from one run.

Latencies of samples that follow each other are alike, so intervals come from blocks of samples (batch means: Law,
Simulation Modeling and Analysis, section 9.5): the mean of each block is nearly independent of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dnnplan.costs.routes import FloatArray

BLOCKS = 20
LEAST = 200
"""Samples from which there are intervals."""
WARM_UP = 0.02
"""Share of the samples at the start that do not count: they find the system empty."""
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure, and the ends of its interval; NaN where there is no figure, or too few samples for an interval."""

    value: float
    low: float = math.nan
    high: float = math.nan


def mean_of(values: FloatArray) -> Estimate:
    """Mean of values in order of time, and its interval from blocks."""
    if len(values) == 0:
        return Estimate(math.nan)
    middle = float(values.mean())
    half = _half_width(values)
    return Estimate(middle, middle - half, middle + half)


def quantile_of(values: FloatArray, share: float) -> Estimate:
    """A quantile of values in order of time, and its interval.

    The share of values below the quantile has an interval from blocks; its ends are quantiles again (Woodruff, JASA
    1952).
    """
    if len(values) == 0:
        return Estimate(math.nan)
    middle = float(np.quantile(values, share))
    half = _half_width((values <= middle).astype(float))
    if math.isnan(half):
        return Estimate(middle)
    ends = np.quantile(values, np.clip([share - half, share + half], 0.0, 1.0))
    return Estimate(middle, float(ends[0]), float(ends[1]))


def ratio_of(hits: NDArray[np.bool_]) -> Estimate:
    """A share of samples in order of time, within 0 and 1."""
    found = mean_of(hits.astype(float))
    return Estimate(found.value, max(found.low, 0.0), min(found.high, 1.0))


def _half_width(values: FloatArray) -> float:
    """Half the width of the interval of a mean; NaN for too few values."""
    if len(values) < LEAST:
        return math.nan
    size = len(values) // BLOCKS
    means = values[: size * BLOCKS].reshape(BLOCKS, size).mean(axis=1)
    spread = float(means.std(ddof=1)) / math.sqrt(BLOCKS)
    return float(stats.t.ppf((1 + LEVEL) / 2, BLOCKS - 1)) * spread
