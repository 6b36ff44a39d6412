"""Solvers of serving: labels and batches in order of arrival against brute force, moves, windows, and their twins."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import dnnplan
from dnnplan.costs.check import check
from dnnplan.costs.serving.offline import OfflineServing, offline_serving
from dnnplan.instances import UnsupportedError
from dnnplan.solvers import get_solver
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.serving.fifo_batches import best_path, is_exact
from dnnplan.solvers.serving.label_search import LabelSearch
from dnnplan.solvers.serving.labels import with_the_rest
from dnnplan.solvers.serving.local_search import _given, _sequence, _write
from dnnplan.solvers.serving.windows import plan_ahead, window_bound
from tests.support.serving_oracles import best_value, known_instance, random_batches, random_offline

OBJECTIVES = ("mean_latency", "late")


def proven(problem: OfflineServing, gap: float = 0.0) -> tuple[float, float]:
    """Value and bound of labels without limits."""
    labels = LabelSearch(problem, np.flatnonzero(problem.weight > 0), gap=gap)
    labels.begin()
    while not labels.step(1000)[1]:
        pass
    assert labels.complete
    return problem.judge(with_the_rest(problem, labels.batches())).value, labels.bound


def searched(problem: OfflineServing, **settings: object) -> TaskSearch[OfflineServing]:
    return TaskSearch(problem, Settings(**{"time_limit": 60, "workers": 1, **settings}), name="test")  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("block", range(4))
def test_labels_are_optimal(objective: str, block: int) -> None:
    """Several networks and weights, times that tie and times that do not, parked samples that come back."""
    for seed in range(80 * block, 80 * block + 80):
        problem = random_offline(
            seed,
            samples=4 if seed % 8 == 1 and seed % 3 < 2 else 3,
            stages=1 + seed % 3,
            largest=1 + seed % 3,
            models=1 + (seed % 5 == 0),
            whole=seed % 2 == 0,
            weighted=seed % 7 == 0,
            switch=seed % 4 == 0,
            objective=objective,
        )
        best = best_value(problem)
        value, bound = proven(problem)
        assert value == pytest.approx(best, abs=1e-9), seed
        assert best - 1e-6 * max(1.0, best) <= bound <= best + 1e-9, seed


def test_labels_of_tables_that_fall_bound_the_optimum() -> None:
    """Labels may take larger batches than there are samples for; the bound holds, the plan costs more."""
    for seed in range(60):
        problem = random_offline(seed, samples=3, stages=2, falling=True)
        best = best_value(problem)
        value, bound = proven(problem)
        assert bound <= best + 1e-9 <= value + 2e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stores_grow(objective: str) -> None:
    """A store of hardly any room grows several times, and answers and bounds stay the same."""
    problem = random_offline(2, samples=7, stages=3, objective=objective, whole=False)
    ids = np.arange(problem.n)
    small = LabelSearch(problem, ids, labels=16)
    small.begin()
    while not small.step(7)[1]:
        pass
    value, bound = proven(problem)
    assert problem.judge(with_the_rest(problem, small.batches())).value == pytest.approx(value)
    assert small.bound == pytest.approx(bound)


def test_labels_end_where_memory_does() -> None:
    problem = random_offline(2, samples=7, stages=3, whole=False)
    labels = LabelSearch(problem, np.arange(7), labels=16, most_bytes=1)
    labels.begin()
    while not labels.step(7)[1]:
        pass
    assert not labels.complete
    assert labels.bound <= proven(problem)[0] + 1e-9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_beam_gives_plans(objective: str) -> None:
    problem = random_offline(4, samples=7, stages=3, objective=objective)
    labels = LabelSearch(problem, np.arange(7))
    assert labels.beam(5)
    value = problem.judge(with_the_rest(problem, labels.batches())).value
    assert value >= proven(problem)[0] - 1e-9
    assert not labels.beam(1)


def test_labels_go_on_from_what_has_run() -> None:
    """Sample 0 has run its first stage when the device is free at 4: it leaves at 7, sample 1 runs 7-9 and 9-12."""
    problem = offline_serving(known_instance([[2, 3], [3, 4]], [0, 1], [2, 2]))
    labels = LabelSearch(problem, np.arange(2), progress=np.array([1, 0]), time=4.0)
    labels.begin()
    while not labels.step(100)[1]:
        pass
    assert labels.batches() == [(1, (0,)), (0, (1,)), (1, (1,))]
    assert labels.bound == pytest.approx((7 + 11) / 2)


def test_labels_refuse_what_they_do_not_cover() -> None:
    several = next(
        problem
        for seed in range(20)
        if len(set((problem := random_offline(seed, devices=2, stages=3)).serving.device.tolist())) > 1
    )
    with pytest.raises(UnsupportedError, match="2 devices"):
        get_solver("labels", "serving").run(several, searched(several))
    many = offline_serving(known_instance([[2]], [0] * 500, [1] * 500))
    with pytest.raises(UnsupportedError, match="500 samples"):
        get_solver("labels", "serving").run(many, searched(many))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_batches_in_order_of_arrival_are_optimal_for_one_stage(objective: str) -> None:
    """Also where larger batches take no longer (the size does not matter), or less long."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = [4.0] * 3 if seed % 3 == 0 else np.cumsum(rng.integers(1, 4, 3)).astype(float).tolist()
        rows = rows if seed % 5 else [3.0, 5.0, 4.0]
        times = np.sort(rng.integers(0, 9, 5)).tolist()
        problem = offline_serving(known_instance([rows], times, [1] * 5, slo=7, objective=objective))
        assert is_exact(problem)
        search = searched(problem)
        get_solver("fifo_batches", "serving").run(problem, search)
        assert search.value == pytest.approx(best_value(problem)), seed
        assert search.proved


