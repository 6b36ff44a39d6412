"""Solvers of ordering: conformance, known optima, and orders depth first."""

from __future__ import annotations

import json
from itertools import permutations

import msgspec
import numpy as np
import pytest

import dnnplan
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import Instance, Limits, Ordering, Precedence, Result, Task, UnsupportedError
from dnnplan.instances.conditions import with_conditions
from dnnplan.instances.files import read_instance
from dnnplan.instances.sections import Condition
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.ordering.depth_first import depth_first_order, is_optimal
from dnnplan.solvers.ordering.genetic import (
    Parameters,
    chances,
    mutate,
    next_generation,
    random_orders,
    sorted_anew,
    sums_of_steps,
)
from dnnplan.solvers.ordering.local_search import net_of, new_walk
from dnnplan.solvers.ordering.sequences import paths
from dnnplan.solvers.ordering.tool_search import desk_of, shop_of, step_bound, tool_bound
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.data import data_folder, needs_data
from tests.support.order_oracles import best_by_trying
from tests.support.random_orders import KINDS, random_order_instance

PROBLEMS = ("grouping", "selection", "ordering", "joint")
NAMES = [(problem, name) for problem in PROBLEMS for name in solver_names(problem)]


@pytest.mark.parametrize(("problem", "name"), NAMES)
def test_solvers_say_what_they_can_do(problem: str, name: str) -> None:
    solver = get_solver(name, problem)
    assert solver.capabilities.problem in (problem, "grouping" if problem == "selection" else problem)
    assert len(solver.summary) > 10
    assert solver.capabilities.objectives


@pytest.mark.parametrize("name", solver_names("ordering"))
@pytest.mark.parametrize("kind", KINDS)
def test_every_order_is_valid_and_no_bound_is_above_the_best(kind: str, name: str) -> None:
    instance = random_order_instance(2, kind)
    best = best_by_trying(instance)
    try:
        work = None if get_solver(name, "ordering").capabilities.exact else 1.0
        result = dnnplan.solve(instance, name, problem="ordering", time_limit=90, workers=1, work_limit=work)
    except UnsupportedError:
        return  # it says what it does not cover
    if result.plan is None:
        assert not get_solver(
            name, "ordering"
        ).capabilities.exact  # simple rules may take steps that are not allowed
        return
    assert result.valid, result.violations
    assert result.objective.value is not None
    assert result.objective.value >= best - 1e-9 * max(1.0, abs(best))
    assert result.bound is None or result.bound <= best + 1e-7 * max(1.0, abs(best))
    assert msgspec.json.decode(result.to_json(), type=Result) == result
    if get_solver(name, "ordering").capabilities.exact:
        assert result.status == "optimal"


@pytest.mark.parametrize("seed", range(60))
def test_depth_first_is_optimal_without_precedences(seed: int) -> None:
    instance = random_order_instance(seed, "graph")
    problem = ordering_problem(msgspec.structs.replace(instance, precedences=()))
    assert is_optimal(problem)
    best = min(problem.cost(order) for order in permutations(range(problem.n)))
    assert problem.cost(depth_first_order(problem)) == pytest.approx(best, rel=1e-12, abs=1e-12)


@needs_data("sop/tsplib")
@pytest.mark.parametrize(
    ("name", "optimum"), [("ESC07", 2125), ("ESC11", 2075), ("ESC12", 1675), ("ESC25", 1681), ("br17.10", 55)]
)
def test_known_optima_of_sequential_ordering(name: str, optimum: int) -> None:
    result = dnnplan.solve(read_instance(data_folder() / "sop" / "tsplib" / f"{name}.sop"), time_limit=60)
    assert result.objective.value == optimum
    assert result.bound is not None
    assert result.bound <= optimum


@needs_data("sop/tsplib")
@pytest.mark.parametrize(("name", "value"), [("ESC07", 982.0), ("ESC11", 1961.4), ("ESC12", 1398.4)])
def test_known_expectations_of_conditional_tasks(name: str, value: float) -> None:
    instance = read_instance(data_folder() / "sop" / "tsplib" / f"{name}.sop")
    triples = (("1", "2", 0.5), ("1", "4", 0.2), ("3", "6", 0.2))
    conditions = [Condition(given=a, task=b, probability=p) for a, b, p in triples]
    result = dnnplan.solve(with_conditions(instance, conditions), time_limit=60)
    assert result.objective.value == pytest.approx(value, abs=1e-6)
    assert result.status == "optimal"


@needs_data("antler")
def test_published_totals_of_antler() -> None:
    path = data_folder() / "antler" / "antler_instances.json"
    for one in json.loads(path.read_text(encoding="utf-8"))["instances"]:
        result = dnnplan.solve(read_instance(path, select=f"{one['dataset']}-{one['metric']}"), time_limit=5)
        scale = 1e-3 if one["unit"] == "mJ" else 1.0
        assert result.status == "optimal"
        assert result.objective.value == pytest.approx(scale * one["own_opt_cycle"], rel=1e-9)


