"""The lower bound on the mean latency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from serving_cases import affine_problem, random_samples

from dnnplan.costs.serving import Samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.runs import latency_bound
from dnnplan.serving.simulate import simulate


def _samples(arrival, depth):
    return Samples(
        arrival=np.array(arrival, dtype=float),
        stream=np.zeros(len(arrival), dtype=np.int64),
        depth=np.array(depth, dtype=np.int64),
    )


def test_by_hand():
    # Batches of 1 and 2 take 2 and 3 s: a share is 1.5 s.
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=2)
    # Shares 3, 1.5, 3: the second runs from 1 to 2.5, then 2 s of the first until 4.5, then the last until 7.5. And the
    # last stage of each takes half a second more: 2 s alone, or 1.5 s behind another's share for one in two.
    least = 2.5 + 4.5 + 7.5 + 3 * 0.5
    assert latency_bound(problem, _samples([0, 1, 1], [2, 1, 2])) == pytest.approx((least - 2) / 3)


def test_a_queue_of_single_samples_reaches_it():
    problem = affine_problem(0.0, 1.0, batch=1)
    samples = random_samples(problem, np.random.default_rng(1), 2000, gap=1.2)
    done = simulate(problem, make_policy("serial", problem), samples)
    assert latency_bound(problem, samples) == pytest.approx(done.latency.mean())


def test_every_device_is_one():
    one = affine_problem(0.0, 1.0, exits=(0.5, 0.5), batch=1)
    two = replace(
        one,
        devices=("a", "b"),
        device=np.array([0, 1]),
        idle_power=np.zeros(2),
        latency=one.latency * [[1], [3]],
    )
    # All at once: after a second on the first device, the second one takes 3 s for each, one after the other.
    samples = _samples([0, 0, 0], [2, 2, 2])
    assert latency_bound(two, samples) == pytest.approx((4 + 7 + 10) / 3)
    assert latency_bound(one, samples) == pytest.approx((2 + 4 + 6) / 3)


def test_latencies_that_fall_with_the_batch():
    problem = affine_problem(1.0, 1.0, batch=3)
    odd = replace(problem, latency=np.array([[0.0, 2.0, 5.0, 1.5]]))
    # Padded to three, one sample takes 1.5 s.
    assert latency_bound(odd, _samples([0], [1])) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="no samples"):
        latency_bound(problem, _samples([], []))


def test_weights_of_streams_do_not_count():
    problem = affine_problem(1.0, 1.0, batch=2)
    heavy = replace(problem, streams=(replace(problem.streams[0], weight=7.0),))
    samples = _samples([0, 1, 1], [1, 1, 1])
    assert latency_bound(heavy, samples) == latency_bound(problem, samples)
