"""Two computations of the cost of an order, the views and the judge, agree; neither knows the other."""

from __future__ import annotations

from itertools import islice, permutations

import pytest

from dnnplan.costs.check import check
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import Plan
from tests.support.order_oracles import judged_cost
from tests.support.random_orders import KINDS, random_order_instance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(25))
def test_views_and_judge_agree_on_every_order(kind: str, seed: int) -> None:
    instance = random_order_instance(seed, kind)
    problem = ordering_problem(instance)
    for order in islice(permutations(range(problem.n)), 120):
        names = tuple(problem.tasks[t] for t in order)
        cost, broken = judged_cost(instance, names)
        judged = problem.judge(order)
        assert judged.feasible == (broken == 0 and cost < float("inf")), (order, broken)
        if cost < float("inf"):
            assert judged.value == pytest.approx(cost, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_figure_and_a_wrong_order_are_found(kind: str) -> None:
    instance = random_order_instance(3, kind)
    problem = ordering_problem(instance)
    names = tuple(problem.tasks)
    orders = [o for o in permutations(range(problem.n)) if problem.judge(o).feasible]
    judged = problem.judge(orders[0])
    plan = problem.plan(judged)
    assert check(instance, plan, measures=judged.measures) == ()
    wrong = {"switching": judged.measures["switching"] + 1.0}
    assert [v.rule for v in check(instance, plan, measures=wrong)] == ["measure"]
    twice = Plan(problem="ordering", task_order=(names[0], *names), groups=plan.groups)
    assert "task_order" in {v.rule for v in check(instance, twice)}
    strange = Plan(problem="ordering", task_order=("nobody", *names[1:]), groups=plan.groups)
    assert {"task_order", "unknown"} <= {v.rule for v in check(instance, strange)}
    other = Plan(problem="ordering", task_order=plan.task_order, groups=plan.groups, instance="0" * 64)
    assert "instance" in {v.rule for v in check(instance, other)}


def test_precedences_are_judged() -> None:
    instance = next(one for seed in range(50) if (one := random_order_instance(seed, "open")).precedences)
    pair = instance.precedences[0]
    rest = tuple(t.name for t in instance.tasks if t.name not in (pair.before, pair.after))
    plan = Plan(problem="ordering", task_order=(pair.after, pair.before, *rest))
    assert "precedence" in {v.rule for v in check(instance, plan)}
