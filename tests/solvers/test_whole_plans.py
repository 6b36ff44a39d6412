"""Every solver of the whole plan, judged alike as registered, against all task graphs with all mappings."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.check import check
from dnnplan.costs.sharing.graph import indexed_groups
from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.instances import Instance, Limits, Result, Sharing, UnsupportedError
from dnnplan.instances.generators import whole_instance
from dnnplan.instances.sections import Ordering
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.tasks import with_problem
from dnnplan.solvers.whole.alternating import carried_over, costs_of_placement
from dnnplan.solvers.whole.candidates import Candidate
from dnnplan.solvers.whole.planning import plan
from dnnplan.solvers.whole.sequential import graph_stage, run_steps
from dnnplan.solvers.whole.start import propose_lists
from dnnplan.solvers.whole.task_graphs import Pool
from tests.support.task_oracles import task_graphs
from tests.support.whole_oracles import best_whole, random_whole

NAMES = solver_names("whole")
SEEDS = (1, 2, 3, 4, 5, 17)
"""Energy, a sum, stages and latency, some with little memory; the last one has no plan."""
EVERY = pytest.mark.parametrize("name", NAMES)


def small(seed: int) -> Instance:
    """Two tasks, but three for seed 2."""
    return random_whole(seed, tasks=3 if seed == 2 else 2)


@cache
def least(seed: int) -> float | None:
    """The best value of the first stage, once for all solvers."""
    return best_whole(whole_problem(small(seed)))


def solved(instance: Instance, name: str, **settings: Any) -> Result:
    """A result for the objective of the instance, whatever it is about."""
    settings = {"time_limit": 20, "workers": 1} | settings
    return dnnplan.solve(instance, name, problem="whole", objective=instance.objective, **settings)


@EVERY
def test_answers_are_valid_and_no_bound_is_above_the_best(name: str) -> None:
    able = get_solver(name, "whole").capabilities
    assert able.problem == "whole"
    for seed in SEEDS:
        instance, best = small(seed), least(seed)
        result = solved(instance, name, time_limit=20 if able.exact else 2)
        assert msgspec.json.decode(result.to_json(), type=Result) == result
        if best is None:
            assert result.plan is None, seed
            assert not able.exact or result.status == "infeasible", seed
            continue
        if result.bound is not None:
            assert able.bounds
            assert result.bound <= best + 1e-7 * max(1.0, abs(best)), (seed, result.bound_name)
        if result.plan is None:
            assert not able.exact, seed
            continue
        assert result.valid, result.violations
        assert result.plan.problem == "joint"
        claims = {"measures": result.measures, "objective": result.objective, "cost": result.cost}
        assert check(instance, result.plan, **claims) == ()
        assert result.objective.value is not None
        assert result.objective.value >= best - 1e-9 * max(1.0, abs(best))
        if able.exact:
            assert result.status == "optimal", seed
            assert result.objective.value == pytest.approx(best, rel=1e-4, abs=1e-9)


def test_the_seeds_cover_what_they_are_meant_to() -> None:
    problems = [whole_problem(small(seed)) for seed in SEEDS]
    assert {p.instance.objective for p in problems} == {small(seed).objective for seed in range(5)}
    assert {p.instance.platform.execution.memory for p in problems} == {"none", "static"}
    assert {least(seed) is None for seed in SEEDS} == {False, True}


@EVERY
def test_stop_is_heeded(name: str) -> None:
    result = solved(whole_instance(8, 8, 4, seed=1), name, time_limit=60, stop=lambda: True)
    assert result.stop_reason in ("interrupted", "exhausted", "proved")
    assert result.valid or result.plan is None


@EVERY
def test_tiny_time_limits_are_kept(name: str) -> None:
    result = solved(whole_instance(8, 8, 4, seed=1), name, time_limit=0.05)
    assert result.stop_reason in ("time_limit", "exhausted", "proved")
    assert result.valid or result.plan is None


@pytest.mark.parametrize("name", ["auto", "sequential"])
def test_a_search_whose_time_is_gone_has_a_plan_all_the_same(name: str) -> None:
    """Whatever came first may have spent the time on loading libraries."""
    problem = whole_problem(whole_instance(3, 4, 2, seed=1))
    search = TaskSearch(problem, Settings(time_limit=0.0), name=name)
    get_solver(name, "whole").run(problem, search)
    assert search.best is not None


def test_mappings_of_task_graphs_are_polished_before_proofs() -> None:
    """The best plan comes from another task graph than list schedules say; what the search found is its key."""
    problem = whole_problem(whole_instance(4, 6, 3, 21, layers=2))
    search = TaskSearch(problem, Settings(time_limit=None, work_limit=30.0, workers=1), name="test")
    pool = Pool(problem, search, 30.0)
    assert pool.begin()
    lists = TaskSearch(problem, Settings(time_limit=None), name="test")
    for one in pool.all:
        propose_lists(problem, lists, one.groups)
    assert search.value < 0.95 * lists.value
    assert min(one.key for one in pool.all) == search.value
    assert sum(one.start is not None for one in pool.all) == len(pool.all)


def test_task_graphs_will_end_if_they_go_on_as_they_went() -> None:
    """Two of three closed in 4 s by two threads: the last one takes 2 s of one of them."""
    problem = whole_problem(whole_instance(3, 3, 2, seed=1, variety=1.0))
    search = TaskSearch(problem, Settings(time_limit=60, workers=2), name="test")
    pool = Pool(problem, search, 60.0)
    pool.all = [Candidate(0, 0.0, (), 0.0, bound) for bound in (0.0, math.inf, math.inf)]
    assert not pool.will_end(1e9)  # nothing is known of how they go
    pool.rates[0].closed += 2
    pool.rates[0].spent += 4.0
    assert pool.will_end(1.01)
    assert not pool.will_end(0.99)


@EVERY
def test_same_seed_same_answer_under_a_work_limit(name: str) -> None:
    instance = whole_instance(3, 4, 2, seed=2)
    runs = [solved(instance, name, time_limit=None, work_limit=0.3, seed=3) for _ in range(2)]
    assert runs[0].plan == runs[1].plan
    assert runs[0].objective == runs[1].objective
    assert runs[0].status == runs[1].status


@EVERY
def test_networks_that_share_nothing_are_ordered_and_mapped(name: str) -> None:
    instance = replace(whole_instance(2, 3, 2, seed=1), sharing=None, limits=Limits())
    if name in ("cpsat", "milp"):
        with pytest.raises(UnsupportedError, match="nothing can be shared"):
            solved(instance, name)
        return
    result = solved(instance, name, time_limit=20 if name != "lns" else 3)
    assert result.valid, result.violations
    assert result.plan is not None
    assert result.plan.groups == ()
    assert sorted(result.plan.task_order) == ["task0", "task1"]
    mapped = dnnplan.solve(replace(instance, ordering=None), problem="mapping", time_limit=10)
    assert result.objective.value == pytest.approx(mapped.objective.value, rel=1e-4)


# -- step by step, in turn, and together -------------------------------------------------------------------


def searched(instance: Instance) -> tuple[WholeProblem, TaskSearch[WholeProblem]]:
    problem = whole_problem(instance)
    return problem, TaskSearch(problem, Settings(time_limit=20, workers=1))


def test_each_step_is_the_best_by_its_own_measure() -> None:
    problem, search = searched(whole_instance(3, 5, 2, seed=5))
    steps = run_steps(problem, search)
    assert steps is not None
    assert steps.proved
    assert problem.grouping is not None
    assert graph_stage(problem) == (("execution_cost", 1.0),)
    own = problem.grouping.measures(steps.groups)
    assert own["variety"] <= problem.limits["variety"] + 1e-9
    known = [problem.grouping.measures(graph) for graph in task_graphs((0, 1, 2), 3)]
    kept = [m["execution_cost"] for m in known if m["variety"] <= problem.limits["variety"]]
    assert own["execution_cost"] == pytest.approx(min(kept))
    assert search.best is not None
    assert search.best.decisions.groups == steps.groups


def test_joint_is_better_where_the_cheapest_task_graph_is_not_the_fastest() -> None:
    """Sharing on one device costs least there; on two devices two copies end sooner."""
    found = plan(whole_instance(3, 4, 2, seed=2), time_limit=20, workers=1)
    assert found.sequential is not None
    assert found.result.status == "optimal"
    assert found.result.objective.value < found.sequential.objective.value * 0.99
    assert found.loss == pytest.approx(found.sequential.objective.value / found.result.objective.value - 1)
    assert found.loss_at_most >= found.loss - 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_joint_is_never_worse_than_step_by_step(seed: int) -> None:
    instance = whole_instance(3, 4, 2, seed=seed)
    found = plan(instance, time_limit=30, workers=1)
    alone = plan(instance, "sequential", time_limit=30, workers=1)
    assert alone.sequential is None
    assert alone.loss is None
    assert found.result.objective.value <= alone.result.objective.value * (1 + 1e-9)
    turns = plan(instance, "alternating", time_limit=30, workers=1)
    assert turns.result.objective.value <= alone.result.objective.value * (1 + 1e-9)


def test_a_mapping_is_carried_over_to_another_task_graph() -> None:
    problem, search = searched(whole_instance(3, 4, 2, seed=1))
    run_steps(problem, search)
    assert search.best is not None
    answer = search.best.decisions
    names, levels = problem.tasks, problem.levels
    for groups in (problem.apart, indexed_groups([[list(names)]] * levels, names, levels)):
        moved = carried_over(problem, answer, groups)
        judged = problem.judge((groups, moved))
        assert sorted(judged.decisions.task_order) == [0, 1, 2]
        old, new = problem.layers(answer.groups), problem.layers(groups)
        for before, after in zip(old, new, strict=True):
            # Blocks of the first task run where they ran.
            places = [answer.evaluation.decisions.place[i] for i in before[0]]
            assert [moved.place[i] for i in after[0]] == places
    assert (
        problem.judge((answer.groups, carried_over(problem, answer, answer.groups))).value < 2 * search.value
    )


def test_costs_of_a_placement_count_less_where_devices_are_idle() -> None:
    """By hand: what runs alone on one of two devices counts half, what runs beside another call fully."""
    problem, search = searched(whole_instance(2, 3, 2, seed=1, ccr=0))
    run_steps(problem, search)
    assert search.best is not None
    answer = search.best.decisions
    found, view = answer.evaluation, problem.mapping(answer.groups)
    costs = {power: costs_of_placement(problem, answer, power).compute for power in (0.0, 1.0, 2.0)}
    spans = list(zip(found.start, found.end, strict=True))
    for b, row in enumerate(problem.layers(answer.groups)):
        for t, (layer,) in enumerate(row):
            start, end = spans[layer]
            together = sum(max(0.0, min(end, e) - max(start, s)) for s, e in spans)
            busy = together / (2 * (end - start))
            assert 0.5 - 1e-9 <= busy <= 1 + 1e-9
            seconds = view.duration[layer, found.decisions.place[layer]]
            for power, compute in costs.items():
                assert compute[b, t] == pytest.approx(seconds * busy**power)


# -- which problem is meant --------------------------------------------------------------------------------


def kind_of(instance: Instance, problem: str | None, objective: str | None = None) -> tuple[str, str]:
    asked = replace(instance, objective=objective) if objective else instance
    found, kind = with_problem(asked, problem, explicit=objective is not None)
    return kind, found.objective


def test_joint_means_the_whole_plan_where_tasks_are_mapped() -> None:
    several = whole_instance(2, 3, 2, seed=1)
    one = whole_instance(2, 3, 1, seed=1)
    assert kind_of(several, "joint") == ("whole", "latency")
    assert kind_of(several, None) == ("whole", "latency")  # The variety is limited.
    assert kind_of(replace(several, limits=Limits()), None) == ("mapping", "latency")
    assert kind_of(several, "joint", "energy") == ("whole", "energy")
    assert kind_of(replace(several, objective="energy"), "joint") == ("whole", "energy")
    assert kind_of(several, None, "latency=1,variety=2") == ("whole", "latency=1,variety=2")
    assert kind_of(several, "joint", "switching") == ("joint", "switching")
    assert kind_of(one, "joint") == ("joint", "switching")
    assert kind_of(one, "joint", "latency") == ("whole", "latency")
    assert kind_of(replace(one, limits=Limits(memory=9)), "joint") == ("whole", "latency")
    assert kind_of(replace(one, sharing=None, limits=Limits()), "joint") == ("whole", "latency")
    assert kind_of(replace(one, platform=None, sharing=Sharing(), ordering=Ordering()), "joint")[0] == "joint"


def test_stages_of_graph_and_mapping_follow_each_other() -> None:
    """Least latency first, then the least variety that keeps it; and the other way round."""
    instance = replace(whole_instance(2, 4, 2, seed=3), limits=Limits())
    fast = solved(replace(instance, objective="latency>variety"), "auto")
    like = solved(replace(instance, objective="variety>latency"), "auto")
    assert fast.status == like.status == "optimal"
    assert like.measures["variety"] == 0
    assert fast.measures["latency"] <= like.measures["latency"] * (1 + 1e-6)
    alone = solved(replace(instance, objective="latency"), "auto")
    assert fast.measures["latency"] == pytest.approx(alone.measures["latency"], rel=1e-4)
    limited = solved(replace(instance, objective="latency", limits=Limits(variety=0)), "auto")
    assert like.measures["latency"] == pytest.approx(limited.measures["latency"], rel=1e-4)


def test_limits_that_mean_nothing_are_refused() -> None:
    instance = replace(whole_instance(2, 3, 2, seed=1), limits=Limits(loss=1))
    with pytest.raises(UnsupportedError, match="loss"):
        solved(instance, "sequential")
