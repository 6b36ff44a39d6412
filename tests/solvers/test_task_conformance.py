"""Every solver of grouping, choosing networks, grouping with ordering and serving, judged alike as registered."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.check import check
from dnnplan.costs.judged import Judged
from dnnplan.instances import Instance, Limits, Precedence, Result, Sharing, Task
from dnnplan.instances.generators import task_sharing
from dnnplan.instances.sections import Candidate
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.tasks import VIEWS
from tests.support.serving_oracles import best_judged, known_instance, random_instance
from tests.support.task_oracles import (
    best_choice,
    best_graph_and_order,
    best_task_graph,
    random_grouping,
    random_joint,
    random_selection,
)


def random_serving(seed: int) -> Instance:
    """A few samples on one device; odd seeds count late ones."""
    objective = "late" if seed % 2 else "mean_latency"
    return random_instance(seed, samples=4, stages=3, models=1 + seed % 2, weighted=True, objective=objective)


RANDOM: dict[str, Any] = {
    "grouping": random_grouping,
    "selection": random_selection,
    "joint": random_joint,
    "serving": random_serving,
}
BEST: dict[str, Any] = {
    "grouping": best_task_graph,
    "selection": best_choice,
    "joint": best_graph_and_order,
    "serving": best_judged,
}
SOLVERS = [(problem, name) for problem in RANDOM for name in solver_names(problem)]
EVERY = pytest.mark.parametrize(("problem", "name"), SOLVERS)
SEEDS = {
    "grouping": (1, 5, 8, 12),
    "selection": (0, 2, 3, 4),
    "joint": (0, 1, 3, 10),
    "serving": (0, 1, 2, 3),
}
"""Small instances with and without limits; the answers of some are none."""
ALWAYS = ("serving",)
"""Problems without limits, which always have an answer."""


def solved(instance: Instance, problem: str, name: str, **settings: Any) -> Result:
    """A result for the objective of the instance, which another problem could have as well."""
    objective = instance.objective
    return dnnplan.solve(instance, name, problem=problem, objective=objective, workers=1, **settings)


@cache
def least(problem: str, seed: int) -> Judged | None:
    """The best of all answers to a random instance, once for all solvers."""
    found: Judged | None = BEST[problem](VIEWS[problem](RANDOM[problem](seed)))
    return found


def larger(problem: str, tasks: int) -> Instance:
    """Some tasks with a limit; fourteen are too many for a solver to be through at once."""
    if problem == "serving":
        rng = np.random.default_rng(1)
        rows = [[1.0 + 0.3 * b for b in range(1, 5)], [2.0 + 0.2 * b for b in range(1, 5)]]
        times = np.sort(rng.uniform(0, tasks, tasks)).tolist()
        return known_instance(rows, times, rng.integers(1, 3, tasks).tolist())
    if problem == "selection":
        rng = np.random.default_rng(1)
        names = [f"t{k}" for k in range(tasks)]
        candidates = []
        for _ in range(9 * tasks):
            served = rng.choice(names, int(rng.integers(1, 6)), replace=False).tolist()
            figures = {name: float(rng.integers(1, 1000)) for name in served}
            candidates.append(Candidate(tasks=tuple(served), cost=float(rng.integers(1, 50)), loss=figures))
        return Instance(
            objective="loss",
            tasks=tuple(Task(name=name, model="net") for name in names),
            sharing=Sharing(candidates=tuple(candidates)),
            limits=Limits(budget=10.0 * tasks),
        )
    instance = task_sharing(tasks, 3, seed=1)
    first, second, *_ = instance.tasks
    return replace(
        instance,
        objective="variety" if problem == "grouping" else "switching",
        limits=Limits(size=40_000 * tasks) if problem == "grouping" else Limits(variety=1.0),
        precedences=(Precedence(before=second.name, after=first.name),) if problem == "joint" else (),
    )


@EVERY
def test_answers_are_valid_and_no_bound_is_above_the_best(problem: str, name: str) -> None:
    able = get_solver(name, problem).capabilities
    assert able.problem == problem
    for seed in SEEDS[problem]:
        instance = RANDOM[problem](seed)
        best = least(problem, seed)
        result = solved(instance, problem, name, time_limit=20, work_limit=None if able.exact else 0.02)
        assert msgspec.json.decode(result.to_json(), type=Result) == result
        sign = -1.0 if result.objective.sense == "max" else 1.0
        if result.bound is not None:
            assert able.bounds
            assert best is None or sign * result.bound <= best.value + 1e-7 * max(1.0, abs(best.value))
        if result.plan is None:
            if able.exact or result.status == "infeasible":
                assert best is None
                assert result.status == "infeasible", (seed, result.stop_reason)
                assert result.message
            continue
        assert best is not None
        assert result.objective.value is not None
        assert result.valid, result.violations
        claims = {"measures": result.measures, "objective": result.objective}
        assert check(instance, result.plan, **claims) == ()
        assert sign * result.objective.value >= best.value - 1e-9 * max(1.0, abs(best.value))
        if able.exact:
            assert result.status == "optimal", seed
            assert sign * result.objective.value == pytest.approx(best.value, rel=1e-4, abs=1e-9)


def test_some_of_the_instances_have_no_answer() -> None:
    for problem, seeds in SEEDS.items():
        found = [least(problem, seed) is None for seed in seeds]
        assert set(found) == ({False} if problem in ALWAYS else {False, True}), (problem, found)


@EVERY
def test_stop_is_heeded(problem: str, name: str) -> None:
    result = solved(larger(problem, 14), problem, name, time_limit=60, stop=lambda: True)
    assert result.stop_reason in ("interrupted", "exhausted", "proved")
    assert result.valid or result.plan is None


@EVERY
def test_tiny_time_limits_are_kept(problem: str, name: str) -> None:
    """Without any limit some of the searches take minutes; the limit is why they end."""
    result = solved(larger(problem, 14), problem, name, time_limit=0.05)
    assert result.stop_reason in ("time_limit", "exhausted", "proved")
    assert result.valid or result.plan is None


@EVERY
def test_same_seed_same_answer_under_a_work_limit(problem: str, name: str) -> None:
    """Six tasks: not every solver counts its work."""
    instance = larger(problem, 6)
    runs = [solved(instance, problem, name, time_limit=None, work_limit=0.1, seed=3) for _ in range(2)]
    assert runs[0].plan == runs[1].plan
    assert runs[0].objective == runs[1].objective
    assert runs[0].status == runs[1].status