def test_batches_in_order_of_arrival_claim_nothing_otherwise() -> None:
    for options in ({"stages": 2, "samples": 5}, {"models": 2, "stages": 1, "samples": 5}):
        problem = random_offline(7, **options)
        if is_exact(problem):
            continue
        search = searched(problem)
        get_solver("fifo_batches", "serving").run(problem, search)
        assert search.value is not None
        assert search.bound is None


def test_batches_in_order_of_arrival_heed_stop() -> None:
    problem = offline_serving(known_instance([[2]], [0] * 100, [1] * 100))
    assert best_path(problem, lambda: True) is None


@pytest.mark.parametrize("seed", range(25))
def test_times_of_moves_are_those_of_the_evaluation(seed: int) -> None:
    """Costs of the compiled sequences, of the best one after many moves too."""
    from dnnplan.solvers.kernels import serving_moves as moves

    problem = random_offline(
        seed, samples=6, stages=3, models=1 + seed % 2, devices=1 + seed % 3, switch=seed % 2 == 0
    )
    given, sequence = _given(problem), _sequence(problem, seed)
    batches = random_batches(problem, np.random.default_rng(seed))
    _write(sequence, batches)
    assert moves.cost_of(given, sequence) == pytest.approx(problem.judge(batches).value)
    sequence.value[:] = moves.cost_of(given, sequence)
    count = moves.anneal(given, sequence, 2000, 0.1, 12)
    if count:
        best = [
            (int(sequence.best_stage[k]), tuple(sequence.best_member[k, : sequence.best_size[k]].tolist()))
            for k in range(count)
        ]
        assert problem.judge(best).value == pytest.approx(float(sequence.value[moves.BEST]))
    now = int(sequence.state[moves.BATCHES])
    end = [
        (int(sequence.stage[k]), tuple(sequence.member[k, : sequence.size[k]].tolist())) for k in range(now)
    ]
    assert problem.judge(end).value == pytest.approx(float(sequence.value[moves.NOW]))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_local_search_finds_optima_of_small_problems(objective: str) -> None:
    found = 0
    for seed in range(12):
        problem = random_offline(seed, samples=4, stages=2, devices=1 + seed % 2, objective=objective)
        search = searched(problem, time_limit=None, work_limit=0.1)
        get_solver("local_search", "serving").run(problem, search)
        found += search.value <= best_value(problem) + 1e-9
    assert found >= 11


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_windows_bound_and_plan_many_samples(objective: str) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.exponential(1.6, 60)).tolist()
    depths = rng.integers(1, 3, 60).tolist()
    instance = known_instance([[2, 2.5, 3], [1, 1.4, 1.6]], times, depths, slo=9, objective=objective)
    problem = offline_serving(instance)
    search = searched(problem)
    batches = plan_ahead(problem, search)
    assert batches is not None
    judged = problem.judge(with_the_rest(problem, batches))
    assert check(instance, problem.plan(judged), measures=judged.measures) == ()
    bound = window_bound(problem, search, 20.0)
    assert 0 <= bound <= judged.value
    if objective == "mean_latency":
        assert bound >= 0.6 * judged.value
        assert window_bound(problem, search, 0.0) <= judged.value