def test_compiled_costs_are_those_of_the_view() -> None:
    """The kernel of tool search on random orders of both kinds of memory."""
    from dnnplan.solvers.kernels.tool_orders import cost_of

    for kind in ("tools", "blocks"):
        for seed in range(20):
            problem = ordering_problem(random_order_instance(seed, kind))
            if problem.closed:
                continue
            shop, desk = shop_of(problem), desk_of(problem, 0)
            for order in list(permutations(range(problem.n)))[::17]:
                value = cost_of(shop, desk, np.array(order, dtype=np.int64))
                assert value == pytest.approx(problem.cost(order), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_exchanges_keep_precedences_and_know_what_they_gain(seed: int) -> None:
    from dnnplan.solvers.kernels import path_exchange as kernels

    rng = np.random.default_rng(seed)
    problem = ordering_problem(random_order_instance(seed, "open"))
    path = next(iter(paths(problem)))
    net = net_of(path)
    order = [0, *(1 + t for t in _topological(problem)), problem.n + 1]
    walk = new_walk(np.array(order, dtype=np.int64), seed)
    before = kernels.length_of(net, walk.order)
    kernels.kick(net, walk, 3)
    for node in rng.permutation(len(order)):
        kernels.push(walk, int(node))
    kicked = kernels.length_of(net, walk.order)
    gained = kernels.descend(net, walk)
    assert kernels.length_of(net, walk.order) == pytest.approx(kicked - gained, rel=1e-9, abs=1e-6)
    assert sorted(walk.order.tolist()) == list(range(problem.n + 2))
    assert problem.keeps([int(t) - 1 for t in walk.order[1:-1]])
    assert before >= 0


def _topological(problem) -> list[int]:
    from dnnplan.solvers.ordering.depth_first import repaired

    return repaired(problem, list(range(problem.n)))


def _many_tasks(n: int, seed: int) -> Instance:
    """Random costs of steps, and precedences from tasks to some of the later ones in a hidden order."""
    rng = np.random.default_rng(seed)
    names = [f"t{k}" for k in range(n)]
    hidden = rng.permutation(n)
    pairs = [(a, b) for k, a in enumerate(hidden) for b in hidden[k + 1 :] if rng.random() < 3 / n]
    return Instance(
        objective="switching",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=tuple(Precedence(before=names[a], after=names[b]) for a, b in pairs),
        ordering=Ordering(switch=tuple(tuple(row) for row in rng.integers(1, 100, (n, n)).tolist())),
    )


@pytest.mark.parametrize("seed", range(5))
def test_genetic_children_keep_precedences_and_the_rest_of_their_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = ordering_problem(_many_tasks(12, seed))
    orders = random_orders(problem, 60, rng)
    begin, end = np.sort(rng.integers(problem.n + 1, size=(2, 60)), axis=0)
    places = np.arange(problem.n)
    rest = (places < begin[:, None]) | (places >= end[:, None])
    children = sorted_anew(problem, orders, begin, end, rng)
    assert (children[rest] == orders[rest]).all()
    assert (children != orders).any()
    mutants = children.copy()
    mutate(problem, mutants, 1.0, rng)
    assert set((mutants != children).sum(axis=1).tolist()) == {0, 2}
    young = next_generation(problem, orders, sums_of_steps(problem, orders), Parameters(), rng)
    for row in (*orders.tolist(), *children.tolist(), *mutants.tolist(), *young.tolist()):
        assert sorted(row) == list(range(problem.n))
        assert problem.keeps(row)


def test_genetic_draws_each_free_task_with_the_same_chance() -> None:
    """Tasks 0 before 1, and 2: half of all orders begin with 2, the others go on with 1 or 2 alike."""
    names = "abc"
    instance = Instance(
        objective="switching",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=(Precedence(before="a", after="b"),),
        ordering=Ordering(switch=((0, 1, 1), (1, 0, 1), (1, 1, 0))),
    )
    orders = random_orders(ordering_problem(instance), 20_000, np.random.default_rng(1))
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert found.tolist() == [[0, 1, 2], [0, 2, 1], [2, 0, 1]]
    assert counts / 20_000 == pytest.approx([0.25, 0.25, 0.5], abs=0.02)


@pytest.mark.parametrize("kind", ["open", "closed", "graph"])
def test_genetic_sums_of_steps_are_the_costs_of_the_view(kind: str) -> None:
    for seed in range(10):
        problem = ordering_problem(random_order_instance(seed, kind))
        orders = random_orders(problem, 20, np.random.default_rng(seed))
        costs = [problem.cost(order) for order in orders.tolist()]
        assert sums_of_steps(problem, orders).tolist() == pytest.approx(costs, rel=1e-12)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([1.0, 2.0, np.inf, 4.0], [4 / 7, 2 / 7, 0, 1 / 7]),
        ([np.inf, np.inf], [0.5, 0.5]),
        ([0.0, 0.0, np.inf], [0.5, 0.5, 0]),
        ([-3.0, 1.0], [0.75, 0.25]),
    ],
)
def test_genetic_chances_of_selection(costs: list[float], expected: list[float]) -> None:
    assert chances(np.array(costs)) == pytest.approx(expected)


