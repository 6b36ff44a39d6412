"""The general timeline, the event simulation and the path on arrays give the same figures."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs import Decisions, MappingProblem, decisions_of, evaluate, mapping_problem
from dnnplan.costs.calls import call_graph
from dnnplan.costs.compiled import compiled
from dnnplan.costs.decisions import to_plan
from dnnplan.costs.events import EventSimulation
from dnnplan.costs.fast import applies, forward
from dnnplan.costs.timeline import Timeline
from dnnplan.instances import Instance, PlanError
from dnnplan.instances.generators import all_executions, layered, multi_model, random_small

SETTINGS = all_executions()


def random_decisions(problem: MappingProblem, rng: random.Random) -> Decisions | None:
    if any(not row for row in problem.allowed):
        return None
    place = [rng.choice(row) for row in problem.allowed]
    order: list[list[int]] = [[] for _ in range(problem.m)]
    for i in problem.topological:
        order[place[i]].append(i)
    return decisions_of(problem, place, order)


@pytest.mark.parametrize("setting", range(len(SETTINGS)))
def test_event_simulation_without_contention_is_the_timeline(setting: int) -> None:
    compared = 0
    for seed in range(12):
        problem = mapping_problem(random_small(seed, SETTINGS[setting]))
        decisions = random_decisions(problem, random.Random(seed))
        if decisions is None:
            continue
        graph = call_graph(problem, decisions)
        ours, twin = Timeline(graph).compute(), EventSimulation(graph, contended=False).compute()
        assert (ours.start, ours.end) == (twin.start, twin.end), seed
        assert sorted(ours.transfers) == sorted(twin.transfers), seed
        compared += 1
    assert compared > 5


def same_figures(problem: MappingProblem, decisions: Decisions) -> None:
    fast, general = evaluate(problem, decisions), evaluate(problem, decisions, fast=False)
    assert fast.known is None
    for name in ("latency", "energy", "edp", "traffic", "max_load", "weighted_completion", "tardiness"):
        assert getattr(fast.cost, name) == pytest.approx(getattr(general.cost, name), rel=1e-12), name
    assert fast.cost.memory == pytest.approx(general.cost.memory)
    assert fast.cost.load == pytest.approx(general.cost.load)
    assert fast.start == pytest.approx(general.start)
    assert fast.end == pytest.approx(general.end)
    assert fast.completion == pytest.approx(general.completion)


def test_calls_of_one_layer_each_may_be_named_in_any_order() -> None:
    """The path on arrays took the first call for the first layer: other times, other names."""
    plain = {"overlap": True, "staging": "direct", "contention": "none", "weights": "resident"}
    setting = next(s for s in SETTINGS if all(getattr(s, name) == value for name, value in plain.items()))
    compared = 0
    for seed in range(20):
        problem = mapping_problem(random_small(seed, setting))
        decisions = random_decisions(problem, random.Random(seed))
        if decisions is None:
            continue
        plan = to_plan(problem, decisions)
        before = evaluate(problem, plan)
        keys = list(problem.layers)
        random.Random(seed).shuffle(keys)
        after = evaluate(problem, replace(plan, calls={key: (key,) for key in keys}, times={}))
        assert after.cost.latency == before.cost.latency
        assert after.starts == before.starts
        compared += 1
    assert compared > 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda calls, key: calls | {key: (key, key)}, "is there twice"),
        (lambda calls, key: calls | {"more": (key,)}, "is also in call"),
        (lambda calls, key: {name: keys for name, keys in calls.items() if name != key}, "is in no call"),
        (lambda calls, key: calls | {key: ()}, "empty, or holds unknown layers"),
    ],
)
def test_each_layer_is_in_one_call_once(change: Callable[..., Any], message: str) -> None:
    problem = mapping_problem(random_small(0, SETTINGS[0]))
    decisions = random_decisions(problem, random.Random(0))
    assert decisions is not None
    plan = to_plan(problem, decisions)
    keys = problem.layers
    calls = change({key: (key,) for key in keys}, keys[0])
    with pytest.raises(PlanError, match=message):
        evaluate(problem, replace(plan, calls=calls, times={}))


def test_path_on_arrays_gives_the_figures_of_the_general_path() -> None:
    compared = 0
    for execution in SETTINGS:
        before = compared
        for seed in range(40):
            if seed == 4 and compared == before:
                break  # a setting that is left to the general path
            problem = mapping_problem(random_small(seed, execution))
            decisions = random_decisions(problem, random.Random(seed))
            if decisions is not None and applies(problem, decisions):
                same_figures(problem, decisions)
                compared += 1
    assert compared > 100


@pytest.mark.parametrize("instance", [layered(layers=300, devices=5, seed=1), multi_model((60, 40), seed=2)])
def test_path_on_arrays_on_larger_instances(instance: Instance) -> None:
    problem = mapping_problem(instance)
    decisions = random_decisions(problem, random.Random(0))
    assert decisions is not None
    assert applies(problem, decisions)
    same_figures(problem, decisions)


@pytest.mark.filterwarnings("error")
def test_a_plan_that_never_ends_takes_energy_without_end() -> None:
    """Two devices without a link: what the second one waits for never comes."""
    whole = layered(layers=12, devices=2, seed=1)
    problem = mapping_problem(replace(whole, platform=replace(whole.platform, links=())))
    decisions = decisions_of(problem, [i % 2 for i in range(12)], [[*range(0, 12, 2)], [*range(1, 12, 2)]])
    for idle, fast in product((0.0, 1.0), (True, False)):
        cost = evaluate(dataclasses.replace(problem, idle_power=np.full(2, idle)), decisions, fast=fast).cost
        assert (cost.latency, cost.energy) == (math.inf, math.inf)


def test_deadlock_is_an_error_on_every_path() -> None:
    from dnnplan.instances import PlanError

    problem = mapping_problem(layered(layers=20, devices=2, seed=1))
    decisions = random_decisions(problem, random.Random(0))
    assert decisions is not None
    decisions.order = [list(reversed(row)) for row in decisions.order]
    for fast in (True, False):
        with pytest.raises(PlanError, match="deadlock"):
            evaluate(problem, decisions, fast=fast)


def test_compiled_forward_pass_is_its_plain_twin() -> None:
    import numpy as np

    from dnnplan.costs.fast import _neighbours

    problem = mapping_problem(layered(layers=80, devices=4, seed=3))
    decisions = random_decisions(problem, random.Random(1))
    assert decisions is not None
    arguments = (
        problem.arrays,
        problem.reader_offsets,
        np.array(decisions.place, dtype=np.int64),
        *_neighbours(problem, decisions),
    )
    plain, fast = forward(*arguments), compiled(forward)(*arguments)
    assert plain[0].tolist() == fast[0].tolist()
    assert plain[1].tolist() == fast[1].tolist()
    assert plain[2] == fast[2] == problem.n
