"""The largest Poisson rate that keeps an objective."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from serving_cases import affine_problem

from dnnplan.costs.serving import capacity
from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.serving.largest_rate import PRECISION, largest_rate
from dnnplan.serving.policies import make_policy

# One sample after the other, each for 1 s: an M/D/1 queue.
ONE = affine_problem(0.0, 1.0, batch=1, slo=5.0)
QUICK = {"samples": 20_000, "seed": 1}


def _md1_tail(load, time):
    """P(time in the system > time) of an M/D/1 queue with service 1 (Erlang 1909; Franx 2001)."""
    wait = time - 1
    whole = math.floor(wait)
    # P(W <= t) = (1 - l) sum_{k=0}^{floor t} (-l (t - k))^k / k! exp(l (t - k))
    below = (1 - load) * sum(
        (-load * (wait - k)) ** k / math.factorial(k) * math.exp(load * (wait - k)) for k in range(whole + 1)
    )
    return 1 - below


def _md1_rate(time, share):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _md1_tail(middle, time) <= 1 - share else (low, middle)
    return low


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_a_queue_with_a_closed_form(share):
    found = largest_rate(ONE, make_policy("serial", ONE), capacity=1.0, percentile=share, **QUICK)
    assert found.rate == pytest.approx(_md1_rate(5.0, share), rel=0.05)
    assert found.load == found.rate
    assert found.percentile == share


def test_the_search_ends_with_a_run_of_its_own_that_keeps_the_objective():
    told = []
    found = largest_rate(ONE, make_policy("serial", ONE), capacity=1.0, report=told.append, **QUICK)
    assert tuple(told) == found.trials
    last = found.trials[-1]
    assert last.keeps
    assert last.rate == found.rate
    assert last.violations <= 0.01
    tried = sorted(trial.rate for trial in found.trials if not trial.keeps)
    assert found.rate < tried[0]
    assert found.rate > tried[0] * (1 - 12 * PRECISION)


def test_a_batch_serves_more():
    problem = affine_problem(0.1, 1.0, batch=16, slo=5.0)
    rates = {
        name: largest_rate(problem, make_policy(name, problem), capacity=capacity(problem), samples=5000).rate
        for name in ("serial", "greedy")
    }
    assert rates["greedy"] > 3 * rates["serial"]


def test_drops_count_as_late():
    found = largest_rate(ONE, make_policy("clockwork", ONE), capacity=1.0, **QUICK)
    serial = largest_rate(ONE, make_policy("serial", ONE), capacity=1.0, **QUICK)
    # It drops those that would be late, so the others are sooner: a little more than without.
    assert serial.rate < found.rate < 1.3 * serial.rate


def test_an_objective_that_cannot_be_kept():
    problem = affine_problem(0.0, 1.0, batch=1, slo=0.5)
    found = largest_rate(problem, make_policy("serial", problem), capacity=1.0, samples=200)
    assert (found.rate, found.load) == (0.0, 0.0)
    assert [trial.keeps for trial in found.trials] == [False]


def test_every_stream_has_to_keep_its_own():
    stream = ONE.streams[0]
    tight, loose = replace(stream, name="tight", slo=5.0), replace(stream, name="loose", slo=100.0)
    both = replace(ONE, streams=(tight, loose))
    easy = replace(ONE, streams=(replace(tight, slo=100.0), loose))
    rates = [
        largest_rate(each, make_policy("serial", each), capacity=1.0, **QUICK).rate for each in (both, easy)
    ]
    assert rates[0] == pytest.approx(_md1_rate(5.0, 0.99), rel=0.06)
    assert rates[1] > 1.3 * rates[0]


def test_bad_input():
    without = affine_problem(0.0, 1.0, batch=1)
    with pytest.raises(UnsupportedError, match="needs a service-level objective"):
        largest_rate(without, make_policy("serial", without), capacity=1.0)
    with pytest.raises(InputError, match="percentile: 1, expected"):
        largest_rate(ONE, make_policy("serial", ONE), capacity=1.0, percentile=1)


def test_the_same_seed_finds_the_same():
    found = [
        largest_rate(ONE, make_policy("serial", ONE), capacity=1.0, samples=500, seed=3) for _ in range(2)
    ]
    assert found[0] == found[1]
    assert np.isfinite(found[0].rate)
