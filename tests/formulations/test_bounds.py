"""Lower bounds: by hand, and never above a plan."""

from __future__ import annotations

import random

import pytest

from dnnplan.costs import decisions_of, evaluate, mapping_problem
from dnnplan.costs.objectives import is_feasible
from dnnplan.formulations.mapping.bounds import (
    communication_path_bound,
    critical_path_bound,
    energy_bound,
    heads_and_tails,
    latency_bounds,
    load_bound,
    objective_bound,
)
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, Power, Tensor
from dnnplan.instances.generators import all_executions, layered, random_small


def chain_on_two() -> Instance:
    """a -> b; a is fast on x (1 against 10), b on y (1 against 10); moving the tensor takes 5."""
    return Instance(
        platform=Platform(
            devices=(
                Device(name="x", power=Power(active=2, idle=1)),
                Device(name="y", power=Power(active=4, idle=1)),
            ),
            links=(Link(name="l", source="x", target="y", bandwidth=1),),
        ),
        models=(
            Model(
                name="m",
                layers=(Layer(name="a"), Layer(name="b")),
                tensors=(Tensor(name="t", source="a", targets=("b",), bytes=5),),
            ),
        ),
        costs=Costs(latency={"m": {"a": {"x": 1, "y": 10}, "b": {"x": 10, "y": 1}}}),
    )


def test_paths_by_hand() -> None:
    problem = mapping_problem(chain_on_two())
    assert critical_path_bound(problem).value == pytest.approx(2.0)
    # a on x, move, b on y: 1 + 5 + 1; staying would take 11.
    assert communication_path_bound(problem).value == pytest.approx(7.0)
    heads, tails = heads_and_tails(problem)
    assert heads.tolist() == [[0, 0], [1, 6]]
    assert tails.tolist() == [[6, 1], [0, 0]]


def test_load_by_hand() -> None:
    """Divisible: a wholly on x and b wholly on y load each device for 1."""
    assert load_bound(mapping_problem(chain_on_two())).value == pytest.approx(1.0)


def test_energy_by_hand() -> None:
    """a on x costs 2, b on y 4; idle 1 W on each of two devices for 7 s, less the 2 s of compute: 6 + 12."""
    assert energy_bound(mapping_problem(chain_on_two()), 7.0).value == pytest.approx(18.0)


def test_bounds_never_exceed_a_feasible_plan() -> None:
    compared = 0
    for index, execution in enumerate(all_executions()):
        for seed in range(6):
            problem = mapping_problem(random_small(seed, execution))
            if any(not row for row in problem.allowed):
                continue
            bounds = [*latency_bounds(problem), critical_path_bound(problem)]
            rng = random.Random(100 * index + seed)
            for _ in range(8):
                place = [rng.choice(row) for row in problem.allowed]
                order: list[list[int]] = [[] for _ in range(problem.m)]
                for i in problem.topological:
                    order[place[i]].append(i)
                evaluation = evaluate(problem, decisions_of(problem, place, order))
                if is_feasible(evaluation):
                    compared += 1
                    for bound in bounds:
                        assert bound.value <= evaluation.cost.latency * (1 + 1e-9), (execution, seed, bound)
                    energy = energy_bound(problem, bounds[0].value)
                    assert energy.value <= evaluation.cost.energy * (1 + 1e-9) + 1e-12
    assert compared > 500


def test_sum_is_bounded_term_by_term() -> None:
    instance = layered(layers=20, devices=3, seed=1)
    import msgspec

    both = mapping_problem(msgspec.structs.replace(instance, objective="latency=2,energy=0.5"))
    latency = latency_bounds(both)[0].value
    bound = objective_bound(both)
    assert bound is not None
    assert bound.value == pytest.approx(2 * latency + 0.5 * energy_bound(both, latency).value)