def test_windows_heed_stop() -> None:
    problem = random_offline(1, samples=6)
    assert plan_ahead(problem, searched(problem, stop=lambda: True)) is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_auto_proves_ten_samples_of_four_stages(objective: str) -> None:
    """All at once, and a batch of eight takes little longer than one sample."""
    rows = [
        [4 + 0.5 * b for b in range(1, 9)],
        [3 + b for b in range(1, 9)],
        [6.0] * 8,
        [2.0 * b for b in range(1, 9)],
    ]
    instance = known_instance(
        rows, [0, 0, 1, 1, 2, 2, 3, 3, 9, 9], [1, 2, 3, 4, 4, 3, 2, 1, 4, 4], slo=40, objective=objective
    )
    result = dnnplan.solve(instance, problem="serving", time_limit=60, workers=1)
    assert result.status == "optimal"
    assert result.valid


def test_samples_without_weight_run_last_and_cost_nothing() -> None:
    from msgspec.structs import replace

    instance = known_instance([[2, 3]], [0, 1], [1, 1])
    (stream,) = instance.workload.streams
    nothing = replace(instance, workload=replace(instance.workload, streams=(replace(stream, weight=0.0),)))
    result = dnnplan.solve(nothing, problem="serving", time_limit=10)
    assert (result.status, result.objective.value) == ("optimal", 0.0)


TWIN = """
import json, sys
sys.path.insert(0, ".")
import numpy as np
from dnnplan.solvers.kernels import serving_moves as moves
from dnnplan.solvers.serving.label_search import LabelSearch
from dnnplan.solvers.serving.local_search import _given, _sequence, _write
from tests.support.serving_oracles import random_batches, random_offline
answers = []
for seed, objective in ((0, "mean_latency"), (3, "late"), (5, "mean_latency")):
    problem = random_offline(seed, samples=5, stages=2, switch=seed == 5, objective=objective)
    labels = LabelSearch(problem, np.arange(5))
    labels.beam(3)
    labels.begin()
    while not labels.step(50)[1]:
        pass
    answers.append([labels.store.counts.tolist(), labels.store.values.tolist()[:4], labels.bound])
    given, sequence = _given(problem), _sequence(problem, seed)
    _write(sequence, random_batches(problem, np.random.default_rng(seed)))
    sequence.value[:] = moves.cost_of(given, sequence)
    moves.anneal(given, sequence, 200, 0.1, 5)
    answers.append([sequence.value.tolist(), sequence.stage.tolist(), sequence.member.tolist()])
print(json.dumps(answers))
"""


def test_compiled_searches_are_their_plain_twins() -> None:
    answers = []
    for disabled in ("0", "1"):
        environment = os.environ | {
            "NUMBA_DISABLE_JIT": disabled,
            "PYTHONPATH": ":".join([os.getcwd(), *(p for p in sys.path if p)]),
        }
        run = subprocess.run(
            [sys.executable, "-c", TWIN], capture_output=True, text=True, check=True, env=environment
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1]
