"""Solvers of ordering: conformance, known optima, and orders depth first."""

from __future__ import annotations

import json
from itertools import permutations

import msgspec
import numpy as np
import pytest

import dnnplan
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import Result, UnsupportedError
from dnnplan.instances.conditions import with_conditions
from dnnplan.instances.files import read_instance
from dnnplan.instances.sections import Condition
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.ordering.depth_first import depth_first_order, is_optimal
from dnnplan.solvers.ordering.local_search import net_of, new_walk
from dnnplan.solvers.ordering.sequences import paths
from dnnplan.solvers.ordering.tool_search import desk_of, shop_of
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
        result = dnnplan.solve(instance, name, problem="ordering", time_limit=20, workers=1, work_limit=work)
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
