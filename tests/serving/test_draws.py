"""Samples of several streams: order, shares, depths, seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from serving_cases import affine_problem, random_problem

from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import MOST_SAMPLES, draw_samples

THREE = affine_problem(1.0, 1.0, exits=(0.5, 0.3, 0.2), arrivals=Arrivals(kind="poisson", rate=10.0))


def test_depths_follow_the_probabilities():
    samples = draw_samples(THREE, 100_000, 1)
    shares = np.bincount(samples.depth, minlength=4)[1:] / 100_000
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.005)


@pytest.mark.parametrize("exits", [(0.0, 1.0), (1.0, 0.0)])
def test_impossible_exits_are_not_taken(exits):
    samples = draw_samples(affine_problem(1.0, 1.0, exits=exits), 1000)
    assert set(samples.depth.tolist()) == {1 + exits.index(1.0)}


def test_samples_are_in_order_and_streams_keep_their_rates():
    problem = random_problem(np.random.default_rng(4), models=3)
    samples = draw_samples(problem, 50_000, 2)
    assert len(samples) == 50_000
    assert (np.diff(samples.arrival) >= 0).all()
    rates = np.array([stream.arrivals.rate for stream in problem.streams])
    shares = np.bincount(samples.stream, minlength=len(rates)) / 50_000
    assert shares == pytest.approx(rates / rates.sum(), abs=0.01)
    stages = np.diff(problem.first)[[stream.model for stream in problem.streams]]
    assert (samples.depth >= 1).all()
    assert (samples.depth <= stages[samples.stream]).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_stream_runs_dry_before_another(seed):
    base = random_problem(np.random.default_rng(4), models=2)
    bursts = Arrivals(kind="mmpp", rates=(0.0, 100.0), dwell=(20.0, 5.0))
    streams = [bursts, Arrivals(kind="gamma", rate=20.0, cv=8.0), Arrivals(kind="poisson", rate=5.0)]
    problem = replace(base, streams=tuple(replace(base.streams[0], arrivals=each) for each in streams))
    samples = draw_samples(problem, 2000, seed)
    # Any number of samples is the beginning of a larger one: nothing was missing.
    longer = draw_samples(problem, 6000, seed)
    assert (samples.arrival == longer.arrival[:2000]).all()
    assert (samples.stream == longer.stream[:2000]).all()


def test_other_exits_do_not_change_the_arrivals():
    early = affine_problem(1.0, 1.0, exits=(0.9, 0.1, 0.0), arrivals=Arrivals(kind="poisson", rate=10.0))
    first, second = draw_samples(THREE, 1000, 7), draw_samples(early, 1000, 7)
    assert (first.arrival == second.arrival).all()
    assert (first.depth >= second.depth).all()
    faster = draw_samples(THREE, 1000, 7, [Arrivals(kind="poisson", rate=20.0)])
    assert faster.arrival == pytest.approx(first.arrival / 2)
    assert (faster.depth == first.depth).all()


def test_seeds():
    first, again, other = (draw_samples(THREE, 500, seed) for seed in (1, 1, 2))
    assert (first.arrival == again.arrival).all()
    assert (first.depth == again.depth).all()
    assert (first.arrival != other.arrival).any()
    assert (first.depth != other.depth).any()


def test_recorded_exits_are_taken():
    arrivals = Arrivals(kind="trace", times=(0.0, 1.0, 1.0, 4.0), exits=("1", "0", "", "2"))
    samples = draw_samples(replace(THREE, streams=(replace(THREE.streams[0], arrivals=arrivals),)), 100)
    assert samples.arrival.tolist() == [0.0, 1.0, 1.0, 4.0]
    assert samples.depth.tolist() == [2, 1, 3, 3]


def test_recorded_confidences_are_compared_with_thresholds():
    sure = ((0.9, 0.1), (0.2, 0.8), (0.2, 0.3))
    arrivals = Arrivals(kind="trace", times=(0.0, 1.0, 2.0), confidences=sure)
    workload = THREE.instance.workload
    stream = structs.replace(workload.streams[0], thresholds={"0": 0.5, "1": 0.7})
    instance = structs.replace(THREE.instance, workload=structs.replace(workload, streams=(stream,)))
    problem = replace(THREE, instance=instance)
    assert draw_samples(problem, 100, 0, [arrivals]).depth.tolist() == [1, 2, 3]
    assert draw_samples(problem, 2, 0, [arrivals]).depth.tolist() == [1, 2]


@pytest.mark.parametrize("exits", [("0",), ("0", "nowhere", "1")])
def test_recorded_exits_that_do_not_fit(exits):
    arrivals = Arrivals(kind="trace", times=(0.0, 1.0, 1.0), exits=exits)
    with pytest.raises(InputError, match="exits"):
        draw_samples(THREE, 100, 0, [arrivals])


def test_samples_at_one_time_are_in_the_order_of_their_streams():
    trace = Arrivals(kind="trace", times=(0.0, 0.0, 1.0))
    stream = THREE.streams[0]
    problem = replace(THREE, streams=(stream, replace(stream, name="other")))
    samples = draw_samples(problem, 100, 0, [trace, trace])
    assert samples.stream.tolist() == [0, 0, 1, 1, 0, 1]


@pytest.mark.parametrize("count", [0, -1, MOST_SAMPLES + 1])
def test_numbers_of_samples(count):
    with pytest.raises(InputError, match=f"samples: {count}, expected 1 to"):
        draw_samples(THREE, count)
    assert len(draw_samples(THREE, 1)) == 1
