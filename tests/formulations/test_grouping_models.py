"""The models of task graphs, constraint by constraint, and against each other and all task graphs there are."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from ortools.sat.python import cp_model

from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem, grouping_problem, mean_visits
from dnnplan.formulations.grouping import cpsat, milp
from dnnplan.formulations.grouping.levels import figures_of_sizes, least_by_count, price_of_limit
from dnnplan.formulations.grouping.visits import by_pairs
from dnnplan.instances import Instance, Limits, Ordering, Sharing, Task, UnsupportedError
from dnnplan.instances.sections import Block, BlockCost
from dnnplan.solvers import get_solver, solve, solver_names
from dnnplan.solvers.exact.highs import run_highs
from dnnplan.solvers.grouping.cpsat import CpSat
from dnnplan.solvers.grouping.milp import Milp
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.task_oracles import (
    agrees,
    best_task_graph,
    partitions,
    random_grouping,
    task_graphs,
)

Parted = list[set[tuple[int, int]]]
TOGETHER, APART = ((0, 1, 2),), ((0,), (1,), (2,))
SPLIT = ((0, 1), (2,))


def three(objective: str = "variety", limits: Limits | None = None) -> GroupingProblem:
    """Three tasks and two branch points; 0 and 1 are alike (0.1), 2 is not (0.8); the second task is the dear one."""
    affinity = ((1, 0.9, 0.2), (0.9, 1, 0.2), (0.2, 0.2, 1))
    dear = {"b": BlockCost(bytes=7, compute=5, load=3)}
    blocks = (Block(bytes=4, compute=2, load=1, costs=dear), Block(bytes=2, compute=1, load=0, costs=dear))
    instance = Instance(
        objective=objective,
        tasks=tuple(Task(name=name, model="net") for name in "abc"),
        sharing=Sharing(
            branch_points=("p", "q"),
            affinity=(affinity, affinity),
            blocks=blocks,
            stem=Block(bytes=10, compute=1),
            head=Block(bytes=1, compute=1),
        ),
        limits=limits or Limits(),
    )
    return grouping_problem(instance)


# -- running a model with some of its variables fixed --------------------------------------------------------


def with_cpsat(problem: GroupingProblem, parted: Parted) -> float | None:
    """Least value with the pairs that have parted fixed; None if there is none."""
    v = cpsat.build(problem)
    assert v is not None
    for level, pairs in enumerate(parted):
        for pair, apart in v.apart[level].items():
            v.model.add(apart == int(pair in pairs))
    solver = cp_model.CpSolver()
    if solver.solve(v.model) != cp_model.OPTIMAL:
        return None
    return solver.objective_value * v.unit + v.constant


def with_milp(problem: GroupingProblem, parted: Parted) -> float | None:
    """The same for the MILP."""
    v = milp.build(problem)
    assert v is not None
    for level, pairs in enumerate(parted):
        for pair, apart in v.apart[level].items():
            apart.lowBound = apart.upBound = int(pair in pairs)
    outcome = run_highs(
        v.model,
        time_limit=20,
        gap=0.0,
        threads=1,
        seed=0,
        presolve=True,
        on_solution=lambda values: None,
        on_bound=lambda bound: None,
        stop=lambda: False,
    )
    return outcome.bound * v.unit + v.constant if outcome.status == "optimal" else None


BACK_ENDS = pytest.mark.parametrize("least", [with_cpsat, with_milp], ids=["cpsat", "milp"])


def parted_by(groups: Groups) -> Parted:
    n = sum(len(group) for group in groups[0]) if groups else 0
    return [
        {
            pair
            for pair in itertools.combinations(range(n), 2)
            if not any(set(pair) <= set(group) for group in level)
        }
        for level in groups
    ]


def optimum(least: Any, problem: GroupingProblem, *groups: tuple[tuple[int, ...], ...]) -> float | None:
    found: float | None = least(problem, parted_by(groups))
    return found


# -- constraints ---------------------------------------------------------------------------------------------


@BACK_ENDS
def test_tasks_that_part_stay_apart(least: Any) -> None:
    assert optimum(least, three(), TOGETHER, SPLIT) is not None
    assert optimum(least, three(), SPLIT, TOGETHER) is None


@BACK_ENDS
def test_together_is_transitive(least: Any) -> None:
    assert least(three(), [set(), {(0, 2), (1, 2)}]) is not None
    assert least(three(), [set(), {(0, 2)}]) is None


def test_the_first_of_a_group_leads_it() -> None:
    for task, leads in ((0, True), (1, False), (2, True)):
        v = cpsat.build(three())
        assert v is not None
        for pair, apart in v.apart[0].items():
            v.model.add(apart == int(pair != (0, 1)))
        v.model.add(v.leaders[0, (0, 1, 2)].lead[task] == 1)
        assert (cp_model.CpSolver().solve(v.model) == cp_model.OPTIMAL) == leads


def test_groups_are_counted() -> None:
    for count in (1, 2, 3):
        v = cpsat.build(three())
        assert v is not None
        for pair, apart in v.apart[0].items():
            v.model.add(apart == int(pair != (0, 1)))
        v.model.add(v.count[0][count - 1] == 1)
        assert (cp_model.CpSolver().solve(v.model) == cp_model.OPTIMAL) == (count == 2)


@BACK_ENDS
def test_variety_is_the_mean_over_groups(least: Any) -> None:
    """All together 0.8; 0 with 1: (0.1 + 0) / 2."""
    assert optimum(least, three(), TOGETHER, SPLIT) == pytest.approx(0.85, abs=1e-5)
    assert optimum(least, three(), APART, APART) == pytest.approx(0.0, abs=1e-9)


@BACK_ENDS
def test_task_variety_is_the_mean_over_tasks(least: Any) -> None:
    """All together 0.8; 0 with 1: 2/3 of 0.1."""
    assert optimum(least, three("task_variety"), TOGETHER, SPLIT) == pytest.approx(0.8 + 0.2 / 3, abs=1e-5)


@BACK_ENDS
def test_a_node_takes_the_most_of_its_tasks(least: Any) -> None:
    """Stem 10, heads 3; the node of all takes 7 (task b), then that of a and b 7 and that of c 2."""
    assert optimum(least, three("size"), TOGETHER, SPLIT) == pytest.approx(13 + 7 + 9)


@BACK_ENDS
def test_limits_are_kept_with_the_tolerance_of_the_judge(least: Any) -> None:
    for name in MEASURES:
        groups = (TOGETHER, SPLIT)
        value = three().judge(groups).measures[name]
        at, below = Limits(**{name: value}), Limits(**{name: value * (1 - 1e-5)})
        assert optimum(least, three(limits=at), *groups) is not None
        assert optimum(least, three(limits=below), *groups) is None


@BACK_ENDS
def test_earlier_stages_may_not_get_worse(least: Any) -> None:
    for spare, possible in ((1e-9, True), (-1e-4, False)):
        problem = dataclasses.replace(three("size"), sums_at_most=(((("variety", 2.0),), 1.7 + spare),))
        assert (optimum(least, problem, TOGETHER, SPLIT) is not None) == possible


@BACK_ENDS
def test_every_measure_of_every_task_graph_is_that_of_the_judge(least: Any) -> None:
    """With costs that differ between tasks, and the cuts of the models in place."""
    for name in (*MEASURES, "variety=1,execution_cost=0.3"):
        problem = three(name)
        for groups in task_graphs((0, 1, 2), 2):
            value = problem.judge(groups).value
            assert optimum(least, problem, *groups) == pytest.approx(value, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("start", ["cold", "warm"])
@pytest.mark.parametrize("source", ["fresh", "same"])
def test_execution_cost_counts_visits_by_pairs(closed: bool, start: Any, source: Any) -> None:
    ordering = Ordering(closed=closed, start=start, input=source)
    for n in range(1, 6):
        for share in mean_visits(n, ordering):
            a, b = by_pairs(share)
            g = np.arange(n + 1)
            assert share == pytest.approx(a * g * (n - g) + b * g)
    instance = replace(three("execution_cost").instance, ordering=ordering)
    problem = grouping_problem(instance)
    for groups in ((TOGETHER, SPLIT), (SPLIT, APART), (TOGETHER, TOGETHER)):
        value = problem.judge(groups).value
        assert optimum(with_cpsat, problem, *groups) == pytest.approx(value, rel=1e-5, abs=1e-6)
        assert optimum(with_milp, problem, *groups) == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_visits_that_no_pairs_explain_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs and tasks"):
        by_pairs(np.array([0.0, 1.0, 5.0, 1.0]))


@BACK_ENDS
def test_affinities_above_one_are_refused(least: Any) -> None:
    problem = dataclasses.replace(three(), dissimilarity=three().dissimilarity - 0.5)
    with pytest.raises(UnsupportedError, match="at most 1"):
        least(problem, [set(), set()])


@pytest.mark.parametrize("name", solver_names("grouping"))
def test_affinities_above_one_by_rounding_are_solved(name: str) -> None:
    """What validation lets pass: the two tasks that are alike share their block and lose nothing."""
    near = ((1, 1.0000009, 0.5), (1.0000009, 1, 0.5), (0.5, 0.5, 1))
    instance = Instance(
        objective="variety",
        tasks=tuple(Task(name=task, model="net") for task in "abc"),
        sharing=Sharing(branch_points=("p",), affinity=(near,)),
        limits=Limits(size=2),
    )
    result = solve(instance, name, time_limit=20, work_limit=1.0)
    assert result.violations == ()
    if get_solver(name, "grouping").capabilities.exact:
        assert (result.status, result.objective.value) == ("optimal", 0.0)


# -- the least of a branch point -----------------------------------------------------------------------------

TERMS = [
    (("variety", 1.0),),
    (("task_variety", 1.0),),
    (("variety", 1.0), ("size", 0.2)),
    (("execution_cost", 1.0), ("task_variety", 3.0)),
]


@pytest.mark.parametrize("terms", TERMS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_the_least_of_a_branch_point_is_that_of_its_best_partition(terms: Any, seed: int) -> None:
    problem = grouping_problem(random_grouping(seed))
    least = least_by_count(problem, terms)
    for level, k in np.ndindex(*least.shape):
        values = [
            level_value(problem, terms, level, partition)
            for partition in partitions(tuple(range(problem.n)))
            if len(partition) == k + 1
        ]
        assert least[level, k] == pytest.approx(min(values))


def level_value(problem: GroupingProblem, terms: Any, level: int, partition: Any) -> float:
    block, costs = problem.rows.start + level, problem.costs
    mean, by_task = problem.level_variety(level, partition)
    size = sum(costs.bytes[block][list(group)].max() for group in partition)
    cost = sum(
        costs.compute[block][list(group)].max() * problem.share_compute[len(group)]
        + costs.load[block][list(group)].max() * problem.share_load[len(group)]
        for group in partition
    )
    measures = {"variety": mean, "task_variety": by_task, "size": size, "execution_cost": cost}
    return float(sum(weight * measures[name] for name, weight in terms))


@pytest.mark.parametrize("terms", TERMS, ids=str)
def test_sizes_of_groups_never_say_too_much(terms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        problem = grouping_problem(random_grouping(seed))
        exact = least_by_count(problem, terms)
        with monkeypatch.context() as patched:
            patched.setattr("dnnplan.formulations.grouping.levels.MOST_WORK", 0.0)
            assert np.all(least_by_count(problem, terms) <= exact + 1e-12)
    assert figures_of_sizes(three(), 0)["variety"].tolist() == pytest.approx([0, 0, 0.1, 0.8])


def test_a_stopped_programme_says_nothing() -> None:
    instance = Instance(
        objective="size",
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(8)),
        sharing=Sharing(branch_points=("p",)),
    )
    terms = (("size", 1.0),)
    assert least_by_count(grouping_problem(instance), terms).tolist() == [list(range(1, 9))]
    assert least_by_count(grouping_problem(instance), terms, lambda: False).tolist() == [[0.0] * 8]


@pytest.mark.parametrize("seed", range(8))
def test_the_price_of_a_limit_gives_a_bound(seed: int) -> None:
    """For any price the least of objective + price (sum - limit) is below every task graph that keeps the limit."""
    problem = grouping_problem(random_grouping(seed))
    stage, sums = (("variety", 1.0),), (("execution_cost", 1.0),)
    values = [problem.judge(g).measures for g in task_graphs(tuple(range(problem.n)), problem.levels)]
    inside = [m["execution_cost"] - outside_cost(problem) for m in values]
    limit = float(np.median(inside))
    price = price_of_limit(problem, stage, (sums, limit), lambda: True)
    least = least_by_count(problem, (*stage, ("execution_cost", price)))
    bound = float(least.min(axis=1).sum()) - price * limit
    best = min(m["variety"] for m, cost in zip(values, inside, strict=True) if cost <= limit)
    assert price >= 0
    assert bound <= best + 1e-9


def outside_cost(problem: GroupingProblem) -> float:
    """What stem and heads add to the execution cost."""
    graph = (tuple((t,) for t in range(problem.n)),) * problem.levels
    whole = problem.judge(graph).measures["execution_cost"]
    terms = (("execution_cost", 1.0),)
    return whole - sum(level_value(problem, terms, level, graph[level]) for level in range(problem.levels))


# -- whole models --------------------------------------------------------------------------------------------


def solved(solver: Any, problem: GroupingProblem) -> TaskSearch[GroupingProblem]:
    search = TaskSearch(problem, Settings(time_limit=60), name="test")
    solver.run(problem, search)
    return search


@pytest.mark.parametrize("seed", range(24))
def test_cpsat_milp_and_exhaustion_agree(seed: int) -> None:
    problem = grouping_problem(random_grouping(seed))
    best = best_task_graph(problem)
    for solver in (CpSat(), Milp()):
        search = solved(solver, problem)
        assert agrees(search.value, best), solver.summary
        assert search.proved
        assert (search.infeasible is not None) == (best is None)
        if best is not None:
            assert search.bound is not None
            assert search.bound <= best.value + 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_the_hint_is_complete_and_feasible(seed: int) -> None:
    """With every variable fixed to its hint the model has the value of the task graph."""
    problem = grouping_problem(replace(random_grouping(seed), limits=Limits()))
    rng = np.random.default_rng(seed)
    graphs = list(task_graphs(tuple(range(problem.n)), problem.levels))
    for number in rng.choice(len(graphs), 3):
        v = cpsat.build(problem)
        assert v is not None
        cpsat.hint(v, graphs[number])
        assert len(v.model.proto.solution_hint.vars) == len(v.model.proto.variables)
        solver = cp_model.CpSolver()
        solver.parameters.fix_variables_to_their_hinted_value = True
        assert solver.solve(v.model) == cp_model.OPTIMAL
        value = solver.objective_value * v.unit + v.constant
        assert value == pytest.approx(problem.judge(graphs[number]).value, rel=1e-4, abs=1e-5)


def test_seven_branch_points_and_ten_tasks_are_proven() -> None:
    """Points in the plane that drift apart from one branch point to the next; half of the bytes there could be."""
    rng = np.random.default_rng(3)
    points, affinity = rng.normal(size=(10, 2)), []
    for level in range(7):
        moved = points + rng.normal(size=points.shape) * 0.3
        distance = np.sqrt(((moved[:, None] - moved[None]) ** 2).sum(axis=2)) * (level + 1) / 30
        affinity.append(tuple(map(tuple, (1.0 - distance).round(4).tolist())))
    instance = Instance(
        objective="variety",
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(10)),
        sharing=Sharing(branch_points=tuple("abcdefg"), affinity=tuple(affinity)),
        limits=Limits(size=38),
    )
    search = solved(CpSat(), grouping_problem(instance))
    assert search.proved


def test_a_model_can_be_abandoned() -> None:
    assert cpsat.build(three(), keep_going=lambda: False) is None
    assert isinstance(cpsat.build(three()), cpsat.Variables)
    assert isinstance(milp.build(three()), milp.Variables)


def test_limits_that_nothing_keeps_are_proven() -> None:
    for solver in (CpSat(), Milp()):
        search = solved(solver, three(limits=Limits(size=15)))
        assert search.best is None
        assert search.infeasible is not None
        assert "task graph" in search.infeasible


def test_no_branch_point_leaves_one_task_graph() -> None:
    instance = replace(three("size").instance, sharing=Sharing(stem=Block(bytes=10)))
    for solver in (CpSat(), Milp()):
        search = solved(solver, grouping_problem(instance))
        assert search.value == 10
        assert math.isclose(search.bound or 0.0, 10)
