"""List schedulers of the literature: published examples, twins, and what each rule promises."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.compiled import compiled
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, Tensor
from dnnplan.instances.generators import erdos, layered, multi_model
from dnnplan.solvers.kernels.list_schedule import upward_ranks
from dnnplan.solvers.kernels.ranks import downward_ranks, optimistic_costs
from dnnplan.solvers.kernels.ready_list import (
    EARLIEST_END,
    EARLIEST_START,
    LATEST_END,
    SUFFERAGE,
    ready_list,
)
from dnnplan.solvers.lists.batch import batch_plan
from dnnplan.solvers.lists.cpop import cpop
from dnnplan.solvers.lists.heft import heft, mean_delays, mean_times
from dnnplan.solvers.lists.peft import peft, ready_order, waiting_lists
from dnnplan.solvers.lists.priced import load_prices

TOPCUOGLU = (
    "14 16 9, 13 19 18, 11 13 19, 13 8 17, 12 13 10, 13 16 9, 7 15 11, 5 11 14, 18 12 20, 21 7 16",
    "1-2 18, 1-3 12, 1-4 9, 1-5 11, 1-6 14, 2-8 19, 2-9 16, 3-7 23, 4-8 27, 4-9 23, 5-9 13, 6-8 15, "
    "7-10 17, 8-10 11, 9-10 13",
)
"""Topcuoglu, Hariri, Wu 2002, figure 2 and table 1."""
ARABNEJAD = (
    "22 21 36, 22 18 18, 32 27 43, 7 10 4, 29 27 35, 26 17 24, 14 25 30, 29 23 36, 15 21 8, 13 16 33",
    "1-2 17, 1-3 31, 1-4 29, 1-5 13, 1-6 7, 2-8 3, 2-9 30, 3-7 16, 4-8 11, 4-9 7, 5-9 57, 6-8 5, 7-10 9, "
    "8-10 42, 9-10 7",
)
"""Arabnejad, Barbosa 2014, figure 1."""


def example(tables: tuple[str, str]) -> Instance:
    """Ten tasks on three fully connected machines, as such examples are printed."""
    times = [[float(v) for v in row.split()] for row in tables[0].split(",")]
    edges = [(*edge.split()[0].split("-"), float(edge.split()[1])) for edge in tables[1].split(",")]
    machines = [f"p{d + 1}" for d in range(len(times[0]))]
    links = tuple(
        Link(name=f"{a}{b}", source=a, target=b, bandwidth=1.0)
        for number, a in enumerate(machines)
        for b in machines[number + 1 :]
    )
    model = Model(
        name="m",
        layers=tuple(Layer(name=f"n{i + 1}") for i in range(len(times))),
        tensors=tuple(
            Tensor(name=f"{a}-{b}", source=f"n{a}", targets=(f"n{b}",), bytes=int(size))
            for a, b, size in edges
        ),
    )
    table = {f"n{i + 1}": dict(zip(machines, row, strict=True)) for i, row in enumerate(times)}
    return Instance(
        platform=Platform(devices=tuple(Device(name=p) for p in machines), links=links),
        models=(model,),
        costs=Costs(latency={"m": table}),
    )


def latency(problem, decisions) -> float:
    assert decisions is not None
    return evaluate(problem, decisions).cost.latency


def test_published_schedule_lengths() -> None:
    """HEFT 80 and CPOP 86 on the example of their paper; PEFT 122 against 133 of HEFT on that of its own."""
    problem = mapping_problem(example(TOPCUOGLU))
    assert latency(problem, heft(problem)) == pytest.approx(80)
    assert latency(problem, cpop(problem)) == pytest.approx(86)
    problem = mapping_problem(example(ARABNEJAD))
    assert latency(problem, peft(problem)) == pytest.approx(122)
    assert latency(problem, heft(problem)) == pytest.approx(133)


def test_optimistic_cost_table_of_its_paper() -> None:
    """Row of the first task, and the two last ones (Arabnejad and Barbosa 2014, table 1)."""
    problem = mapping_problem(example(ARABNEJAD))
    topological = np.array(problem.topological)
    table = optimistic_costs(problem.arrays, topological, mean_delays(problem, problem.arrays))
    assert table[0].tolist() == [64.0, 68.0, 86.0]
    assert table[8].tolist() == [13.0, 16.0, 20.0]
    assert table[9].tolist() == [0.0, 0.0, 0.0]


def independent(rows: list[list[float]]) -> Instance:
    """Layers without tensors on unrelated devices."""
    devices = [f"d{k}" for k in range(len(rows[0]))]
    return Instance(
        platform=Platform(devices=tuple(Device(name=d) for d in devices)),
        models=(Model(name="m", layers=tuple(Layer(name=f"l{i}") for i in range(len(rows)))),),
        costs=Costs(
            latency={"m": {f"l{i}": dict(zip(devices, row, strict=True)) for i, row in enumerate(rows)}}
        ),
    )


def test_batch_rules_by_hand() -> None:
    """Three independent layers with times (2, 3), (4, 6), (5, 7) on two devices.

    min-min: l0 ends at 2 on d0; then l1 ends at 6 on either, d0 first; then l2 at 7 on d1: 7.
    max-min: l2 first, at 5 on d0; then l1 at 6 on d1; then l0 at 7 on d0: 7.
    sufferage: l1 and l2 lose 2, l2 has the higher level: d0 until 5; then l0 loses 4, l1 3: l0 on d1 until 3; l1: 9.
    earliest start: l2 has the highest level: d0 until 5; then l1 on d1 until 6; then l0 on d0 until 7.
    """
    problem = mapping_problem(independent([[2, 3], [4, 6], [5, 7]]))
    expected = {
        EARLIEST_END: ([0, 0, 1], 7),
        LATEST_END: ([0, 1, 0], 7),
        SUFFERAGE: ([1, 0, 0], 9),
        EARLIEST_START: ([0, 1, 0], 7),
    }
    for rule, (place, value) in expected.items():
        decisions = batch_plan(problem, rule)
        assert decisions is not None
        assert (decisions.place, latency(problem, decisions)) == (place, value), rule


CASES = [
    layered(layers=60, devices=4, seed=1),
    erdos(layers=80, devices=5, seed=2, ccr=2.0, restrict=0.2),
    multi_model((25, 25, 20), seed=7),
]


@pytest.mark.parametrize("instance", CASES, ids=lambda i: i.name)
def test_compiled_rules_are_their_plain_twins_and_time_like_the_evaluation(instance) -> None:
    problem = mapping_problem(instance)
    arrays, topological = problem.arrays, np.array(problem.topological)
    mean, delays = mean_times(problem), mean_delays(problem, problem.arrays)
    for kernel, arguments in (
        (downward_ranks, (arrays, topological, mean, delays)),
        (optimistic_costs, (arrays, topological, delays)),
    ):
        assert kernel(*arguments).tolist() == compiled(kernel)(*arguments).tolist()
    level = upward_ranks(arrays, topological, mean, np.zeros(len(problem.tensors)))
    for rule in (EARLIEST_END, LATEST_END, SUFFERAGE, EARLIEST_START):
        plain = ready_list(arrays, waiting_lists(problem), rule, level)
        fast = compiled(ready_list)(arrays, waiting_lists(problem), rule, level)
        assert [part.tolist() for part in plain] == [part.tolist() for part in fast]
        assert sorted(plain[3].tolist()) == list(range(problem.n))
        assert latency(problem, batch_plan(problem, rule)) == pytest.approx(plain[2].max())


@pytest.mark.parametrize("instance", CASES, ids=lambda i: i.name)
def test_ready_order_is_topological_and_follows_priorities(instance) -> None:
    problem = mapping_problem(instance)
    priority = np.arange(problem.n, dtype=float)
    order = ready_order(problem, priority)
    position = np.argsort(order)
    assert all(position[i] < position[j] for _, i, j in problem.edges.tolist())
    free = np.bincount(problem.edges[:, 2], minlength=problem.n) == 0
    assert order[0] == np.flatnonzero(free)[-1]


def test_load_prices_reach_the_bound_of_the_load_programme() -> None:
    """Weak duality: the value at the prices never exceeds the optimum of the programme, and comes near it."""
    from dnnplan.formulations.mapping.bounds import load_bound

    for seed in range(4):
        problem = mapping_problem(
            layered(layers=200, devices=6, seed=seed, spread="range", heterogeneity=8.0)
        )
        price = load_prices(problem.duration, problem.slots)
        value = float((problem.duration * price).min(axis=1).sum() / (price * problem.slots).sum())
        optimum = load_bound(problem).value
        assert value <= optimum * (1 + 1e-6)
        assert value >= 0.98 * optimum
