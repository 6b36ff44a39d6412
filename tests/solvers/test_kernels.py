"""Compiled kernels against their plain twins, and list schedules against the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.compiled import compiled
from dnnplan.instances import Execution
from dnnplan.instances.generators import layered, multi_model, random_small
from dnnplan.solvers.kernels.list_schedule import schedule, upward_ranks
from dnnplan.solvers.lists.heft import heft, mean_delays, mean_times, rank_order
from dnnplan.solvers.lists.lookahead import lookahead
from dnnplan.solvers.local.anneal import layer_costs, reader_lists

INSTANCES = [layered(layers=60, devices=4, seed=s) for s in range(3)] + [multi_model((25, 25, 20), seed=7)]


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda i: i.name)
def test_compiled_list_schedule_is_its_plain_twin(instance) -> None:
    problem = mapping_problem(instance)
    order = rank_order(problem, problem.arrays)
    forced = np.full(problem.n, -1, dtype=np.int64)
    bias = np.zeros((problem.n, problem.m))
    plain = schedule(problem.arrays, order, forced, bias)
    fast = compiled(schedule)(problem.arrays, order, forced, bias)
    for a, b in zip(plain, fast, strict=True):
        assert a.tolist() == b.tolist()
    arguments = (
        problem.arrays,
        np.array(problem.topological),
        mean_times(problem),
        mean_delays(problem, problem.arrays),
    )
    assert upward_ranks(*arguments).tolist() == compiled(upward_ranks)(*arguments).tolist()


@pytest.mark.parametrize("instance", INSTANCES, ids=lambda i: i.name)
def test_times_of_the_list_schedule_are_those_of_the_evaluation(instance) -> None:
    problem = mapping_problem(instance)
    order = rank_order(problem, problem.arrays)
    forced = np.full(problem.n, -1, dtype=np.int64)
    _, _, end = schedule(problem.arrays, order, forced, np.zeros((problem.n, problem.m)))
    decisions = heft(problem)
    assert decisions is not None
    assert evaluate(problem, decisions).cost.latency == pytest.approx(float(end.max()))


def test_ranks_by_hand() -> None:
    """A chain a -> b on two devices: rank(b) = mean 2, rank(a) = mean 3 + mean delay 4 + 2 = 9."""
    from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, Tensor

    instance = Instance(
        platform=Platform(
            devices=(Device(name="x"), Device(name="y")),
            links=(Link(name="l", source="x", target="y", bandwidth=1),),
        ),
        models=(
            Model(
                name="m",
                layers=(Layer(name="a"), Layer(name="b")),
                tensors=(Tensor(name="t", source="a", targets=("b",), bytes=4),),
            ),
        ),
        costs=Costs(latency={"m": {"a": {"x": 2, "y": 4}, "b": {"x": 1, "y": 3}}}),
    )
    problem = mapping_problem(instance)
    ranks = upward_ranks(
        problem.arrays,
        np.array(problem.topological),
        mean_times(problem),
        mean_delays(problem, problem.arrays),
    )
    assert ranks.tolist() == [9.0, 2.0]


def test_lookahead_is_optimal_on_a_chain() -> None:
    """On a chain the tails are exact, so that following them is following an optimal path."""
    from dnnplan.formulations.mapping.bounds import communication_path_bound
    from dnnplan.instances.generators import chain

    for seed in range(5):
        problem = mapping_problem(chain(layers=30, devices=4, seed=seed))
        best = min(evaluate(problem, plan).cost.latency for plan in lookahead(problem))
        assert best == pytest.approx(communication_path_bound(problem).value, rel=1e-6)


def test_annealing_never_loses_its_start_and_is_reproducible() -> None:
    from dnnplan.solvers.kernels.annealing import anneal

    problem = mapping_problem(layered(layers=40, devices=4, seed=5))
    decisions = heft(problem)
    assert decisions is not None
    order = rank_order(problem, problem.arrays)
    place = np.array(decisions.place, dtype=np.int64)
    extra, weight = layer_costs(problem)
    start = evaluate(problem, decisions).cost.latency
    runs = [
        anneal(
            problem.arrays,
            reader_lists(problem),
            order,
            place,
            extra,
            weight,
            (1e-3 * start, 1e-5 * start),
            400,
            1,
        )
        for _ in range(2)
    ]
    assert runs[0][2] == runs[1][2] <= start * (1 + 1e-12)
    assert runs[0][1].tolist() == runs[1][1].tolist()


def test_heft_respects_room_for_resident_weights() -> None:
    execution = Execution(memory="static", weights="resident")
    kept = 0
    for seed in range(30):
        problem = mapping_problem(random_small(seed, execution))
        if any(not row for row in problem.allowed):
            continue
        decisions = heft(problem)
        if decisions is None:
            continue
        for d in range(problem.m):
            held = sum(problem.weight_bytes[i] for i in range(problem.n) if decisions.place[i] == d)
            assert held <= problem.weight_capacity[d] or len(set(problem.weight_of.tolist())) < problem.n
        kept += 1
    assert kept > 10
