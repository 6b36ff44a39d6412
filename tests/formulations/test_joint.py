"""The models of task graphs with orders, constraint by constraint, and against each other and all answers there are."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from ortools.sat.python import cp_model

from dnnplan.costs.joint import JointProblem, joint_problem
from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.joint import cpsat, milp
from dnnplan.formulations.joint.rules import arcs_of, depth_first, some_order
from dnnplan.instances import Instance, Limits, Ordering, Precedence, Sharing, Task, UnsupportedError
from dnnplan.instances.sections import Block, BlockCost, Condition
from dnnplan.solvers import solve
from dnnplan.solvers.exact.highs import run_highs
from dnnplan.solvers.joint.auto import Auto
from dnnplan.solvers.joint.exact import CpSat, Milp
from dnnplan.solvers.joint.group_then_order import GroupThenOrder
from dnnplan.solvers.joint.local_search import LocalSearch
from dnnplan.solvers.registry import GROUPING, ORDERING
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.task_oracles import agrees, best_graph_and_order, random_joint, task_graphs

TOGETHER, APART, SPLIT = ((0, 1, 2),), ((0,), (1,), (2,)), ((0, 2), (1,))
SETTINGS = [
    Ordering(closed=closed, start=start, input=source)  # type: ignore[arg-type]
    for closed, start, source in itertools.product((False, True), ("cold", "warm"), ("fresh", "same"))
]


def three(
    ordering: Ordering | None = None,
    *,
    objective: str = "switching",
    precedences: tuple[str, ...] = (),
    limits: Limits | None = None,
    alike: bool = False,
) -> JointProblem:
    """Tasks a, b, c and two branch points; precedences as ``ab`` for a before b; b costs more unless all are alike."""
    costs = {} if alike else {"b": BlockCost(bytes=7, compute=5, load=3)}
    affinity = ((1, 0.9, 0.2), (0.9, 1, 0.4), (0.2, 0.4, 1))
    instance = Instance(
        objective=objective,
        tasks=tuple(Task(name=name, model="net") for name in "abc"),
        sharing=Sharing(
            branch_points=("p", "q"),
            affinity=(affinity, affinity),
            blocks=(
                Block(bytes=4, compute=2, load=1, costs=costs),
                Block(bytes=2, compute=1, load=4, costs=costs),
            ),
            stem=Block(bytes=10, compute=3, load=2),
            head=Block(bytes=1, compute=1, load=1, costs=costs),
        ),
        ordering=ordering or Ordering(),
        precedences=tuple(Precedence(before=pair[0], after=pair[1]) for pair in precedences),
        limits=limits or Limits(),
    )
    return joint_problem(instance)


# -- running a model with its answer fixed -------------------------------------------------------------------


def with_cpsat(problem: JointProblem, groups: Groups, order: tuple[int, ...] = ()) -> float | None:
    """Least value with the task graph and the order fixed; None if there is none."""
    v = cpsat.build(problem)
    assert v is not None
    for level, row in enumerate(v.graph.apart):
        for pair, apart in row.items():
            v.model.add(apart == int(not any(set(pair) <= set(group) for group in groups[level])))
    for place, task in enumerate(order):
        v.model.add(v.place[task] == place)
    solver = cp_model.CpSolver()
    if solver.solve(v.model) != cp_model.OPTIMAL:
        return None
    return solver.objective_value * v.unit + v.constant


def with_milp(problem: JointProblem, groups: Groups, order: tuple[int, ...] = ()) -> float | None:
    """The same for the MILP."""
    v = milp.build(problem)
    assert v is not None
    for level, row in enumerate(v.graph.apart):
        for pair, apart in row.items():
            apart.lowBound = apart.upBound = int(not any(set(pair) <= set(g) for g in groups[level]))
    for place, task in enumerate(order):
        v.graph.add(v.place[task] == place)
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
    return outcome.bound * v.graph.unit + v.graph.constant if outcome.status == "optimal" else None


BACK_ENDS = pytest.mark.parametrize("least", [with_cpsat, with_milp], ids=["cpsat", "milp"])


@BACK_ENDS
@pytest.mark.parametrize("ordering", SETTINGS, ids=str)
def test_orders_cost_what_the_judge_says(least: Any, ordering: Ordering) -> None:
    """With a precedence, so that orders are modelled; costs that differ between tasks, and all settings."""
    for alike in (False, True):
        problem = three(ordering, precedences=("ab",), alike=alike)
        for groups in ((TOGETHER, SPLIT), (TOGETHER, APART), (SPLIT, APART), (TOGETHER, TOGETHER)):
            for order in ((0, 1, 2), (0, 2, 1), (2, 0, 1)):
                value = problem.judge((groups, order)).value
                assert least(problem, groups, order) == pytest.approx(value, rel=1e-5), (groups, order)


@BACK_ENDS
@pytest.mark.parametrize("ordering", SETTINGS, ids=str)
def test_without_precedences_a_depth_first_order_is_best(least: Any, ordering: Ordering) -> None:
    """No order is modelled then; the value is that of the best of all orders."""
    for alike in (False, True):
        problem = three(ordering, alike=alike)
        for groups in ((TOGETHER, SPLIT), (SPLIT, APART), (TOGETHER, TOGETHER), (APART, APART)):
            values = [problem.judge((groups, o)).value for o in itertools.permutations(range(3))]
            assert least(problem, groups) == pytest.approx(min(values), rel=1e-5), groups


@BACK_ENDS
def test_tasks_follow_each_other_in_a_ring_of_all(least: Any) -> None:
    """Places 0, 1, 2 of all tasks once; two tasks in one place are none."""
    problem = three(precedences=("ab",))
    assert least(problem, (TOGETHER, APART), (0, 1, 2)) is not None
    v = cpsat.build(problem)
    assert v is not None
    v.model.add(v.place[0] == v.place[2])
    assert cp_model.CpSolver().solve(v.model) == cp_model.INFEASIBLE


@BACK_ENDS
def test_precedences_hold(least: Any) -> None:
    problem = three(precedences=("ab", "bc"))
    assert least(problem, (TOGETHER, APART), (0, 1, 2)) is not None
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2):
            assert least(problem, (TOGETHER, APART), order) is None
    assert arcs_of(problem) == [(0, 1), (1, 2)]


@BACK_ENDS
def test_limits_of_both_kinds_are_kept(least: Any) -> None:
    groups, order = (TOGETHER, SPLIT), (0, 1, 2)
    for name in ("switching", "variety", "task_variety", "size", "execution_cost"):
        value = three(precedences=("ab",)).judge((groups, order)).measures[name]
        at, below = Limits(**{name: value}), Limits(**{name: value * (1 - 1e-5)})
        assert least(three(precedences=("ab",), limits=at), groups, order) is not None
        assert least(three(precedences=("ab",), limits=below), groups, order) is None


@BACK_ENDS
def test_an_order_that_does_not_count_is_not_modelled(least: Any) -> None:
    problem = three(objective="variety", precedences=("cb",))
    v = cpsat.build(problem)
    assert v is not None
    assert v.place == []
    assert least(problem, (TOGETHER, SPLIT)) == pytest.approx(0.8 + 0.4, abs=1e-5)
    search = solved(CpSat(), problem)
    assert search.best is not None
    assert problem.template.keeps(search.best.decisions[1])


@pytest.mark.parametrize("precedences", [(), ("ab",)])
@pytest.mark.parametrize("ordering", SETTINGS, ids=str)
def test_the_hint_is_complete_and_feasible(ordering: Ordering, precedences: tuple[str, ...]) -> None:
    """With every variable fixed to its hint the model has the value of the answer, or of the depth-first order."""
    problem = three(ordering, objective="switching=1,variety=2", precedences=precedences)
    for groups in ((TOGETHER, SPLIT), (SPLIT, APART), (TOGETHER, TOGETHER)):
        order = (0, 2, 1) if precedences else depth_first(groups, 3, first=1)
        v = cpsat.build(problem)
        assert v is not None
        cpsat.hint(v, (groups, order))
        assert len(v.model.proto.solution_hint.vars) == len(v.model.proto.variables)
        solver = cp_model.CpSolver()
        solver.parameters.fix_variables_to_their_hinted_value = True
        assert solver.solve(v.model) == cp_model.OPTIMAL
        value = solver.objective_value * v.unit + v.constant
        assert value == pytest.approx(problem.judge((groups, order)).value, rel=1e-5)


def test_depth_first_orders_keep_groups_together() -> None:
    for groups in task_graphs(tuple(range(4)), 2):
        for first in range(4):
            order = depth_first(groups, 4, first)
            assert order[0] == first
            for group in itertools.chain.from_iterable(groups):
                places = sorted(order.index(task) for task in group)
                assert places == list(range(places[0], places[0] + len(group)))


def test_some_order_keeps_precedences() -> None:
    assert some_order(three(precedences=("cb", "ba"))) == (2, 1, 0)


@pytest.mark.parametrize(
    ("ordering", "word"),
    [
        (Ordering(cache_bytes=3), "cache_bytes"),
        (Ordering(conditions=(Condition(task="b", given="a", probability=0.5),)), "conditions"),
    ],
)
def test_what_the_models_do_not_cover_is_refused(ordering: Ordering, word: str) -> None:
    for solver in (CpSat(), Milp()):
        with pytest.raises(UnsupportedError, match=word):
            solved(solver, three(ordering))


# -- solvers -------------------------------------------------------------------------------------------------


def solved(solver: Any, problem: JointProblem, seconds: float = 60) -> TaskSearch[JointProblem]:
    search = TaskSearch(problem, Settings(time_limit=seconds), name="test")
    solver.run(problem, search)
    return search


@pytest.mark.parametrize("seed", range(30))
def test_cpsat_milp_and_exhaustion_agree(seed: int) -> None:
    problem = joint_problem(random_joint(seed))
    best = best_graph_and_order(problem)
    for solver in (CpSat(), Milp()):
        search = solved(solver, problem)
        assert agrees(search.value, best), solver.summary
        assert search.proved
        assert (search.infeasible is not None) == (best is None)
        if best is not None:
            assert search.bound is not None
            assert search.bound <= best.value + 1e-9 * max(1.0, best.value)


def test_energy_is_its_own_cost() -> None:
    """Costs that are given are the same in joules."""
    problem = three(objective="energy", precedences=("ab",))
    best = best_graph_and_order(problem)
    for solver in (CpSat(), Milp()):
        assert agrees(solved(solver, problem).value, best)


def test_energy_beside_a_measure_of_the_task_graph_asks_for_both() -> None:
    result = solve(three(objective="variety=1,energy=1", precedences=("ab",)).instance, time_limit=20)
    assert result.plan is not None
    assert (result.plan.problem, result.status, result.violations) == ("joint", "optimal", ())


def test_the_task_graph_alone_bounds_an_objective_without_the_order() -> None:
    search = solved(GroupThenOrder(), three(objective="variety", precedences=("cb",)))
    assert GroupThenOrder.capabilities.bounds
    assert search.bound == pytest.approx(search.value)
    assert solved(GroupThenOrder(), three(), seconds=1).bound is None


class EveryOrder:
    """Proposes all orders."""

    def run(self, problem: Any, search: Any) -> None:
        for order in itertools.permutations(range(problem.n)):
            search.propose(order)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default solvers of the parts that find the best of small instances, whatever else there is."""
    monkeypatch.setitem(GROUPING, "auto", "dnnplan.solvers.grouping.cpsat:CpSat")
    monkeypatch.setitem(ORDERING, "auto", f"{__name__}:EveryOrder")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("seed", range(12))
