"""Plans of `exit_aware`: segments, what is expected of arrivals, and how good the plans are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from serving_cases import affine_problem

from dnnplan.costs.serving import at_load, serving_problem
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.planning import QUICK, Effort, planned
from dnnplan.serving.planning.segments import segments_of
from dnnplan.serving.planning.tuning import Planner, expected_arrivals
from dnnplan.serving.policies import make_policy
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.policies.exit_aware import decide
from dnnplan.serving.simulate import figures, simulate

SOME = Effort(3000, (0.9,), 20_000)


def queue(load, *, exits=(0.5, 0.3, 0.2), batch=6, slo=np.inf, objective="mean_latency"):
    """Batches pay: a batch of six takes less than twice what one sample does."""
    problem = affine_problem(0.2, 1.0, batch=batch, exits=exits, slo=slo)
    return dataclasses.replace(at_load(problem, load), objective=objective)


def of_effort(problem, effort):
    return Policy("exit_aware", decide, planned(problem, effort))


# Segments.


def test_a_network_on_one_device_is_one_segment():
    (segment,) = segments_of(queue(0.5), np.ones(1), 1000)
    assert segment.first == 0
    assert segment.leaves == pytest.approx([0.5, 0.6, 1.0])
    assert segment.alone == pytest.approx(3 * 1.2)
    assert segment.rate_at_full_batches == pytest.approx(6 / (2.2 * (1 + 0.5 + 0.2)))


def test_segments_end_where_the_device_changes():
    problem = queue(0.5)
    split = dataclasses.replace(problem, devices=("a", "b"), device=np.array([0, 1, 1]))
    early, late = segments_of(split, np.ones(1), 1000)
    assert (early.first, len(early.leaves), early.share) == (0, 1, 1.0)
    assert (late.first, len(late.leaves), late.share) == (1, 2, 0.5)


@pytest.mark.parametrize("stages", range(1, 13))
@pytest.mark.parametrize("batch", [1, 4, 16, 64])
def test_tables_have_a_bearable_number_of_states(stages, batch):
    exits = np.full(stages, 1 / stages)
    (segment,) = segments_of(queue(0.5, exits=tuple(exits), batch=batch), np.ones(1), 16_000)
    assert np.prod(segment.caps + 1) <= 600_000
    assert (segment.reaches >= 1).all()
    assert (segment.reaches <= segment.caps).all()


# Expected arrivals.


def test_of_a_trace_its_rate_and_variation_are_expected():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.gamma(0.25, 4.0, 5000))
    found = expected_arrivals(Arrivals(kind="trace", times=tuple(times)), 1.0)
    assert (found.kind, found.rate) == ("gamma", pytest.approx(1.0, rel=0.1))
    assert found.cv == pytest.approx(2.0, rel=0.1)


def test_without_a_rate_poisson_arrivals_are_expected():
    assert expected_arrivals(Arrivals(), 3.0) == Arrivals(kind="poisson", rate=3.0)


def test_periodic_traces_have_a_variation_above_zero():
    found = expected_arrivals(Arrivals(kind="trace", times=tuple(range(100))), 1.0)
    assert found.cv > 0


# Plans.


def test_the_same_problem_has_the_same_plan():
    first, again = (planned(queue(0.6), QUICK) for _ in range(2))
    assert first.tolist() == again.tolist()


@pytest.mark.parametrize("load", [0.4, 0.8])
@pytest.mark.parametrize("kind", ["poisson", "gamma"])
def test_mean_and_tail_are_near_the_best_of_simple_policies_or_better(load, kind):
    problem = queue(load)
    if kind == "gamma":
        (stream,) = problem.streams
        bursty = Arrivals(kind="gamma", rate=stream.arrivals.rate, cv=3.0)
        problem = dataclasses.replace(problem, streams=(dataclasses.replace(stream, arrivals=bursty),))
    samples = draw_samples(problem, 60_000, 1)
    ours = figures(simulate(problem, of_effort(problem, SOME), samples))
    others = [
        figures(simulate(problem, make_policy(name, problem), samples))
        for name in ("serial", "greedy", "lazy", "rebatch", "rebatch_newest")
    ]
    assert ours.mean_latency.value <= 1.03 * min(f.mean_latency.value for f in others)
    assert ours.p99.value <= 1.05 * min(f.p99.value for f in others)


@pytest.mark.parametrize("load", [0.95, 1.2])
def test_fewer_samples_are_late_than_with_policies_that_drop(load):
    problem = queue(load, slo=12.0, objective="late")
    samples = draw_samples(problem, 60_000, 1)
    ours = simulate(problem, of_effort(problem, SOME), samples).violated.mean()
    for name in ("clockwork", "symphony", "greedy", "aimd"):
        assert ours <= 1.02 * simulate(problem, make_policy(name, problem), samples).violated.mean()


@pytest.mark.parametrize("objective", ["mean_latency", "late"])
def test_batches_of_thousands_are_planned_and_run(objective):
    """Sizes are told apart from stages, and tables do not grow with the largest batch."""
    problem = queue(0.9, exits=(0.5, 0.5), batch=3000, slo=500.0, objective=objective)
    done = simulate(problem, of_effort(problem, QUICK), draw_samples(problem, 20_000, 1))
    assert np.isfinite(done.left).all()
    assert done.latency.mean() < 500.0


def test_tables_are_made_for_the_expected_load_and_others():
    planner = Planner(queue(0.5), Effort(400, (0.7, 0.9), 500))
    assert planner.loads() == (pytest.approx(0.5), 0.7, 0.9)
    assert Planner(queue(0.72), Effort(400, (0.7, 0.9), 500)).loads() == (pytest.approx(0.72), 0.9)


@pytest.mark.parametrize("name", ["serving/two-models", "serving/camera-dsp-npu"])
def test_several_networks_and_devices_are_planned(name):
    problem = serving_problem(load_bundled(name))
    samples = draw_samples(problem, 20_000, 1)
    ours = simulate(problem, of_effort(problem, QUICK), samples).latency.mean()
    assert ours <= 1.1 * simulate(problem, make_policy("greedy", problem), samples).latency.mean()
