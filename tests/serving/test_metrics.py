"""Intervals cover the truth about as often as they say; figures are what they are called."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dnnplan.serving.metrics import LEAST, Estimate, mean_of, quantile_of, ratio_of

RUNS, COUNT = 200, 20_000


def _waits(rng, runs, count, load):
    """Times in the system of an M/M/1 queue with service rate 1, by Lindley's recursion, from equilibrium."""
    between = rng.exponential(1 / load, (runs, count))
    service = rng.exponential(1.0, (runs, count))
    wait = np.where(rng.uniform(size=runs) < load, rng.exponential(1 / (1 - load), runs), 0.0)
    found = np.empty((runs, count))
    for k in range(count):
        found[:, k] = wait + service[:, k]
        wait = np.maximum(wait + service[:, k] - between[:, k], 0.0)
    return found


@pytest.fixture(scope="module")
def waits():
    return _waits(np.random.default_rng(5), RUNS, COUNT, 0.7)


def _coverage(estimates, truth):
    return np.mean([each.low <= truth <= each.high for each in estimates])


def test_intervals_of_the_mean_cover_it(waits):
    # An M/M/1 queue with load 0.7: the time in the system is exponential with mean 1 / (1 - 0.7).
    covered = _coverage([mean_of(row) for row in waits], 1 / 0.3)
    assert 0.90 <= covered <= 0.99


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_intervals_of_quantiles_cover_them(waits, share):
    truth = -math.log(1 - share) / 0.3
    covered = _coverage([quantile_of(row, share) for row in waits], truth)
    assert 0.87 <= covered <= 1.0


def test_intervals_of_shares_cover_them(waits):
    truth = math.exp(-0.3 * 8)
    estimates = [ratio_of(row > 8) for row in waits]
    assert 0.89 <= _coverage(estimates, truth) <= 0.99
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in estimates)


def test_independent_values_have_the_interval_of_students_t():
    values = np.random.default_rng(1).normal(size=20_000)
    found = mean_of(values)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(found.value - found.low)
    assert found.high - found.value == pytest.approx(2.093 / math.sqrt(20_000), rel=0.4)


def test_quantiles_are_those_of_the_values():
    values = np.random.default_rng(2).permutation(1001.0 * 0 + np.arange(1001.0))
    assert quantile_of(values, 0.5).value == 500
    assert quantile_of(values, 0.99).value == pytest.approx(990)
    found = quantile_of(values, 0.95)
    assert found.low <= 950 <= found.high


def test_values_that_are_all_equal_have_no_width():
    assert mean_of(np.full(500, 3.0)) == Estimate(3.0, 3.0, 3.0)
    assert quantile_of(np.full(500, 3.0), 0.99) == Estimate(3.0, 3.0, 3.0)
    assert ratio_of(np.zeros(500, dtype=bool)) == Estimate(0.0, 0.0, 0.0)


def test_few_values_have_no_interval_and_none_no_figure():
    found = mean_of(np.arange(float(LEAST - 1)))
    assert math.isnan(found.low)
    assert math.isfinite(found.value)
    assert math.isnan(quantile_of(np.arange(5.0), 0.5).high)
    assert math.isnan(mean_of(np.zeros(0)).value)
    assert math.isnan(quantile_of(np.zeros(0), 0.9).value)