def test_heuristics_find_answers_that_keep_the_limits(seed: int) -> None:
    problem = joint_problem(random_joint(seed))
    best = best_graph_and_order(problem)
    for solver in (GroupThenOrder(), LocalSearch()):
        search = solved(solver, problem, seconds=0.5)
        if search.best is not None:
            assert best is not None
            assert search.best.feasible
            assert search.best.value >= best.value - 1e-9


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("seed", range(12))
def test_auto_proves_small_instances(seed: int) -> None:
    problem = joint_problem(random_joint(seed))
    search = solved(Auto(), problem)
    assert agrees(search.value, best_graph_and_order(problem))
    assert search.proved


@pytest.mark.usefixtures("parts")
def test_the_task_graph_of_least_mean_cost_helps_out_when_the_order_is_limited() -> None:
    """The best variety is that of three tasks apart; only one task graph has an order of that cost."""
    groups, order = (TOGETHER, TOGETHER), (0, 1, 2)
    cost = three().judge((groups, order)).measures["switching"]
    problem = three(objective="variety", limits=Limits(switching=cost))
    search = solved(GroupThenOrder(), problem)
    assert search.best is not None
    assert search.best.decisions[0] == groups


@pytest.mark.usefixtures("parts")
def test_conditions_are_left_to_the_heuristics() -> None:
    condition = Condition(task="b", given="a", probability=0.5)
    problem = three(Ordering(conditions=(condition,)), precedences=("ab",))
    best = best_graph_and_order(problem)
    search = solved(Auto(), problem, seconds=2)
    assert search.bound is None
    assert agrees(search.value, best)


def test_local_search_is_the_same_for_a_seed() -> None:
    instance = replace(random_joint(3), limits=Limits())
    values = []
    for _ in range(2):
        problem = joint_problem(instance)
        search = TaskSearch(problem, Settings(time_limit=None, work_limit=0.1, seed=7), name="test")
        LocalSearch().run(problem, search)
        assert search.best is not None
        values.append(search.best.decisions)
    assert values[0] == values[1]


def test_ten_tasks_with_precedences_are_proven() -> None:
    """Tasks in a ring of affinities, half of them after the others; variety at most what half of the ring costs."""
    n = 10
    around = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    distance = np.minimum(around, n - around) / n
    affinity = tuple(map(tuple, (1.0 - distance).tolist()))
    instance = Instance(
        objective="switching",
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(n)),
        sharing=Sharing(
            branch_points=tuple("abc"),
            affinity=(affinity,) * 3,
            blocks=tuple(Block(bytes=4, compute=c, load=2) for c in (5, 3, 2)),
        ),
        precedences=tuple(Precedence(before=f"t{2 * i}", after=f"t{2 * i + 1}") for i in range(n // 2)),
        limits=Limits(variety=0.7),
    )
    search = solved(CpSat(), joint_problem(instance))
    assert search.proved
