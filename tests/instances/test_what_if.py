"""What-if: single values of an instance changed, and what is wrong with a setting."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.instances import (
    Costs,
    Device,
    DeviceRule,
    InputError,
    Instance,
    InstanceError,
    Layer,
    Link,
    Model,
    Ordering,
    Plan,
    Platform,
    Sharing,
    Task,
    Tensor,
)
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.copies import split_copies
from dnnplan.instances.sections import Block, BlockCost, Candidate
from dnnplan.instances.what_if import changed


@pytest.fixture
def hand() -> Instance:
    return load_bundled("tiny/hand")


def device(instance: Instance, name: str) -> Device:
    assert instance.platform is not None
    return next(d for d in instance.platform.devices if d.name == name)


def test_values_factors_and_shares(hand: Instance) -> None:
    after = changed(
        hand,
        [
            "devices.npu.overhead=30e-6",
            "links.bus.bandwidth=2x",
            "memories.npu-memory.bytes=4096",
            "memories.npu-memory.bytes=50%",
        ],
    )
    assert (hand.platform, after.platform) != (None, None)
    assert device(after, "npu").overhead == 30e-6
    assert after.platform.links[0].bandwidth == 2 * hand.platform.links[0].bandwidth
    found = {memory.name: memory.bytes for memory in after.platform.memories}
    assert (found["npu-memory"], found["cpu-memory"]) == (2048, None)
    assert isinstance(found["npu-memory"], int)


def test_the_name_mentions_the_change_and_the_hash_differs(hand: Instance) -> None:
    after = changed(hand, "execution.contention=links")
    assert after.name == "tiny/hand with execution.contention=links"
    assert after.hash() != hand.hash()
    assert changed(hand, ()) is hand


def test_sections_of_the_instance(hand: Instance) -> None:
    after = changed(
        hand,
        [
            "objective=latency>energy",
            "limits.energy=0.5",
            "tasks.hand.deadline=0.1",
            "models.hand.layers.stem.flops=2x",
            "limits.energy=null",
        ],
    )
    assert (after.objective, after.limits.energy) == ("latency>energy", None)
    assert [(task.name, task.deadline) for task in after.tasks] == [("hand", 0.1)]
    flops = [m.layers[0].flops for m in (hand.models[0], after.models[0])]
    assert flops[1] == 2 * flops[0]


def test_every_name_and_tables(hand: Instance) -> None:
    after = changed(
        hand, ["devices.*.power.active=3", "devices.npu.peak_flops=2x", "devices.npu.efficiency.Conv=0.5"]
    )
    assert [d.power.active for d in after.platform.devices] == [3] * len(after.platform.devices)
    before = device(hand, "npu").peak_flops
    assert device(after, "npu").peak_flops == {key: 2 * rate for key, rate in before.items()}
    assert device(after, "npu").efficiency["Conv"] == 0.5


def test_lists_and_names_with_dots() -> None:
    platform = Platform(devices=(Device(name="a.b"), Device(name="a")))
    instance = Instance(platform=platform, models=(Model(name="m", layers=(Layer(name="x"),)),))
    after = changed(instance, ['devices.a.b.operators=["Conv", "Gemm"]', "devices.a.overhead=1"])
    assert device(after, "a.b").operators == ("Conv", "Gemm")
    assert (device(after, "a").overhead, device(after, "a.b").overhead) == (1, 0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("links.bsu.bandwidth=2x", '"bsu" is not a link, did you mean "bus"'),
        ("links.bus.bandwith=2x", '"bandwith" is not a field of link, did you mean "bandwidth"'),
        ("link.bus.bandwidth=2x", '"link" is not a section, did you mean "links"'),
        ("links.bus=2x", 'expected a field of "bus" too'),
        ("execution.staging.more=1", 'there is nothing called "more"'),
        ("execution.staging=2x", 'the present value is "direct", expected a number'),
        ("limits.energy=2x", "the present value is null, expected a number"),
        ("extensions.a=1", '"extensions" is not a section'),
        ("links.bus.bandwidth", "expected PATH=VALUE"),
        ("=1", "expected PATH=VALUE"),
        ("models.hand.layers.nothing.flops=1", '"nothing" is not a layer'),
    ],
)
def test_settings_that_lead_nowhere(hand: Instance, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed(hand, setting)


@pytest.mark.parametrize(
    "setting",
    [
        "links.bus.bandwidth=0",
        "links.bus.bandwidth=fast",
        "devices.npu.memory=nowhere",
        "execution.staging=sideways",
        "devices.npu.overhead=1e999",
        "devices.npu.count=1.5",
        'devices.npu.peak_flops={"*": 1}',
    ],
)
def test_what_comes_out_is_validated(hand: Instance, setting: str) -> None:
    with pytest.raises(InstanceError):
        changed(hand, setting)


def pair() -> Instance:
    """Two copies of npu and a cpu; the second copy has a link of its own."""
    layers = (
        Layer(name="a", flops=8, devices=DeviceRule(fix="npu")),
        Layer(name="b", flops=4, devices=DeviceRule(forbid=("npu.0",))),
    )
    model = Model(name="m", layers=layers, tensors=(Tensor(name="t", source="a", targets=("b",), bytes=12),))
    platform = Platform(
        devices=(Device(name="npu", count=2, peak_flops={"*": 2}), Device(name="cpu", peak_flops={"*": 1})),
        links=(
            Link(name="fast", source="npu.1", target="cpu", bandwidth=6),
            Link(name="bus", source="npu", target="cpu", bandwidth=2),
            Link(name="side", source="npu", target="npu", bandwidth=4),
        ),
    )
    costs = Costs(
        energy={"m": {"a": {"npu": 1, "npu.1": 2}}},
        transfer={"m": {"t": {"npu": {"cpu": 3, "npu": 5}, "npu.1": {"cpu": 7}}}},
    )
    return Instance(models=(model,), platform=platform, costs=costs)


def test_a_copy_can_be_changed_alone() -> None:
    after = changed(pair(), "devices.npu.1.overhead=0.5")
    assert [d.name for d in after.platform.devices] == ["npu.0", "npu.1", "cpu"]
    assert mapping_problem(after).duration[0].tolist() == [4, 4.5, float("inf")]


@pytest.mark.parametrize(
    "places", [("npu.0", "cpu"), ("npu.1", "cpu"), ("npu.0", "npu.1"), ("npu.1", "npu.1")]
)
@pytest.mark.parametrize("tables", [True, False])
def test_devices_taken_apart_mean_the_same(places: tuple[str, str], tables: bool) -> None:
    instance = pair() if tables else replace(pair(), costs=Costs())
    after = split_copies(instance, "npu")
    keys = ("m/0/a", "m/0/b")
    order = {d: tuple(k for k, p in zip(keys, places, strict=True) if p == d) for d in places}
    plan = Plan(placement=dict(zip(keys, places, strict=True)), order=order)
    assert evaluate(after, plan).cost == evaluate(instance, plan).cost


def test_tables_of_stages_follow_the_copies() -> None:
    rows = {
        "final": {"1": 1.0},
        "final@npu": {"1": 2.0},
        "m/final@npu.1": {"1": 3.0},
        "final@npu.1": {"1": 4.0},
    }
    instance = replace(pair(), costs=Costs(batch_latency=rows, stage_switch={"final@npu": 5.0}))
    after = split_copies(instance, "npu").costs
    assert after.batch_latency == {
        "final": {"1": 1.0},
        "final@npu.0": {"1": 2.0},
        "final@npu.1": {"1": 4.0},
        "m/final@npu.1": {"1": 3.0},
    }
    assert after.stage_switch == {"final@npu.0": 5.0, "final@npu.1": 5.0}


def test_rows_without_the_name_behind_a_star_are_passed_over(hand: Instance) -> None:
    layers = [layer.name for layer in hand.models[0].layers]
    first, second = layers[:2]
    model = hand.models[0].name
    devices = [d.name for d in hand.platform.devices] if hand.platform is not None else []
    rows = {first: {devices[0]: 4.0, devices[1]: 2.0}, second: {devices[0]: 6.0}}
    rows |= {name: {devices[0]: 1.0} for name in layers[2:]}
    tables = replace(hand, costs=Costs(latency={model: rows}))
    after = changed(tables, [f"costs.latency.*.*.{devices[1]}=50%"]).costs.latency[model]
    assert after[first] == {devices[0]: 4.0, devices[1]: 1.0}
    assert after[second] == rows[second]
    with pytest.raises(InputError, match="nowhere"):
        changed(tables, ["costs.latency.*.*.nowhere=50%"])


# -- grouping and ordering --

TASKS = Instance(
    objective="switching",
    tasks=(Task(name="a", model="net"), Task(name="b", model="net")),
    ordering=Ordering(resources=((1, 1), (0, 1)), slots=2),
    sharing=Sharing(
        branch_points=("p",),
        blocks=(Block(bytes=8, compute=3, load=2),),
        stem=Block(bytes=10, costs={"a": BlockCost(load=4)}),
        groups=((("a", "b"),),),
        candidates=(Candidate(tasks=("a",), cost=1, loss={"a": 0.5}),),
    ),
)


def test_fields_of_grouping_and_ordering() -> None:
    after = changed(
        TASKS,
        [
            "ordering.closed=true",
            "ordering.slots=2x",
            "ordering.unit=J",
            "sharing.blocks.*.load=50%",
            "sharing.stem.costs.a.load=3x",
            "sharing.head=null",
            "sharing.candidates.*.loss.a=2x",
            "limits.switching=7",
            "tasks.b.weight=0.25",
        ],
    )
    assert after.ordering == replace(TASKS.ordering, closed=True, slots=4, unit="J")
    assert after.sharing == Sharing(
        branch_points=("p",),
        blocks=(Block(bytes=8, compute=3, load=1),),
        stem=Block(bytes=10, costs={"a": BlockCost(load=12)}),
        groups=((("a", "b"),),),
        candidates=(Candidate(tasks=("a",), cost=1, loss={"a": 1.0}),),
    )
    assert (after.limits.switching, after.tasks[1].weight) == (7, 0.25)


def test_changed_sections_of_tasks_are_validated() -> None:
    with pytest.raises(
        InstanceError, match=r'ordering.resources\[0\]: task "a" needs 2 tools, expected at most 1'
    ):
        changed(TASKS, "ordering.slots=1")
    with pytest.raises(InstanceError, match=r"sharing.groups\[0\]: without \"b\""):
        changed(TASKS, 'sharing.groups=[[["a"]]]')
