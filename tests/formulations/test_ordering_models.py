"""CP-SAT, MILP, dynamic programming and trying all orders agree on small random instances of every kind."""

from __future__ import annotations

import math

import pytest

import dnnplan
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import Instance, Ordering, Task, UnsupportedError
from dnnplan.solvers import get_solver
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.order_oracles import best_by_trying
from tests.support.random_orders import KINDS, random_order_instance

SOLVERS = {
    "open": ("cpsat", "milp", "dynamic", "relax_and_search", "auto"),
    "closed": ("cpsat", "milp", "dynamic", "auto"),
    "graph": ("cpsat", "milp", "dynamic", "auto"),
    "conditions": ("cpsat", "milp", "conditional", "auto"),
    "closed-conditions": ("cpsat", "milp", "conditional", "auto"),
    "tools": ("cpsat", "milp", "auto"),
    "blocks": ("auto",),
}


def disagreement(instance: Instance, name: str, best: float) -> str | None:
    """What is wrong with the answer of a solver, given the optimum."""
    problem = ordering_problem(instance)
    search = TaskSearch(problem, Settings(time_limit=60.0, workers=1), name=name)
    get_solver(name, "ordering").run(problem, search)
    if math.isinf(best):
        return None if search.best is None and search.infeasible else "not proved infeasible"
    if search.value is None or abs(search.value - best) > 1e-7 * max(1.0, abs(best)):
        return f"value {search.value}, optimum {best}"
    if search.bound is not None and search.bound > best + 1e-7 * max(1.0, abs(best)):
        return f"bound {search.bound} ({search.bound_name}) above the optimum {best}"
    return None if search.proved else f"not proved: bound {search.bound}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_all_exact_solvers_agree_with_trying_all_orders(kind: str, seed: int) -> None:
    instance = random_order_instance(seed, kind)
    best = best_by_trying(instance)
    wrong = {name: fault for name in SOLVERS[kind] if (fault := disagreement(instance, name, best))}
    assert wrong == {}


def test_models_refuse_memories_for_blocks_of_different_sizes() -> None:
    instance = random_order_instance(0, "blocks")
    for name in ("cpsat", "milp"):
        with pytest.raises(UnsupportedError, match="tools alike"):
            dnnplan.solve(instance, name, problem="ordering", time_limit=5)


@pytest.mark.parametrize("name", ["cpsat", "milp"])
@pytest.mark.parametrize("objective", ["switching", "expected", "expected=3"])
def test_models_keep_a_limit_under_any_name_and_as_loosely_as_the_judge(objective: str, name: str) -> None:
    """The least cost is 3; a millionth of the limit may be missing."""
    switch = ((0, 1, 9), (9, 0, 2), (9, 9, 0))
    tasks = tuple(Task(name=task, model="net") for task in "abc")
    for limit, status in ((3 * (1 - 5e-7), "optimal"), (3 * (1 - 1e-5), "infeasible")):
        result = dnnplan.solve(
            Instance(objective=objective, tasks=tasks, ordering=Ordering(switch=switch)),
            name,
            limits={"switching": limit},
            time_limit=20,
        )
        assert result.status == status, result.message


@pytest.mark.parametrize("name", ["cpsat", "milp"])
def test_models_keep_a_limit_on_costs_of_both_signs(name: str) -> None:
    """Costs that nearly cancel in the sum of all of them: the order a b c costs -100, all others more."""
    switch = ((0, -100.25, 0.5), (99.125, 0, 0.25), (0.375, 0.0625, 0))
    tasks = tuple(Task(name=task, model="net") for task in "abc")
    instance = Instance(objective="switching", tasks=tasks, ordering=Ordering(switch=switch))
    result = dnnplan.solve(instance, name, limits={"switching": 0}, time_limit=20)
    assert (result.status, result.objective.value) == ("optimal", -100.0)
