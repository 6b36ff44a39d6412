"""Every solver of the registry, judged alike: a new solver is picked up by being registered."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import msgspec
import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.objectives import objective_value
from dnnplan.formulations.mapping.bounds import critical_path_bound, latency_bounds
from dnnplan.instances import Instance, Plan, Result, UnsupportedError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import all_executions, layered, random_small
from dnnplan.solvers import get_solver, solve, solver_names
from dnnplan.solvers.registry import ALL_OBJECTIVES

SOLVERS = solver_names()
EXACT = tuple(name for name in SOLVERS if get_solver(name).capabilities.exact)
SETTINGS = all_executions()[::7]
TINY_OPTIMUM = 0.013


def limited(name: str, seconds: float) -> dict[str, float]:
    """Limits: seconds for proofs; searches without proof end by their work, which compiled loops never miss."""
    return {"time_limit": seconds} if name in EXACT else {"time_limit": 60, "work_limit": 0.05}


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_states_what_it_can_do(name: str) -> None:
    solver = get_solver(name)
    assert len(solver.summary) > 10
    assert solver.capabilities.problem == "mapping"
    assert set(solver.capabilities.objectives) <= set(ALL_OBJECTIVES)
    assert "latency" in solver.capabilities.objectives


@pytest.mark.parametrize("name", SOLVERS)
def test_known_optimum_is_never_beaten_and_is_reached_by_exact_solvers(name: str) -> None:
    result = solve(load_bundled("tiny/hand"), name, **limited(name, 20))
    assert result.valid
    assert result.objective.value is not None
    assert result.objective.value >= TINY_OPTIMUM * (1 - 1e-6)
    if result.bound is not None:
        assert result.bound <= TINY_OPTIMUM * (1 + 1e-6)
    if name in EXACT:
        assert result.status == "optimal"
        assert result.stop_reason == "proved"
        assert result.objective.value == pytest.approx(TINY_OPTIMUM, rel=1e-4)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "execution", SETTINGS, ids=lambda e: f"{e.staging}-{e.overlap}-{e.contention}-{e.memory}-{e.weights}"
)
def test_every_plan_is_valid_under_every_setting(name: str, execution) -> None:
    instance = random_small(4, execution)
    result = solve(instance, name, workers=1, **limited(name, 10))
    if result.plan is None:
        # Heuristics that ignore live memory may find nothing; exact solvers must know why.
        assert result.status in ("unknown", "infeasible")
        assert name not in EXACT or result.status == "infeasible"
        return
    assert result.valid, result.violations
    assert check(instance, result.plan, cost=result.cost) == ()
    again = evaluate(instance, result.plan)
    problem = mapping_problem(instance)
    assert objective_value(problem.stages[0], again.cost) == result.objective.value


@pytest.mark.parametrize("name", SOLVERS)
def test_result_survives_json(name: str) -> None:
    result = solve(load_bundled("tiny/hand"), name, **limited(name, 10))
    assert msgspec.json.decode(result.to_json(), type=Result) == result
    assert result.runtime > 0
    assert [entry[0] for entry in result.history] == sorted(entry[0] for entry in result.history)


@pytest.mark.parametrize("name", SOLVERS)
def test_stop_is_heeded_with_the_incumbent(name: str) -> None:
    instance = layered(layers=60, devices=4, seed=3)
    result = solve(instance, name, time_limit=30, stop=lambda: True)
    # Constructive solvers may be through before they ask; searches must notice.
    at_once = {
        "single_device",
        "compute_first",
        "heft",
        "lookahead",
        "frugal",
        "anneal",
        "lns",
        "h2h_compute",
        "peft",
        "cpop",
        "minmin",
        "maxmin",
        "duplex",
        "sufferage",
        "etf",
        "priced",
        "local_search",
    }
    assert result.stop_reason == "interrupted" or (name in at_once and result.stop_reason == "exhausted")


@pytest.mark.parametrize("name", SOLVERS)
def test_colocated_fixed_and_forbidden_layers_are_respected(name: str) -> None:
    instance = layered(layers=16, devices=3, seed=9, colocate=4, restrict=0.3, fixed=0.1)
    assert instance.models[0].colocate
    result = solve(instance, name, **limited(name, 2))
    assert result.valid, result.violations
    place = result.plan.placement
    for group in instance.models[0].colocate:
        assert len({place[f"{instance.models[0].name}/0/{layer}"] for layer in group}) == 1


@pytest.mark.parametrize("name", SOLVERS)
def test_warm_start_is_never_lost(name: str) -> None:
    instance = layered(layers=18, devices=3, seed=5)
    start = solve(instance, "lookahead", time_limit=5)
    assert isinstance(start.plan, Plan)
    result = solve(instance, name, warm_start=start.plan, **limited(name, 1))
    assert result.objective.value <= start.objective.value * (1 + 1e-12)


def eight_layers() -> Instance:
    return layered(layers=8, devices=3, seed=1)


@cache
def energy_between() -> float:
    """Halfway between what heft spends and the least that any plan can spend."""
    instance = eight_layers()
    spent = solve(instance, "heft", time_limit=5).cost.energy
    least = solve(instance, "cpsat", objective="energy", time_limit=20)
    assert least.status == "optimal"
    assert least.cost.energy < 0.99 * spent
    return (spent + least.cost.energy) / 2


@pytest.mark.parametrize("name", SOLVERS)
def test_limit_on_energy_is_kept(name: str) -> None:
    limit = energy_between()
    result = solve(eight_layers(), name, limits={"energy": limit}, **limited(name, 10))
    if name in EXACT:
        assert result.plan is not None
    if result.plan is None:
        assert result.status == "unknown"
    else:
        assert result.valid
        assert result.cost.energy <= limit * (1 + 1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_infeasible_is_reported_with_the_reason(name: str) -> None:
    result = solve(load_bundled("tiny/hand"), name, time_limit=10, limits={"latency": TINY_OPTIMUM * 0.5})
    assert result.status == "infeasible"
    assert result.message
    assert result.plan is None


@pytest.mark.parametrize("name", EXACT)
def test_lexicographic_keeps_the_first_objective(name: str) -> None:
    instance = load_bundled("tiny/hand")
    result = solve(instance, name, objective="latency>traffic", time_limit=20)
    assert result.status == "optimal"
    assert result.cost.latency == pytest.approx(TINY_OPTIMUM, rel=1e-4)
    only = solve(instance, name, time_limit=20)
    assert result.cost.traffic <= only.cost.traffic * (1 + 1e-9)


def test_unknown_solver_and_objective_are_named() -> None:
    with pytest.raises(UnsupportedError, match=r"cpsta.*cpsat"):
        get_solver("cpsta")
    with pytest.raises(UnsupportedError, match="edp"):
        solve(load_bundled("tiny/hand"), "milp", objective="edp")


def test_bounds_are_ordered_as_theory_says() -> None:
    for seed in range(8):
        problem = mapping_problem(layered(layers=40, devices=4, seed=seed))
        path = next(b for b in latency_bounds(problem) if "communication" in b.name)
        assert critical_path_bound(problem).value <= path.value * (1 + 1e-9)


SCRIPT = """
import json, sys
from dnnplan.instances.generators import layered
from dnnplan.solvers import solve
instance = layered(layers=40, devices=4, seed=2)
print(json.dumps([solve(instance, s, time_limit=None, work_limit=0.2, workers=1).plan.placement for s in sys.argv[1:]]))
"""


def test_same_answer_whatever_the_hash_seed() -> None:
    names = [
        "single_device",
        "compute_first",
        "heft",
        "lookahead",
        "peft",
        "cpop",
        "duplex",
        "sufferage",
        "etf",
        "cpsat",
    ]
    answers = []
    for hash_seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, *names],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": ""},
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1]


def test_time_limit_ends_the_run() -> None:
    """Without any limit this instance takes minutes; the limit is why it ends."""
    result = solve(layered(layers=300, devices=6, seed=1), "auto", time_limit=2)
    assert (result.status, result.stop_reason) == ("feasible", "time_limit")
