"""Fronts of two objectives."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.instances import Device, InputError, Instance, Layer, Model, Platform, Power
from dnnplan.instances.sections import Costs
from dnnplan.solvers import registry
from dnnplan.solvers.pareto import pareto_front
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities


class Exhaustive:
    """Tries every placement of independent layers, and claims that one of them is best."""

    summary = "all placements"
    capabilities = Capabilities(exact=True, bounds=True, objectives=ALL_OBJECTIVES)

    def run(self, problem, search):
        """Try all."""
        for place in product(range(problem.m), repeat=problem.n):
            order = [[i for i in range(problem.n) if place[i] == d] for d in range(problem.m)]
            search.propose(encode(problem, place, order))
        if search.value is not None:
            search.improve_bound(search.value, "all placements")


@pytest.fixture(autouse=True)
def _exhaustive(monkeypatch):
    monkeypatch.setitem(registry.PROBLEMS, "mapping", {"exhaustive": f"{__name__}:Exhaustive"})


def _layers(layers: int = 4) -> Instance:
    """Independent layers that take 1 s and 10 J on `fast`, or 3 s and 2 J on `slow`."""
    names = [f"l{i}" for i in range(layers)]
    costs = Costs(
        latency={"m": {n: {"fast": 1, "slow": 3} for n in names}},
        energy={"m": {n: {"fast": 10, "slow": 2} for n in names}},
    )
    devices = (Device(name="fast", power=Power()), Device(name="slow", power=Power()))
    model = Model(name="m", layers=tuple(Layer(name=n) for n in names))
    return Instance(platform=Platform(devices=devices), models=(model,), costs=costs)


def _all_points(instance: Instance) -> set[tuple[float, float]]:
    problem = mapping_problem(instance)
    found = set()
    for place in product(range(problem.m), repeat=problem.n):
        order = [[i for i in range(problem.n) if place[i] == d] for d in range(problem.m)]
        cost = evaluate(problem, encode(problem, place, order)).cost
        found.add((cost.latency, cost.energy))
    return {p for p in found if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in found)}


def test_with_a_small_step_the_front_is_all_of_it():
    instance = _layers()
    front = pareto_front(instance, "latency", "energy", points=9, solver="exhaustive", time_limit=None)
    points = {(round(p.first, 6), round(p.second, 6)) for p in front.points}
    # Layers do not depend on each other: three on `fast` and one on `slow` take 3 s, all on `fast` 4 s.
    assert points == {(round(a, 6), round(b, 6)) for a, b in _all_points(instance)}
    assert front.step == pytest.approx((front.points[0].second - front.points[-1].second) / 8)
    assert all(p.result.gap == pytest.approx(0) for p in front.points)


def test_no_point_beats_another_and_limits_are_kept():
    front = pareto_front(_layers(5), "latency", "energy", points=4, solver="exhaustive", time_limit=None)
    for a, b in pairwise(front.points):
        assert a.first < b.first
        assert a.second > b.second
    for point in front.points:
        assert point.limit is None or point.second <= point.limit * (1 + 1e-5)
        assert point.result.valid


def test_one_plan_that_is_best_in_both():
    instance = _layers(1)
    front = pareto_front(instance, "latency", "traffic", points=5, solver="exhaustive", time_limit=None)
    assert [(p.first, p.second) for p in front.points] == [(1.0, 0.0)]
    assert front.step == 0


def test_limits_hold_for_all_points():
    limits = {"latency": 6.0}
    front = pareto_front(
        _layers(), "latency", "energy", points=6, solver="exhaustive", time_limit=None, limits=limits
    )
    assert front.points
    assert all(p.first <= 6.0 * (1 + 1e-6) for p in front.points)


def test_impossible_limits_leave_an_empty_front_and_the_reason():
    limits = {"latency": 0.5}
    front = pareto_front(
        _layers(), "latency", "energy", points=3, solver="exhaustive", time_limit=None, limits=limits
    )
    assert front.points == ()
    assert front.failed[0].plan is None


@pytest.mark.parametrize(("second", "points"), [("latency", 8), ("energy", 1)])
def test_bad_arguments(second, points):
    with pytest.raises(InputError):
        pareto_front(_layers(), "latency", second, points=points, solver="exhaustive")
