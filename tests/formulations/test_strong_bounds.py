"""The bounds of the linear relaxation: never above the optimum under any setting, never below the quick bounds."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs import MappingProblem, evaluate, mapping_problem
from dnnplan.formulations.mapping.bounds import objective_bound, strong_bound
from dnnplan.formulations.mapping.bounds.linear import LinearProgram, prove, solve_linear
from dnnplan.formulations.mapping.bounds.relaxation import relax
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, Power, Tensor
from dnnplan.instances.generators import all_executions, layered, random_small
from dnnplan.solvers.lists.heft import heft
from tests.support.brute_force import brute_force

EXECUTIONS = all_executions()
OBJECTIVES = ("latency", "energy", "edp", "traffic", "latency=1,energy=0.3")


def two_networks() -> Instance:
    """A chain of three layers that wants device x (2 against 9), and two loose layers of 6 on x or 8 on y."""
    chain = tuple(Layer(name=f"c{k}") for k in range(3))
    tensors = tuple(Tensor(name=f"t{k}", source=f"c{k}", targets=(f"c{k + 1}",), bytes=1) for k in range(2))
    return Instance(
        platform=Platform(
            devices=(Device(name="x", power=Power(active=2)), Device(name="y", power=Power(active=1))),
            links=(Link(name="l", source="x", target="y", bandwidth=1, energy_per_byte=5),),
        ),
        models=(
            Model(name="a", layers=chain, tensors=tensors),
            Model(name="b", layers=(Layer(name="p"), Layer(name="q"))),
        ),
        costs=Costs(
            latency={
                "a": {layer.name: {"x": 2, "y": 9} for layer in chain},
                "b": {"p": {"x": 6, "y": 8}, "q": {"x": 6, "y": 8}},
            }
        ),
    )


def gap_of(problem: MappingProblem, value: float | None = None) -> tuple[float, float]:
    """The strong and the quick bound."""
    strong, quick = strong_bound(problem, value=value, time_limit=10).bound, objective_bound(problem)
    assert strong is not None
    assert quick is not None
    return strong.value, quick.value


@pytest.mark.parametrize("first", range(0, len(EXECUTIONS), 9))
def test_never_above_the_optimum(first: int) -> None:
    compared = 0
    for seed in range(first, first + 9):
        for objective in ("latency", OBJECTIVES[seed % len(OBJECTIVES)]):
            instance = replace(random_small(500 + seed, EXECUTIONS[seed]), objective=objective)
            problem = mapping_problem(instance)
            best = brute_force(problem)
            if best.plan is None:
                continue
            compared += 1
            for value in (None, best.value, 1.4 * best.value):
                strong, quick = gap_of(problem, value)
                assert strong <= best.value * (1 + 1e-9) + 1e-12, (seed, objective, value)
                assert strong >= quick * (1 - 1e-9), (seed, objective, value)
    assert compared > 9


def test_joins_load_and_path_by_hand() -> None:
    """The chain takes 6 on x, which leaves no more than C - 6 of x to the loose layers.

    On x and y together they take 6 + 8 or 8 + 8 in whole; divided, f of their 12 seconds on x: 12 f <= C - 6 and
    16 (1 - f) <= C, so C = 10 + 2/7 at f = 5/14, where load alone says the same and the path alone 6.
    """
    strong, quick = gap_of(mapping_problem(two_networks()))
    assert strong == pytest.approx(72 / 7)
    assert quick == pytest.approx(72 / 7)
    # Targets below a known plan of 14 strike out what would take longer: the chain stays on x, and no less remains.
    assert gap_of(mapping_problem(two_networks()), 14.0)[0] == pytest.approx(72 / 7)


def test_energy_counts_transfers_by_hand() -> None:
    """On y every second costs 1 J, on x 2 J: c0..c2 cost 4 each on x, 9 on y; p and q 12 on x, 8 on y: 12 + 16."""
    problem = mapping_problem(replace(two_networks(), objective="energy"))
    assert gap_of(problem) == (pytest.approx(28.0), pytest.approx(28.0))
    # With c1 only on y, both tensors around it move, 5 J each (quick: 4 + 9 + 4 + 16), or all three run on y.
    fixed = two_networks()
    rows = {**fixed.costs.latency["a"], "c1": {"y": 9.0}}
    costs = Costs(latency={**fixed.costs.latency, "a": rows})
    problem = mapping_problem(replace(fixed, costs=costs, objective="energy"))
    strong, quick = gap_of(problem)
    assert quick == pytest.approx(33.0)
    assert strong == pytest.approx(43.0)


def test_any_duals_prove_a_bound() -> None:
    """min x + 2 y, x + y >= 1 in the unit box: 1. Wrong duals prove less, never more."""
    program = LinearProgram()
    x, y = program.variable(0, 1, 1.0), program.variable(0, 1, 2.0)
    program.row([(x, 1.0), (y, 1.0)], 1.0)
    assert solve_linear(program, time_limit=5).bound == pytest.approx(1.0)
    for dual in (-3.0, 0.0, 0.5, 1.0, 1.5, 9.0):
        bound, _ = prove(program, program.matrix(), np.ones(2), np.array([dual]))
        assert bound <= 1.0
    assert prove(program, program.matrix(), np.ones(2), np.array([1.5]))[0] == pytest.approx(1.0)


def test_a_plan_is_a_point_of_the_relaxation() -> None:
    """The fractions of a plan, put into the boxes, leave a programme whose bound is at most the plan's value."""
    for execution in EXECUTIONS[::5]:
        problem = mapping_problem(random_small(3, execution))
        plan = heft(problem)
        if plan is None:
            continue
        latency = evaluate(problem, plan).cost.latency
        r = relax(problem, np.isfinite(problem.duration), 2 * latency)
        r.program.cost[r.makespan] = 1.0
        for i, d in enumerate(plan.place):
            r.program.low[int(r.x[i, d])] = 1.0
        solution = solve_linear(r.program, time_limit=5)
        assert not solution.infeasible
        assert solution.bound * 2 * latency <= latency * (1 + 1e-9)


def test_guide_puts_every_layer_somewhere() -> None:
    problem = mapping_problem(layered(layers=30, devices=3, seed=2))
    found = strong_bound(problem, time_limit=10)
    assert found.guide is not None
    assert found.guide.fractions.sum(axis=1) == pytest.approx(np.ones(problem.n))
    chosen = found.guide.fractions > 0.5
    assert found.guide.reduced[chosen] == pytest.approx(np.zeros(int(chosen.sum())), abs=1e-6)


def test_stops_when_told() -> None:
    problem = mapping_problem(layered(layers=30, devices=3, seed=2))
    found = strong_bound(problem, value=1e9, time_limit=10, keep_going=lambda: False)
    assert found.guide is None
    assert found.bound is not None
    quick = objective_bound(problem)
    assert quick is not None
    assert found.bound.value == pytest.approx(quick.value)
