"""When the batches of a plan run and what it achieves: by hand, and evaluation, judge and brute force agree."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs.check import check
from dnnplan.costs.serving.evaluate import MEASURES, serving_measures, serving_times
from dnnplan.costs.serving.offline import offline_serving
from dnnplan.instances import PlanError, UnsupportedError
from tests.support.serving_oracles import best_value, known_instance, random_batches, random_instance

HAND = known_instance([[2, 3], [3, 4]], arrivals=[0, 1, 2], depths=[2, 1, 2], slo=5)
"""Stage e1 takes 2 s alone and 3 s for two, stage e2 3 s and 4 s."""
PLAN = ((0, (0,)), (0, (1, 2)), (1, (0, 2)))


def test_times_and_figures_by_hand() -> None:
    """0: 0-2 alone. 1 and 2, there from 2: 2-5. 0 and 2 together: 5-9. Latencies 9, 4 and 7; due at 5, 6 and 7."""
    problem = offline_serving(HAND)
    times = serving_times(problem.serving, problem.samples, PLAN)
    assert times.start.tolist() == [0, 2, 5]
    assert times.end.tolist() == [2, 5, 9]
    assert times.completion.tolist() == [9, 5, 9]
    assert times.busy.tolist() == [9]
    found = serving_measures(problem.serving, problem.samples, PLAN, times)
    assert set(found) == set(MEASURES)
    assert found["mean_latency"] == pytest.approx(20 / 3)
    assert (found["late"], found["p50"], found["makespan"], found["energy"]) == (2, 7, 9, 0)
    assert found["p95"] == pytest.approx(8.8)
    judged = problem.judge(PLAN)
    assert judged.value == pytest.approx(20 / 3) == pytest.approx(best_value(problem))
    assert check(HAND, problem.plan(judged), measures=judged.measures) == ()


def test_a_batch_waits_for_its_last_sample_and_takes_longer_for_parked_ones() -> None:
    """Sample 1 comes at 4: both run 4-7. Sample 0 goes on at once (7-10); sample 1 was not in that batch: 10-15."""
    problem = offline_serving(known_instance([[2, 3], [3, 4]], [0, 4], [2, 2], switch=[0, 2]))
    times = serving_times(problem.serving, problem.samples, [(0, (0, 1)), (1, (0,)), (1, (1,))])
    assert times.start.tolist() == [4, 7, 10]
    assert times.completion.tolist() == [10, 15]


def test_energy_counts_idle_devices() -> None:
    """Two devices of 0.5 W idle; batches cost twice their seconds in joules."""
    instance = random_instance(5, devices=2, samples=3)
    problem = offline_serving(instance)
    batches = random_batches(problem, np.random.default_rng(0))
    times = serving_times(problem.serving, problem.samples, batches)
    found = serving_measures(problem.serving, problem.samples, batches, times)
    whole = found["makespan"] - float(problem.samples.arrival[0])
    idle = sum(0.5 * (whole - float(busy)) for busy in times.busy)
    assert found["energy"] == pytest.approx(2 * float(times.busy.sum()) + idle)


WRONG = [
    ([(0, ())], "0 samples, expected 1 to 2"),
    ([(0, (0, 1, 2))], "3 samples, expected 1 to 2"),
    ([(0, (7,))], "sample 7, expected 0 to 2"),
    ([(0, (0, 0))], "twice"),
    ([(1, (0,))], "expected net/e1 next"),
    ([(0, (1,)), (1, (1,))], "has left"),
    ([(0, (0,)), (0, (1, 2)), (1, (0,))], "sample 2 stops before stage net/e2"),
]


@pytest.mark.parametrize(("batches", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_no_plan_is_refused(batches: list[tuple[int, tuple[int, ...]]], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        offline_serving(HAND).judge(batches)


def test_other_objectives_and_limits_are_refused() -> None:
    from msgspec.structs import replace

    from dnnplan.instances import Limits

    with pytest.raises(UnsupportedError, match="mean_latency or late"):
        offline_serving(replace(HAND, objective="energy"))
    with pytest.raises(UnsupportedError, match="limit 'energy'"):
        offline_serving(replace(HAND, limits=Limits(energy=3)))


@pytest.mark.parametrize("seed", range(60))
def test_evaluation_and_judge_agree_on_random_plans(seed: int) -> None:
    instance = random_instance(
        seed,
        samples=6,
        models=1 + seed % 2,
        devices=1 + seed % 3,
        largest=3,
        switch=seed % 4 == 0,
        weighted=seed % 5 == 0,
        whole=seed % 3 > 0,
        falling=seed % 7 == 0,
        objective="late" if seed % 2 else "mean_latency",
    )
    problem = offline_serving(instance)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        judged = problem.judge(random_batches(problem, rng))
        plan = problem.plan(judged)
        assert check(instance, plan, measures=judged.measures) == ()
        again = problem.judge(plan)
        assert again.measures == pytest.approx(judged.measures)


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_is_better_than_brute_force_says(seed: int) -> None:
    problem = offline_serving(
        random_instance(seed, samples=3, stages=2, devices=1 + seed % 2, switch=seed % 3 == 0)
    )
    best, rng = best_value(problem), np.random.default_rng(seed)
    assert min(problem.judge(random_batches(problem, rng)).value for _ in range(30)) >= best - 1e-9
