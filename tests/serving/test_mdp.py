"""Value iteration: closed forms, what its policy achieves when simulated, and what no policy beats."""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import affine_problem

from dnnplan.costs.serving import Samples, serving_problem
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.policies.mdp import (
    arrival_chances,
    batch_sizes,
    best_actions,
    decide,
    leaving_chances,
)
from dnnplan.serving.simulate import simulate


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_server_without_batches_is_the_queue_of_pollaczek_and_khinchine(load):
    """M/D/1: the mean number in the system is r + r^2 / (2 (1 - r))."""
    latency = np.array([[0.0, 2.0]])
    _, mean = best_actions(latency, np.ones(1), load / 2.0, np.array([120]))
    assert mean == pytest.approx(load + load**2 / (2 * (1 - load)), rel=2e-3)


def _small(rate, exits=(0.4, 0.6)):
    return affine_problem(1.0, 3.0, batch=4, exits=exits, arrivals=Arrivals(kind="poisson", rate=rate))


@pytest.mark.parametrize("rate", [0.08, 0.15, 0.22])
def test_predicted_mean_is_what_the_policy_achieves(rate):
    problem = _small(rate)
    samples = draw_samples(problem, 200_000, 3)
    _, mean = best_actions(problem.latency, problem.leaves[0], rate, np.array([24, 12]))
    policy = make_policy("mdp", problem, cap=16)
    assert simulate(problem, policy, samples).latency.mean() == pytest.approx(mean / rate, rel=0.03)


@pytest.mark.parametrize("rate", [0.08, 0.15, 0.22])
def test_no_policy_has_a_smaller_mean(rate):
    problem = _small(rate)
    samples = draw_samples(problem, 100_000, 5)
    best = simulate(problem, make_policy("mdp", problem, cap=16), samples).latency.mean()
    for name in ("serial", "greedy", "timeout", "lazy", "rebatch", "rebatch_newest"):
        assert best <= simulate(problem, make_policy(name, problem), samples).latency.mean() * 1.005


def test_nobody_waits_for_a_batch_that_saves_nothing():
    """Where a batch takes as long as its samples one by one, they run one by one."""
    latency = np.zeros((1, 5))
    latency[0, 1:] = 2.0 * np.arange(1, 5)
    actions, _ = best_actions(latency, np.ones(1), 0.2, np.array([20]))
    assert (actions[1:12] == 1).all()


def test_what_it_is_not_for_is_refused():
    with pytest.raises(UnsupportedError, match="one stream"):
        make_policy("mdp", serving_problem(load_bundled("serving/two-models")))
    with pytest.raises(UnsupportedError, match="rate"):
        make_policy("mdp", _small(0.1), rate=0.0)


@pytest.mark.parametrize("largest", [1, 3, 8, 17, 64])
def test_sizes_of_batches_hold_the_least_and_the_largest(largest):
    sizes = batch_sizes(largest).tolist()
    assert sizes[0] == 1
    assert sizes[-1] == largest
    assert sizes == sorted(set(sizes))


def test_chances_add_up():
    span = np.array([[0.5, 3.0, 40.0]])
    arriving = arrival_chances(span, 0.7, 6)
    leaving = leaving_chances(np.array([0.0, 0.3, 1.0]), batch_sizes(5))
    assert arriving.sum(axis=-1) == pytest.approx(np.ones((1, 3)))
    assert leaving.sum(axis=-1) == pytest.approx(np.ones((3, 5)))
    assert leaving[2, 3, 4] == 1.0
    assert leaving[1, 1, :3] == pytest.approx([0.49, 0.42, 0.09])


def test_actions_of_large_batches_keep_their_size():
    problem = affine_problem(0.001, 3.0, batch=2000)
    zeros = np.zeros(1500, dtype=np.int64)
    samples = Samples(arrival=zeros.astype(float), stream=zeros, depth=zeros + 1)
    all_of_them = Policy("mdp", decide, np.array([1.0, 1.0, -1.0, 1500.0]))
    done = simulate(problem, all_of_them, samples)
    assert done.sizes.sum() == done.sizes[0, 1500] == 1


def test_lines_do_not_grow_with_batches_without_end():
    problem = affine_problem(0.001, 3.0, batch=2000, arrivals=Arrivals(kind="poisson", rate=0.1))
    assert len(make_policy("mdp", problem).parameters) < 200
