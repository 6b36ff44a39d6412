"""The CP-SAT model and the MILP of serving: what each constraint is there for, and brute force."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dnnplan.costs.serving.offline import OfflineServing, offline_serving
from dnnplan.formulations.serving import cpsat, milp
from dnnplan.formulations.serving.operations import MOST_OPERATIONS
from dnnplan.instances import UnsupportedError
from dnnplan.solvers import get_solver
from dnnplan.solvers.exact.highs import run_highs
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.serving_oracles import best_value, known_instance, random_offline

BACK_ENDS = pytest.mark.parametrize("back_end", [cpsat, milp], ids=["cpsat", "milp"])


def optimum(back_end: Any, problem: OfflineServing) -> float:
    """Value of the best solution of a model, whatever it is in truth."""
    v = back_end.build(problem)
    if back_end is cpsat:
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        if solver.solve(v.model) != cp_model.OPTIMAL:
            return math.inf
        return float(solver.objective_value * v.unit + v.constant)
    outcome = run_highs(
        v.model,
        time_limit=60,
        gap=1e-6,
        threads=1,
        seed=0,
        presolve=True,
        on_solution=lambda values: None,
        on_bound=lambda bound: None,
        stop=lambda: False,
    )
    return outcome.bound * v.unit + v.constant if outcome.status == "optimal" else math.inf


TWO = known_instance([[2, 3]], arrivals=[0, 0], depths=[1, 1])
CHAIN = known_instance([[2, 3], [3, 4]], arrivals=[0, 0], depths=[2, 2])
APART = known_instance([[4, 4]], arrivals=[0, 1], depths=[1, 1])
DUE = known_instance([[2, 3]], arrivals=[0, 0, 0], depths=[1, 1, 1], slo=3.5, objective="late")
NEEDED = [
    ("batches_have_a_size", TWO),
    ("batches_start_together", APART),
    ("batches_take_their_time", TWO),
    ("stages_follow_each_other", CHAIN),
    ("devices_run_one_batch", TWO),
    ("lateness_shows", DUE),
]


@BACK_ENDS
@pytest.mark.parametrize(("name", "instance"), NEEDED, ids=[name for name, _ in NEEDED])
def test_without_a_constraint_plans_look_better_than_they_are(
    back_end: Any, name: str, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair of each constraint: with it the optimum of brute force, without it something that no plan reaches.

    What samples pay for each other follows from the others, and is left out, so that it does not stand in for them.
    """
    problem = offline_serving(instance)
    best = best_value(problem)
    monkeypatch.setattr(back_end.constraints, "samples_wait_for_each_other", lambda v: None)
    assert optimum(back_end, problem) == pytest.approx(best, abs=1e-5)
    monkeypatch.setattr(back_end.constraints, name, lambda v: None)
    assert optimum(back_end, problem) < best * (1 - 1e-4)


REDUNDANT = (
    "sharing_is_transitive",
    "order_is_that_of_stages",
    "alike_samples_keep_their_order",
    "samples_wait_for_each_other",
)


@BACK_ENDS
@pytest.mark.parametrize("name", REDUNDANT)
@pytest.mark.parametrize("seed", [1, 4, 6, 12])
def test_redundant_constraints_cut_off_no_optimum(
    back_end: Any, name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = random_offline(seed, samples=4, stages=2, devices=1 + seed % 2)
    with_it = optimum(back_end, problem)
    monkeypatch.setattr(back_end.constraints, name, lambda v: None)
    assert optimum(back_end, problem) == pytest.approx(with_it, rel=1e-5)


@BACK_ENDS
@pytest.mark.parametrize(("slo", "late"), [(2, 1), (2.9, 1), (3, 0), (3.1, 0)])
def test_deadlines_are_kept_to_the_tick(back_end: Any, slo: float, late: int) -> None:
    """Two samples together take 3 s; one alone 2 s. A deadline that is a whole number of ticks is not loosened."""
    problem = offline_serving(known_instance([[2, 3]], [0, 0], [1, 1], slo=slo, objective="late"))
    assert optimum(back_end, problem) == pytest.approx(late, abs=1e-6)
    assert best_value(problem) == late


def test_alike_samples_are_those_of_one_network_depth_and_weight() -> None:
    problem = offline_serving(known_instance([[2, 3], [3, 4]], [0, 1, 2, 3], [1, 2, 1, 2]))
    assert cpsat.build(problem).operations.in_order == ((0, 2), (1, 3))


@pytest.mark.parametrize("objective", ["mean_latency", "late"])
@pytest.mark.parametrize("name", ["cpsat", "milp"])
@pytest.mark.parametrize("block", range(4))
def test_models_agree_with_trying_everything(name: str, objective: str, block: int) -> None:
    for seed in range(5 * block, 5 * block + 5):
        problem = random_offline(
            seed,
            samples=2 + seed % 3,
            stages=1 + seed % 3,
            models=1 + (seed % 5 == 0),
            devices=1 + (seed % 4 == 0),
            falling=seed % 6 == 0,
            whole=seed % 2 == 0,
            weighted=seed % 7 == 0,
            objective=objective,
        )
        best = best_value(problem)
        search = TaskSearch(problem, Settings(time_limit=60, workers=1), name=name)
        get_solver(name, "serving").run(problem, search)
        assert search.proved, seed
        assert search.value == pytest.approx(best, rel=1e-4, abs=1e-9), seed
        assert search.bound <= best + 1e-7 * max(1.0, best), seed


@pytest.mark.parametrize("back_end", ["cpsat", "milp"])
def test_models_refuse_what_they_do_not_cover(back_end: str) -> None:
    build = {"cpsat": cpsat.build, "milp": milp.build}[back_end]
    parked = offline_serving(known_instance([[2], [3]], [0, 0], [2, 2], switch=[0, 1]))
    with pytest.raises(UnsupportedError, match="parked samples"):
        build(parked)
    many = MOST_OPERATIONS + 1
    with pytest.raises(UnsupportedError, match=f"{many} operations"):
        build(offline_serving(known_instance([[2]], [0] * many, [1] * many)))


def test_the_milp_can_be_abandoned() -> None:
    assert milp.build(offline_serving(TWO), keep_going=lambda: False) is None
