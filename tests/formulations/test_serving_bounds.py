"""Bounds on serving: by hand, below brute force on random instances, and kernels against plain computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dnnplan.costs.serving.offline import offline_serving
from dnnplan.formulations.serving.bounds import (
    alone_bound,
    late_bound,
    mean_latency_bound,
    pair_bound,
    serving_bounds,
    share_bound,
)
from dnnplan.formulations.serving.bounds_kernels import shortest_first
from dnnplan.formulations.serving.late_kernels import fewest_late
from dnnplan.formulations.serving.shares import least_runs, payments, shares_of
from tests.support.serving_oracles import best_value, known_instance, random_offline

ROUNDING = 1e-9


def options(seed: int) -> dict[str, object]:
    """Settings of a random instance, all of them in turn."""
    several = seed % 4 == 0
    return {
        "samples": 4 if seed % 40 == 1 else 2 + seed % 2,
        "stages": 2 if several else 1 + seed % 3,
        "largest": 1 + seed % 3,
        "models": 1 + (seed % 5 == 0),
        "devices": 1 + several,
        "falling": seed % 6 == 0,
        "whole": seed % 2 == 0,
        "weighted": seed % 7 == 0,
        "switch": seed % 11 == 0,
    }


def test_bounds_by_hand() -> None:
    """Two samples at 0 with one stage of 2 s alone and 3 s for two: both at 3 is best, a mean of 3.

    Alone 2 s each. Shares 1.5 s: done at 1.5 and 3; no sample is done before 2: (2 + 3) / 2. Lumps: 1.5 x 3 / 2 - 1.5
    or 2 - 1.5, the smaller being 0.5 each: (1.5 + 3) / 2 + 0.5 = 2.75. Payments: the last of two pays
    min(2, 1.5 x 1.5) = 2, the first min(2 + 2, 1.5 (1.5 + 1)) = 3.75: 2.875.
    """
    problem = offline_serving(known_instance([[2, 3]], arrivals=[0, 0], depths=[1, 1]))
    assert best_value(problem) == 3
    assert alone_bound(problem) == 2
    assert share_bound(problem) == pytest.approx(2.75)
    assert pair_bound(problem) == pytest.approx(2.875)
    assert mean_latency_bound(problem.serving, problem.samples) == pytest.approx(2.75)


def test_late_bound_by_hand() -> None:
    """Three samples at 0 due at 3.5, shares 1.5 s: two fit."""
    problem = offline_serving(known_instance([[2, 3]], [0, 0, 0], [1, 1, 1], slo=3.5, objective="late"))
    assert late_bound(problem) == best_value(problem) == 1


@pytest.mark.parametrize("block", range(5))
def test_no_bound_on_the_mean_latency_is_above_the_optimum(block: int) -> None:
    for seed in range(600 * block, 600 * block + 600):
        problem = random_offline(seed, **options(seed))
        best = best_value(problem)
        for bound in serving_bounds(problem):
            assert bound.value <= best + ROUNDING * max(1.0, best), (seed, bound)
        if len(problem.serving.devices) == 1:
            assert pair_bound(problem) <= best + ROUNDING * max(1.0, best), seed


@pytest.mark.parametrize("block", range(3))
def test_no_bound_on_late_samples_is_above_the_optimum(block: int) -> None:
    for seed in range(600 * block, 600 * block + 600):
        problem = random_offline(seed, objective="late", **options(seed))
        assert late_bound(problem) <= best_value(problem) + ROUNDING, seed


def test_parts_of_the_samples_give_bounds_on_all() -> None:
    problem = random_offline(3, samples=6, stages=3)
    ids = np.arange(3)
    part = problem.of_samples(ids)
    assert part.n == 3
    assert share_bound(part) * 3 / 6 <= share_bound(problem) + ROUNDING


def test_shortest_remaining_work_first_by_hand() -> None:
    """0-1 job 0, at 1 the job of 1 s comes: 1-2; then the rest of job 0, 2-4; the last comes at 9."""
    found = shortest_first(np.array([0.0, 1.0, 9.0]), np.array([3.0, 1.0, 2.0]))
    assert found.tolist() == [2, 4, 11]


@pytest.mark.parametrize("seed", range(20))
def test_shortest_remaining_work_first_is_that_of_small_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    release, work = np.sort(rng.integers(0, 12, 6)), rng.integers(1, 6, 6)
    left, ends = work.copy(), []
    for now in range(100):
        ready = [j for j in range(6) if release[j] <= now and left[j] > 0]
        if ready:
            j = min(ready, key=lambda k: left[k])
            left[j] -= 1
            if left[j] == 0:
                ends.append(now + 1.0)
    assert shortest_first(release.astype(float), work.astype(float)).tolist() == ends


@pytest.mark.parametrize("seed", range(60))
def test_fewest_late_is_that_of_trying_all_sets(seed: int) -> None:
    """Agreeable jobs: a set is in time if it is in the order of deadlines."""
    rng = np.random.default_rng(seed)
    release = np.sort(rng.integers(0, 10, 6)).astype(float)
    deadline = np.sort(release + rng.integers(1, 9, 6))
    work = rng.integers(1, 5, 6).astype(float)

    def in_time(chosen: tuple[int, ...]) -> bool:
        now = 0.0
        for j in chosen:
            now = max(now, release[j]) + work[j]
            if now > deadline[j]:
                return False
        return True

    most = max(k for k in range(7) if any(in_time(c) for c in itertools.combinations(range(6), k)))
    assert fewest_late(release, deadline, work) == 6 - most


def test_shares_of_tables_that_fall() -> None:
    """Four samples take no longer than three: of three a batch of four is the model."""
    found = shares_of(np.array([[0.0, 4.0, 5.0, 9.0, 6.0]]))
    assert found.latency.tolist() == [[0, 4, 5, 6, 6]]
    assert found.share.tolist() == [1.5]
    assert found.least.tolist() == [4]


def test_payments_and_runs_by_hand() -> None:
    part = shares_of(np.array([[0.0, 2.0, 3.0]])).part
    assert payments(part, 2)[0].tolist() == [[0, 0, 0], [2, 4, 6], [2, 3.75, 5.25]]
    assert least_runs(np.array([[0.0, 2.0, 3.0]]), 4).tolist() == [[0, 2, 3, 5, 6]]
