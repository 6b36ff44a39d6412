"""Searches that the linear relaxation guides, and those under live memory."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.suites.memory import with_share_of_weights
from dnnplan.costs import MappingProblem, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.objectives import is_feasible
from dnnplan.formulations.mapping.bounds import Guide, strong_bound
from dnnplan.instances import (
    Costs,
    Device,
    Execution,
    Instance,
    Layer,
    Link,
    Memory,
    Model,
    Platform,
    Tensor,
)
from dnnplan.instances.generators import all_executions, multi_model, random_small
from dnnplan.solvers.exact.relaxed import bound_by_relaxation
from dnnplan.solvers.lists.heft import heft
from dnnplan.solvers.lists.lp_guided import propose_guided_plans, rounded_placement
from dnnplan.solvers.local.segment_search import SegmentSearch
from dnnplan.solvers.local.tight_memory import giants, pins_for, search_tight
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, Settings
from tests.support.brute_force import brute_force


def three_networks(objective: str = "latency") -> Instance:
    return replace(multi_model((8, 8, 8), devices=3, seed=4), objective=objective)


def guided(problem: MappingProblem, search: Search) -> Guide:
    guide = bound_by_relaxation(problem, search)
    assert guide is not None
    return guide


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_beats_heft_and_reports_a_bound(objective: str) -> None:
    problem = mapping_problem(three_networks(objective))
    plan = heft(problem)
    assert plan is not None
    first = Search(problem, Settings(time_limit=60, workers=1))
    first.propose(plan)
    search = Search(problem, Settings(time_limit=2, workers=1))
    get_solver("lp_rounding").run(problem, search)
    assert search.value is not None
    assert first.value is not None
    assert search.value <= first.value
    assert search.bound is not None
    assert search.bound <= search.value * (1 + 1e-9)


def test_rounding_takes_the_largest_fraction() -> None:
    problem = mapping_problem(three_networks())
    fractions = np.where(np.isfinite(problem.duration), 0.1, 0.0)
    fractions[:, 1] = 0.8
    place = rounded_placement(problem, Guide(fractions, np.zeros_like(fractions)))
    assert (place == 1).all()


def test_no_relaxation_under_a_work_limit() -> None:
    """Its time limit is one of the clock, and work limits promise the same run twice."""
    problem = mapping_problem(three_networks())
    search = Search(problem, Settings(time_limit=None, work_limit=1.0, workers=1))
    assert bound_by_relaxation(problem, search) is None
    assert search.bound is None


def test_guided_plans_hold_under_every_setting() -> None:
    for seed, execution in enumerate(all_executions()[::7]):
        problem = mapping_problem(random_small(seed, execution))
        search = Search(problem, Settings(time_limit=10, workers=1))
        found = strong_bound(problem, time_limit=2)
        if found.guide is None:
            continue
        propose_guided_plans(problem, search, found.guide, 0.1)
        if search.best is not None:
            assert not check(problem.instance, search.best.plan, cost=search.best.cost)


def test_stretches_are_runs_on_one_device() -> None:
    problem = mapping_problem(three_networks())
    local = SegmentSearch(problem, Search(problem, Settings(time_limit=5)), np.ones(problem.n))
    place = np.zeros(problem.n, dtype=np.int64)
    row = local.rows[1]
    place[row[3:6]] = 1
    for _ in range(40):
        stretch = local.stretch(place, int(row[4]))
        assert set(stretch.tolist()) <= set(row[3:6].tolist())
        assert len(stretch) >= 1
        assert set(local.stretch(place, int(row[1])).tolist()) <= set(row[:3].tolist())


def test_segments_find_the_optimum_of_small_instances() -> None:
    """Energy without memory or contention: what moves of stretches reach is what exhaustion finds, mostly."""
    reached = tried = 0
    for seed in range(12):
        instance = replace(random_small(seed, all_executions()[0]), objective="energy")
        problem = mapping_problem(instance)
        best = brute_force(problem)
        search = Search(problem, Settings(time_limit=10, workers=1))
        found = strong_bound(problem, time_limit=2)
        if best.plan is None or found.guide is None:
            continue
        propose_guided_plans(problem, search, found.guide, 0.3)
        tried += 1
        reached += search.value is not None and search.value <= best.value * (1 + 1e-6)
    assert tried >= 8
    assert reached >= tried - 2


def test_share_of_weights_gives_room_for_every_layer_alone() -> None:
    instance = with_share_of_weights(three_networks(), 0.01)
    problem = mapping_problem(instance)
    assert problem.execution.memory == "live"
    assert problem.execution.weights == "choice"
    tensors = [
        sum(problem.size[k] for k in (*problem.inputs[i], *problem.outputs[i])) for i in range(problem.n)
    ]
    assert problem.capacity[problem.memory_of].min() >= max(problem.weight_bytes + np.array(tensors))


def heavy_chain() -> Instance:
    """Eight layers of 1 s on either device, each with weights of 10 bytes that take 10 s to load."""
    layers = tuple(Layer(name=f"l{k}", weight_bytes=10) for k in range(8))
    tensors = tuple(Tensor(name=f"t{k}", source=f"l{k}", targets=(f"l{k + 1}",), bytes=1) for k in range(7))
    devices = tuple(Device(name=name, memory=f"{name}-memory") for name in ("x", "y"))
    return Instance(
        platform=Platform(
            memories=(*(Memory(name=f"{d.name}-memory", bytes=45) for d in devices), Memory(name="store")),
            devices=devices,
            links=(
                Link(name="xy", source="x", target="y", bandwidth=1),
                *(Link(name=f"s{d.name}", source="store", target=d.name, bandwidth=1) for d in devices),
            ),
            host="store",
            execution=Execution(memory="live", weights="choice"),
        ),
        models=(Model(name="m", layers=layers, tensors=tensors),),
        costs=Costs(latency={"m": {layer.name: {"x": 1, "y": 1} for layer in layers}}),
    )


def test_live_memory_pins_what_fits_together() -> None:
    """Four weights fit each memory beside the tensors: all pinned, the chain takes 8 s and one transfer."""
    problem = mapping_problem(heavy_chain())
    search = Search(problem, Settings(time_limit=60, workers=1))
    search_tight(problem, search, strong_bound(problem, time_limit=5).guide, 3.0)
    assert search.value == pytest.approx(9.0)
    assert search.best is not None
    assert sorted(len(pins) for pins in search.best.decisions.pinned) == [4, 4]
    assert not check(problem.instance, search.best.plan, cost=search.best.cost)


def test_live_memory_pins_a_part_where_not_all_fits() -> None:
    """With 25 bytes each, at most three weights of all are pinned while one more is loaded: streaming takes 80 s."""
    instance = heavy_chain()
    assert instance.platform is not None
    memories = tuple(replace(m, bytes=25) if m.bytes else m for m in instance.platform.memories)
    problem = mapping_problem(replace(instance, platform=replace(instance.platform, memories=memories)))
    search = Search(problem, Settings(time_limit=60, workers=1))
    search_tight(problem, search, strong_bound(problem, time_limit=5).guide, 4.0)
    assert search.best is not None
    assert is_feasible(evaluate(problem, search.best.plan))
    assert search.best.cost.latency < 80


def test_pins_leave_room_for_the_largest_streamed_weights() -> None:
    problem = mapping_problem(with_share_of_weights(three_networks(), 0.2))
    place = [0] * problem.n
    pins = pins_for(problem, place, 0.1)
    size = problem.weight_bytes[problem.first_of_weight]
    loaded = [size[w] for w in set(problem.weight_of.tolist()) - pins[0]]
    assert pins[0]
    assert size[sorted(pins[0])].sum() + max(loaded) <= 0.9 * problem.capacity[problem.memory_of[0]]
    assert not giants(problem, 0.0).any()
