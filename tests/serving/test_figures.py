"""Figures of a simulation, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from serving_cases import affine_problem

from dnnplan.costs.serving import Samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.simulate import figures, simulate


def _samples(arrival):
    ones = np.ones(len(arrival), dtype=np.int64)
    return Samples(arrival=np.array(arrival, dtype=float), stream=ones - 1, depth=ones)


def test_a_small_run():
    # A batch of b takes b + 1 s and twice as many joules; idling takes 0.5 W; all have 4.5 s.
    problem = affine_problem(1.0, 1.0, batch=4, slo=4.5)
    found = figures(simulate(problem, make_policy("greedy", problem), _samples([10, 11, 11, 30])))
    # Batches: 10-12, 12-15, 30-32. Latencies 2, 4, 4, 2.
    assert found.mean_latency.value == 3
    assert found.p50.value == 3
    assert found.p99.value == 4
    assert found.slo_violation_rate.value == 0
    assert found.goodput == pytest.approx(4 / 22)
    assert found.utilisation == pytest.approx(7 / 22)
    assert found.energy == pytest.approx(2 * 7 + 0.5 * 15)
    assert found.energy_per_sample == pytest.approx(found.energy / 4)
    assert found.mean_batch == pytest.approx(4 / 3)
    assert found.samples == 4
    assert math.isnan(found.mean_latency.low)


def test_late_and_dropped_samples():
    problem = affine_problem(1.0, 1.0, batch=1, slo=4.5)
    serial = figures(simulate(problem, make_policy("serial", problem), _samples([0, 0, 0, 0])))
    # They leave at 2, 4, 6 and 8.
    assert serial.slo_violation_rate.value == 0.5
    assert serial.drop_rate.value == 0
    assert serial.goodput == pytest.approx(2 / 8)
    clockwork = figures(simulate(problem, make_policy("clockwork", problem), _samples([0, 0, 0, 0])))
    assert clockwork.slo_violation_rate.value == clockwork.drop_rate.value == 0.5
    assert clockwork.mean_latency.value == 3
    assert clockwork.goodput == pytest.approx(2 / 4)


def test_a_sample_that_leaves_at_its_deadline_is_in_time():
    problem = affine_problem(0.1, 0.2, batch=1, slo=0.1 + 0.2)
    found = figures(simulate(problem, make_policy("serial", problem), _samples(np.arange(1000) * 0.7)))
    assert found.slo_violation_rate.value == 0


def test_the_first_samples_of_many_do_not_count():
    problem = affine_problem(1.0, 1.0, batch=1)
    # The first two of a hundred wait for each other, the others come alone.
    found = figures(
        simulate(problem, make_policy("serial", problem), _samples([0, 0, *(10 * np.arange(1, 99))]))
    )
    assert found.mean_latency.value == pytest.approx(2)
    assert found.samples == 100
    assert found.utilisation == pytest.approx(200 / 982)
