"""Drawn samples as traces, and batches as plans."""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import random_instance, random_samples

from dnnplan.costs.serving import Samples, serving_problem, trace_samples
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.files import dumps, loads_instance
from dnnplan.serving.policies import make_policy
from dnnplan.serving.simulate import simulate
from dnnplan.serving.traces import plan_of, recorded


@pytest.mark.parametrize("seed", range(8))
def test_a_recorded_instance_has_the_same_samples_after_a_round_trip(seed):
    rng = np.random.default_rng([3, seed])
    problem = serving_problem(random_instance(rng))
    samples = random_samples(problem, rng, 80, whole=seed % 2 == 0)
    again = trace_samples(serving_problem(loads_instance(dumps(recorded(problem, samples)))))
    assert again.arrival.tolist() == samples.arrival.tolist()
    assert again.stream.tolist() == samples.stream.tolist()
    assert again.depth.tolist() == samples.depth.tolist()


def test_a_stream_without_samples_is_no_trace():
    problem = serving_problem(random_instance(np.random.default_rng(1), models=3))
    one = Samples(arrival=np.zeros(1), stream=np.zeros(1, dtype=np.int64), depth=np.ones(1, dtype=np.int64))
    with pytest.raises(UnsupportedError, match="has no sample, expected at least one"):
        recorded(problem, one)


def test_a_plan_has_the_batches_in_their_order():
    rng = np.random.default_rng(2)
    problem = serving_problem(random_instance(rng, models=2))
    samples = random_samples(problem, rng, 30)
    done = simulate(problem, make_policy("rebatch", problem), samples, log=True)
    plan = plan_of(done)
    assert plan.problem == "serving"
    assert [batch.start for batch in plan.batches] == sorted(done.batches.start.tolist())
    assert sum(len(batch.samples) for batch in plan.batches) == samples.depth.sum()
    assert {batch.stage for batch in plan.batches} <= set(problem.stages)
    with pytest.raises(UnsupportedError, match="kept no batches"):
        plan_of(simulate(problem, make_policy("rebatch", problem), samples))