def test_genetic_same_seed_same_answer_and_the_last_generation_ends_it() -> None:
    instance = _many_tasks(15, 3)
    runs = [
        dnnplan.solve(instance, "genetic", problem="ordering", seed=seed, time_limit=60) for seed in (5, 5, 6)
    ]
    assert all(run.valid and run.stop_reason == "exhausted" for run in runs)
    assert runs[0].plan == runs[1].plan
    assert [v for _, v, _ in runs[0].history] == [v for _, v, _ in runs[1].history]
    assert [v for _, v, _ in runs[0].history] != [v for _, v, _ in runs[2].history]


@pytest.mark.parametrize("kind", KINDS)
def test_genetic_reaches_the_optimum_of_small_instances(kind: str) -> None:
    """From most seeds; 40 generations are enough."""
    reached = []
    for seed in range(6):
        instance = random_order_instance(seed, kind)
        result = dnnplan.solve(
            instance, "genetic", problem="ordering", seed=seed, work_limit=0.2, time_limit=20
        )
        best = best_by_trying(instance)
        value = np.inf if result.objective.value is None else result.objective.value
        reached.append(value == best or value <= best + 1e-9 * abs(best))
    assert sum(reached) >= 5


@pytest.mark.parametrize("limit", ["time_limit", "work_limit"])
def test_genetic_ends_at_its_limits(limit: str) -> None:
    result = dnnplan.solve(_many_tasks(60, 1), "genetic", problem="ordering", **{limit: 0.1})
    assert result.valid
    assert result.stop_reason == limit


def test_genetic_asks_for_the_limits_between_costs_that_take_long() -> None:
    asked = []
    result = dnnplan.solve(
        random_order_instance(1, "tools"),
        "genetic",
        problem="ordering",
        stop=lambda: asked.append(1) is None and len(asked) > 3,
    )
    assert result.valid
    assert result.stop_reason == "interrupted"


@pytest.mark.parametrize("seed", range(12))
def test_bounds_beside_tools_know_of_negative_steps(seed: int) -> None:
    """Costs of steps from -9 to 9, some not allowed, in open and closed orders."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    allowed = rng.random((n, n)) < 0.9
    switch = [
        [int(c) if ok else None for c, ok in zip(*row, strict=True)]
        for row in zip(rng.integers(-9, 10, (n, n)), allowed, strict=True)
    ]
    instance = Instance(
        objective="switching",
        tasks=tuple(Task(name=f"t{k}", model="net") for k in range(n)),
        ordering=Ordering(
            switch=tuple(map(tuple, switch)),
            resources=tuple(map(tuple, rng.integers(0, 2, (n, 4)).tolist())),
            slots=4,
            closed=seed % 3 == 0,
            start="warm" if seed % 2 else "cold",
        ),
    )
    problem, best = ordering_problem(instance), best_by_trying(instance)
    assert step_bound(problem) + tool_bound(problem) <= best + 1e-9
    for name in ("auto", "tool_search"):
        result = dnnplan.solve(instance, name, problem="ordering", time_limit=10)
        assert result.status == ("infeasible" if np.isinf(best) else "optimal")
        assert np.isinf(best) or result.objective.value == pytest.approx(best)


THREE = Instance(
    objective="switching",
    tasks=tuple(Task(name=name, model="net") for name in "abc"),
    ordering=Ordering(switch=((0, 1, 9), (9, 0, 2), (9, 9, 0))),
)
"""The order a b c costs 3, all others more."""


@pytest.mark.parametrize("objective", ["switching", "expected"])
@pytest.mark.parametrize("name", ["auto", "dynamic", "cpsat", "milp"])
def test_a_limit_below_the_optimum_is_named_with_the_nearest_value(name: str, objective: str) -> None:
    result = dnnplan.solve(
        THREE, name, problem="ordering", objective=objective, limits={"switching": 2.9}, time_limit=10
    )
    assert result.status == "infeasible"
    assert result.message == "limits.switching: 2.9 cannot be kept; the least possible is 3"


def test_a_bound_above_a_limit_ends_a_search() -> None:
    problem = ordering_problem(
        msgspec.structs.replace(THREE, objective="expected=2", limits=Limits(switching=2))
    )
    search = TaskSearch(problem, Settings(time_limit=10))
    search.improve_bound(4.0, "as much as the limit allows")
    assert not search.finished()
    search.improve_bound(5.0, "more")
    assert search.finished()
    assert search.infeasible == "limits.switching: 2 cannot be kept"


def test_limits_that_orders_do_not_keep_are_refused_with_those_that_they_do() -> None:
    with pytest.raises(
        UnsupportedError, match=r"'size' is not kept by ordering; it keeps switching, energy$"
    ):
        dnnplan.solve(THREE, limits={"size": 1})
