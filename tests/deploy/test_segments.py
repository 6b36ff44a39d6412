"""Segments: which layers run as one piece."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.costs.check import check, simulate
from dnnplan.deploy.segments import segments, with_segments
from dnnplan.instances import (
    Device,
    Instance,
    Layer,
    Link,
    Memory,
    Model,
    Plan,
    PlanError,
    Platform,
    Task,
    Tensor,
)
from dnnplan.instances.platform import Execution
from dnnplan.instances.task import Precedence
from tests.support.deploy_networks import random_plan

BUNDLED = (
    "tiny/hand",
    "layered/50x4-ccr1",
    "fork-join/50x4-ccr1",
    "multi/3x20x4-ccr1",
    "layered/50x4-ccr0.5-host",
)


def chain(names: str, *, model: str = "net", size: int = 8) -> Model:
    """Layers one after the other."""
    tensors = [Tensor(name="in", targets=(names[0],), bytes=size)]
    tensors += [Tensor(name=f"t{a}", source=a, targets=(b,), bytes=size) for a, b in pairwise(names)]
    tensors.append(Tensor(name="out", source=names[-1], bytes=size, output=True))
    layers = tuple(Layer(name=name, flops=10, workspace_bytes=size) for name in names)
    return Model(name=model, layers=layers, tensors=tuple(tensors))


def two_devices(**more) -> Platform:
    devices = tuple(Device(name=name, kind="cpu", peak_flops={"*": 1}, **more) for name in ("one", "two"))
    return Platform(devices=devices, links=(Link(name="bus", source="one", target="two", bandwidth=8),))


def planned(instance: Instance, place: str) -> Plan:
    """A plan from device numbers of the layers in their order."""
    problem = mapping_problem(instance)
    devices = [int(d) for d in place]
    rows = [[i for i in range(problem.n) if devices[i] == d] for d in range(problem.m)]
    return encode(problem, devices, rows)


def cut(instance: Instance, plan: Plan, **options) -> list[tuple[str, str]]:
    found = segments(mapping_problem(instance), plan, **options)
    return [(s.device, "".join(key.rsplit("/", 1)[1] for key in s.layers)) for s in found]


def test_a_chain_is_cut_where_it_changes_its_device():
    instance = Instance(models=(chain("abcdef"),), platform=two_devices())
    assert cut(instance, planned(instance, "000110")) == [("one", "abc"), ("two", "de"), ("one", "f")]
    assert cut(instance, planned(instance, "000000")) == [("one", "abcdef")]
    assert cut(instance, planned(instance, "010101")) == [
        ("one", "a"),
        ("two", "b"),
        ("one", "c"),
        ("two", "d"),
        ("one", "e"),
        ("two", "f"),
    ]


def test_a_segment_ends_where_another_device_waits_for_it():
    """b makes what e on the other device reads; joined with c and d, e would wait for these too."""
    model = Model(
        name="net",
        layers=tuple(Layer(name=name, flops=10) for name in "abcde"),
        tensors=(
            Tensor(name="ta", source="a", targets=("b",), bytes=8),
            Tensor(name="tb", source="b", targets=("c", "e"), bytes=8),
            Tensor(name="tc", source="c", targets=("d",), bytes=8),
        ),
    )
    instance = Instance(models=(model,), platform=two_devices())
    plan = planned(instance, "00001")
    assert cut(instance, plan) == [("one", "ab"), ("one", "cd"), ("two", "e")]
    called, evaluation = with_segments(mapping_problem(instance), plan)
    assert evaluation.cost.latency == evaluate(instance, plan).cost.latency == 40
    assert called.order == {"one": ("net/0/0", "net/0/1"), "two": ("net/0/2",)}


def test_only_the_first_reader_of_a_device_waits_for_a_tensor():
    """Both c and d read what a on the other device makes; when c has it, d has it."""
    model = Model(
        name="net",
        layers=tuple(Layer(name=name, flops=10) for name in "abcd"),
        tensors=(
            Tensor(name="ta", source="a", targets=("c", "d"), bytes=8),
            Tensor(name="tb", source="b", targets=("c",), bytes=8),
            Tensor(name="tc", source="c", targets=("d",), bytes=8),
        ),
    )
    instance = Instance(models=(model,), platform=two_devices())
    assert cut(instance, planned(instance, "0111")) == [("one", "a"), ("two", "b"), ("two", "cd")]


def test_jobs_are_not_joined_and_tasks_wait():
    models = (chain("ab"), chain("cd", model="other"))
    tasks = (Task(name="late", model="net"), Task(name="early", model="other"))
    instance = Instance(
        models=models,
        tasks=tasks,
        platform=two_devices(),
        precedences=(Precedence(before="early", after="late"),),
    )
    problem = mapping_problem(instance)
    plan = encode(problem, [0] * problem.n, [[2, 3, 0, 1], []])
    assert cut(instance, plan) == [("one", "cd"), ("one", "ab")]


def test_layers_that_belong_to_different_owners_are_not_joined():
    instance = Instance(models=(chain("abcd"),), platform=two_devices())
    owners = dict(zip((f"net/0/{name}" for name in "abcd"), "xxyy", strict=True))
    assert cut(instance, planned(instance, "0000"), apart=owners) == [("one", "ab"), ("one", "cd")]
    assert cut(instance, planned(instance, "0000"), longest=3) == [("one", "abc"), ("one", "d")]


def test_calls_of_the_plan_are_the_segments():
    instance = Instance(models=(chain("abcd"),), platform=two_devices())
    plan = replace(
        planned(instance, "0000"),
        calls={"first": ("net/0/a", "net/0/b", "net/0/c"), "second": ("net/0/d",)},
        order={"one": ("first", "second")},
    )
    found = segments(mapping_problem(instance), plan)
    assert [(s.name, s.position, len(s.layers)) for s in found] == [("first", 0, 3), ("second", 1, 1)]


def test_calls_that_wait_for_each_other_are_refused():
    instance = Instance(models=(chain("abc"),), platform=two_devices())
    plan = replace(
        planned(instance, "010"),
        calls={"around": ("net/0/a", "net/0/c"), "inside": ("net/0/b",)},
        order={"one": ("around",), "two": ("inside",)},
    )
    with pytest.raises(PlanError):
        segments(mapping_problem(instance), plan)


def test_on_devices_with_several_slots_only_chains_are_joined():
    """b and c run side by side as soon as a has ended; joined one of them would wait."""
    model = Model(
        name="net",
        layers=tuple(Layer(name=name, flops=10) for name in "abdc"),
        tensors=(
            Tensor(name="ta", source="a", targets=("b", "c"), bytes=8),
            Tensor(name="tb", source="b", targets=("d",), bytes=8),
        ),
    )
    instance = Instance(models=(model,), platform=two_devices(slots=2))
    plan = planned(instance, "0000")
    assert cut(instance, plan) == [("one", "a"), ("one", "bd"), ("one", "c")]
    called, _ = with_segments(mapping_problem(instance), plan)
    assert evaluate(instance, called).cost.latency == evaluate(instance, plan).cost.latency == 30


def test_segments_are_cut_where_they_need_more_memory_than_there_is():
    """As one call, all tensors of the chain would be in memory at a time."""
    model = chain("abcdefgh", size=10)
    memory = (Memory(name="m", bytes=42, bandwidth=1e9), Memory(name="n", bytes=1000, bandwidth=1e9))
    device = Device(name="one", kind="cpu", memory="m", peak_flops={"*": 1})
    platform = Platform(memories=memory, devices=(device,), execution=Execution(memory="live"))
    instance = Instance(models=(model,), platform=platform)
    problem = mapping_problem(instance)
    plan = encode(problem, [0] * 8, [list(range(8))])
    assert check(instance, plan) == ()
    called, _ = with_segments(problem, plan)
    assert 1 < len(called.calls) <= 8
    assert check(instance, called) == ()
    assert check(instance, with_calls(problem, plan)) != ()


def with_calls(problem, plan):
    """All layers in one call."""
    return replace(plan, calls={"all": tuple(problem.layers)}, order={"one": ("all",)})


def test_an_order_of_transfers_is_kept():
    instance = dnnplan.load("layered/50x4-ccr1")
    platform = replace(instance.platform, execution=replace(instance.platform.execution, contention="links"))
    instance = replace(instance, platform=platform)
    plan = random_plan(instance, 3, 0.8)
    found = simulate(instance, plan)
    plan = replace(plan, transfer_order={name: ids for name, ids in found.channels.items() if len(ids) > 1})
    problem = mapping_problem(instance)
    called, evaluation = with_segments(problem, plan)
    assert evaluation.cost.latency <= evaluate(problem, plan).cost.latency * (1 + 1e-9)
    assert check(instance, called) == ()


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("seed", range(3))
def test_random_plans(name, seed):
    """Each layer is in one segment, of one device and job; the plan is as good as before, and valid."""
    instance = dnnplan.load(name)
    problem = mapping_problem(instance)
    allowed = (
        random_plan(instance, seed, 0.7)
        if name != "tiny/hand"
        else dnnplan.solve(instance, time_limit=5).plan
    )
    called, evaluation = with_segments(problem, allowed)
    assert sorted(key for keys in called.calls.values() for key in keys) == sorted(problem.layers)
    assert called.placement == allowed.placement
    assert evaluation.cost.latency <= evaluate(problem, allowed).cost.latency * (1 + 1e-9)
    assert check(instance, called) == ()
    found = segments(problem, called)
    place = {key: at for at, segment in enumerate(found) for key in segment.layers}
    for _, i, j in problem.edges.tolist():
        assert place[problem.layers[i]] <= place[problem.layers[j]], "producers stand before readers"
