"""The simulator against a closed form: greedy batching with a latency of alpha b + tau and batches of any size.

Inoue, "Queueing analysis of GPU-based inference servers with dynamic batching", Performance Evaluation 2021: the mean
latency under Poisson arrivals of rate l is at most min(phi0, phi1), and close to it.
"""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import affine_problem

from dnnplan.costs.serving import Samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.simulate import simulate

CASES = [(rate, tau) for tau in (0.5, 2.0, 8.0) for rate in (0.05, 0.2, 0.5, 0.8, 0.9)]
"""Rate and tau with alpha = 1."""
COUNTS = {0.05: 60_000, 0.2: 250_000, 0.5: 400_000, 0.8: 700_000, 0.9: 1_000_000}
"""Samples by rate: long queues forget slowly."""
TIGHT = 0.026
"""How far the bound was seen above the mean."""


def bound(rate, alpha, tau):
    """min(phi0, phi1)."""
    la, lt = rate * alpha, rate * tau
    phi0 = (alpha + tau) / (2 * (1 - la)) * (1 + 2 * lt + (1 - lt) / (1 + la))
    phi1 = 1.5 * tau / (1 - la) + alpha / 2 * (la + 2) / (1 - la**2)
    return min(phi0, phi1)


@pytest.mark.parametrize(("rate", "tau"), CASES)
def test_the_mean_latency_is_within_2_6_percent(rate, tau):
    problem = affine_problem(1.0, tau, batch=1000)
    rng, count = np.random.default_rng(11), COUNTS[rate]
    ones = np.ones(count, dtype=np.int64)
    samples = Samples(arrival=np.cumsum(rng.exponential(1 / rate, count)), stream=ones - 1, depth=ones)
    done = simulate(problem, make_policy("greedy", problem), samples)
    assert done.sizes[0, -1] == 0, "batches have to be as large as they like"
    mean = float(done.latency[count // 50 :].mean())
    assert mean == pytest.approx(bound(rate, 1.0, tau), rel=TIGHT)


def test_the_bound_of_the_literature_is_written_down_right():
    assert bound(0.5, 1.0, 2.0) == pytest.approx(7.6667, abs=1e-4)
    assert bound(0.05, 1.0, 8.0) == pytest.approx(11.2331, abs=1e-4)
    assert bound(0.9, 1.0, 8.0) == pytest.approx(127.6316, abs=1e-4)
