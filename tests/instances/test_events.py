"""Change events: reading them, what they do to an instance, and what they refuse."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs import mapping_problem
from dnnplan.costs.routes import resolve_routes
from dnnplan.instances import (
    Device,
    DeviceRule,
    InfeasibleError,
    InputError,
    Instance,
    Layer,
    Link,
    Memory,
    Mode,
    Model,
    Platform,
    Power,
    Precedence,
    Sharing,
    Task,
    Tensor,
    UnsupportedError,
)
from dnnplan.instances.bundled_platforms import load_platform, platform_names
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.events import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    LinkChanged,
    LinkLost,
    ModelAdded,
    ModelCosts,
    ModelRemoved,
    apply,
    loads_events,
    with_files,
)
from dnnplan.instances.events.links import _routes
from dnnplan.instances.files import write_instance
from dnnplan.instances.generators import generate, multi_model
from dnnplan.instances.generators.small import random_small
from dnnplan.instances.schema import events_schema
from dnnplan.instances.sections import Condition, Costs, Ordering
from dnnplan.instances.validation import validate


def net(name: str = "net", **rules: DeviceRule) -> Model:
    """Two layers in a chain."""
    layers = tuple(
        Layer(name=layer, flops=1e6, weight_bytes=1000, devices=rules.get(layer)) for layer in ("a", "b")
    )
    return Model(
        name=name, layers=layers, tensors=(Tensor(name="t", source="a", targets=("b",), bytes=1000),)
    )


def two_devices(**members: object) -> Instance:
    """A chain on a CPU and an NPU with three copies, joined by one link."""
    platform = Platform(
        memories=(Memory(name="ram", bandwidth=1e9),),
        devices=(
            Device(name="cpu", memory="ram", peak_flops={"*": 1e9}, power=Power(active=10)),
            Device(
                name="npu",
                count=3,
                peak_flops={"*": 4e9},
                overhead=1e-6,
                power=Power(active=4, idle=1),
                modes=(Mode(name="eco", speed=0.5, power=0.25),),
            ),
        ),
        links=(Link(name="bus", source="ram", target="npu", bandwidth=1e8, latency=1e-5),),
        host="ram",
    )
    return replace(Instance(platform=platform, models=(net(),)), **members)


# --- reading ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "device_lots", "device": "a"}', 'event.kind: "device_lots", did you mean "device_lost"'),
        ('{"device": "a"}', "event.kind: missing, expected one of device_lost"),
        ('{"kind": "device_lost"}', "event.device: missing"),
        ('{"kind": "device_lost", "device": "a", "speed": 1}', "event.speed: unknown key"),
        ('[{"kind": "device_throttled", "device": "a", "speed": 0}]', "event[0].speed: 0, expected >= 1e-06"),
        ('{"kind": "device_throttled", "device": "a", "speed": NaN}', "event.speed: NaN"),
        ('{"kind": "batch_changed", "task": "a", "batch": 1.5}', "event.batch: 1.5"),
        ('{"kind": 3}', "event.kind: 3"),
        ("[]", "no event"),
        ("7", "expected an object with a `kind`"),
        ('{"events": [], "format_version": "2.0"}', 'format_version: "2.0"'),
        ('{"events": [{"kind": "link_lost", "link": "a"}], "more": 1}', "more: unknown key"),
        ('{"kind": "device_lost"', "not JSON"),
        ('{"kind": "device_lost", "kind": "link_lost"}', "more than once"),
        ('{"kind": "device_throttled", "device": "a", "speed": 1e300}', "event.speed: 1e+300"),
    ],
)
def test_bad_events_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        loads_events(text, "--event")
    assert message in str(error.value)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(InputError) as error:
        loads_events('[{"kind": "device_lost"}, {"kind": "link_changed", "link": "a", "factor": -1}, 3]')
    assert [p.path for p in error.value.problems] == ["event[0].device", "event[1].factor", "event[2]"]


def test_one_a_list_or_a_file_of_events() -> None:
    one = '{"kind": "link_lost", "link": "bus"}'
    expected = (LinkLost(link="bus"),)
    assert loads_events(one) == loads_events(f"[{one}]") == expected
    assert loads_events(f'{{"format_version": "1.7", "events": [{one}]}}') == expected


def test_the_schema_agrees_with_the_reader() -> None:
    validator = jsonschema.Draft202012Validator(events_schema())
    good = {"format_version": "1.0", "events": [{"kind": "device_throttled", "device": "a", "speed": 0.5}]}
    validator.validate(good)
    for bad in ({"kind": "nothing"}, {"kind": "device_lost"}, {"kind": "device_lost", "device": "a", "x": 1}):
        assert not validator.is_valid({**good, "events": [bad]})
        with pytest.raises(InputError):
            loads_events(json.dumps({**good, "events": [bad]}))


# --- devices ---


def test_a_lost_device_takes_links_rules_and_entries_with_it() -> None:
    hand = load_bundled("tiny/hand")
    rule = DeviceRule(allow=("cpu", "npu"), forbid=())
    layers = tuple(replace(layer, devices=rule) for layer in hand.models[0].layers)
    hand = replace(hand, models=(replace(hand.models[0], layers=layers),))
    left = apply(hand, DeviceLost(device="npu"))
    assert [device.name for device in left.platform.devices] == ["cpu"]
    assert left.models[0].layers[0].devices == DeviceRule(allow=("cpu",))
    assert all("npu" not in row for row in left.costs.latency["hand"].values())
    assert validate(left) == ()


def test_one_copy_is_lost_and_the_others_stay() -> None:
    left = apply(two_devices(), DeviceLost(device="npu.1"))
    assert mapping_problem(left).devices == ("cpu", "npu.0", "npu.2")
    assert validate(left) == ()
    none = apply(left, [DeviceLost(device="npu.0"), DeviceLost(device="npu.2")])
    assert mapping_problem(none).devices == ("cpu",)
    assert mapping_problem(apply(two_devices(), DeviceLost(device="npu"))).devices == ("cpu",)


@pytest.mark.parametrize(
    ("instance", "device", "message"),
    [
        (replace(two_devices(), models=(net(b=DeviceRule(fix="npu")),)), "npu", 'layer "b" of model "net"'),
        (replace(two_devices(), models=(net(a=DeviceRule(allow=("cpu",))),)), "cpu", 'layer "a"'),
        (apply(two_devices(), DeviceLost(device="npu")), "cpu", "the last one"),
        (replace(two_devices(), platform=replace(two_devices().platform, host="cpu")), "cpu", "host"),
    ],
)
def test_what_nothing_can_replace_is_infeasible(instance: Instance, device: str, message: str) -> None:
    with pytest.raises(InfeasibleError, match=message):
        apply(instance, DeviceLost(device=device))


def test_fixed_to_any_copy_goes_to_the_copies_that_are_left() -> None:
    instance = replace(two_devices(), models=(net(b=DeviceRule(fix="npu")),))
    left = mapping_problem(apply(instance, DeviceLost(device="npu.0")))
    assert np.isfinite(left.duration[1]).tolist() == [False, True, True]


def test_throttling_scales_tables_and_rates() -> None:
    hand = load_bundled("tiny/hand")
    before, after = (
        mapping_problem(i) for i in (hand, apply(hand, DeviceThrottled(device="npu", speed=0.25)))
    )
    np.testing.assert_allclose(after.duration[:, 1], before.duration[:, 1] * 4)
    np.testing.assert_array_equal(after.duration[:, 0], before.duration[:, 0])
    slow = apply(two_devices(), DeviceThrottled(device="npu.2", speed=0.5))
    view = mapping_problem(slow)
    # 1e6 FLOP at 4e9 and at 2e9 FLOP/s, and one microsecond of overhead.
    np.testing.assert_allclose(view.duration[0], [1e-3, 251e-6, 251e-6, 501e-6])


def test_links_of_one_name_and_several_bandwidths_are_restored_each_to_its_own() -> None:
    """An absolute bandwidth makes them alike; a factor is of what was nominal for each."""
    links = (
        Link(name="bus", source="a", target="b", bandwidth=1e8),
        Link(name="bus", source="b", target="c", bandwidth=4e8),
        Link(name="other", source="a", target="c", bandwidth=7.0),
    )
    platform = Platform(devices=tuple(Device(name=name) for name in "abc"), links=links)
    alike = apply(Instance(platform=platform), LinkChanged(link="bus", bandwidth=2e8))
    assert [link.bandwidth for link in alike.platform.links] == [2e8, 2e8, 7.0]
    assert alike.extensions["now"] == {"bandwidth": {"bus/a>b": 2.0, "bus/b>c": 0.5}}
    half = apply(alike, LinkChanged(link="bus", factor=0.5))
    assert [link.bandwidth for link in half.platform.links] == [5e7, 2e8, 7.0]
    assert half.extensions["now"] == {"bandwidth": {"bus": 0.5}}
    back = apply(alike, LinkChanged(link="bus", factor=1))
    assert back == apply(half, LinkChanged(link="bus", factor=1)) == Instance(platform=platform)


def test_a_mode_scales_power_too_and_full_speed_restores() -> None:
    start = two_devices()
    eco = apply(start, DeviceThrottled(device="npu", mode="eco"))
    assert eco.platform.devices[1].power == Power(active=1, idle=1)
    assert eco.platform.devices[1].peak_flops == {"*": 2e9}
    assert eco.extensions["now"] == {"speed": {"npu": 0.5}, "power": {"npu": 0.25}}
    # A share is of the nominal speed, whatever it was before.
    half = apply(eco, DeviceThrottled(device="npu", speed=0.25))
    assert half.platform.devices[1].peak_flops == {"*": 1e9}
    assert half.platform.devices[1].power.active == 4
    assert apply(half, DeviceThrottled(device="npu", speed=1)) == start


@pytest.mark.parametrize(
    "now", [5, {"speed": 3}, {"speed": {"cpu": "x"}}, {"speed": {"cpu": 0}}, {"speed": {"cpu": 1e-300}}]
)
def test_notes_of_others_are_refused_or_ignored(now: object) -> None:
    instance = two_devices(extensions={"now": now})
    try:
        slow = apply(instance, DeviceThrottled(device="cpu", speed=0.5))
    except InputError as error:
        slow, where = None, error.problems[0].path
    if slow is None:
        assert where == "event.extensions.now.speed.cpu"
    else:
        assert slow.extensions["now"] == {"speed": {"cpu": 0.5}}


@pytest.mark.parametrize("seconds_and_joules", [True, False])
def test_energy_follows_power_and_speed(seconds_and_joules: bool) -> None:
    costs = Costs(latency={"net": {"a": {"cpu": 2.0}}}, energy={"net": {"a": {"cpu": 6.0}}})
    instance = two_devices(costs=costs if seconds_and_joules else Costs())
    before, after = (
        mapping_problem(i)
        for i in (instance, apply(instance, DeviceThrottled(device="cpu", speed=0.5, power=0.75)))
    )
    assert after.energy[0, 0] == pytest.approx(before.energy[0, 0] * 0.75 / 0.5)


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (DeviceLost(device="npx"), "event.device"),
        (DeviceThrottled(device="cpu"), "event.speed"),
        (DeviceThrottled(device="cpu", speed=1, mode="eco"), "event.speed"),
        (DeviceThrottled(device="cpu", mode="eco"), "event.mode"),
        (LinkChanged(link="bus"), "event.bandwidth"),
        (LinkChanged(link="bus", bandwidth=1e-9), "event.bandwidth"),
        (LinkChanged(link="bus", bandwidth=1, factor=1), "event.factor"),
        (LinkLost(link="buss"), "event.link"),
        (ModelRemoved(task="net"), "event.task"),
        (BatchChanged(task="other", batch=2), "event.task"),
        (ModelAdded(), "event.model"),
        (ModelAdded(task=Task(name="x", model="nett")), "event.task.model"),
        (ModelAdded(model=net()), "event.task.name"),
        (
            ModelAdded(model=replace(net(), dtype="int8"), task=Task(name="x", model="net")),
            "event.model.name",
        ),
    ],
)
def test_events_that_do_not_fit_say_where(event: object, path: str) -> None:
    with pytest.raises(InputError) as error:
        apply(two_devices(), event)
    assert error.value.problems[0].path == path
    with pytest.raises(InputError) as error:
        apply(two_devices(), [LinkChanged(link="bus", factor=0.5), event])
    assert error.value.problems[0].path.startswith("events[1].")


# --- links ---


def test_links_change_by_share_figure_and_latency() -> None:
    start = two_devices()
    slow = apply(start, LinkChanged(link="bus", factor=0.1, latency=1e-3))
    assert (slow.platform.links[0].bandwidth, slow.platform.links[0].latency) == (1e7, 1e-3)
    slower = apply(slow, LinkChanged(link="bus", bandwidth=5e6))
    assert slower.extensions["now"]["bandwidth"]["bus"] == pytest.approx(0.05)
    back = apply(slower, LinkChanged(link="bus", factor=1, latency=1e-5))
    assert back.platform.links[0].bandwidth == pytest.approx(1e8)
    assert back.extensions == {}


def test_tables_of_transfers_follow_their_link() -> None:
    table = {"t": {"cpu": {"npu": 8.0, "cpu": 0.0}, "npu.1": {"cpu": 4.0, "npu.0": 2.0}}}
    instance = two_devices(costs=Costs(transfer={"net": table}))
    slow = apply(instance, LinkChanged(link="bus", factor=0.5))
    # No link joins the copies.
    assert slow.costs.transfer["net"]["t"] == {
        "cpu": {"npu": 16.0, "cpu": 0.0},
        "npu.1": {"cpu": 8.0, "npu.0": 2.0},
    }
    gone = apply(instance, LinkLost(link="bus"))
    assert gone.costs.transfer["net"]["t"] == {"cpu": {"cpu": 0.0}, "npu.1": {"npu.0": 2.0}}
    assert gone.platform.links == ()
    assert validate(gone) == ()


@pytest.mark.parametrize("name", platform_names())
def test_links_of_tables_are_those_of_the_cost_model(name: str) -> None:
    platform = load_platform(name)
    instance = two_devices(platform=platform, costs=Costs(transfer={"net": {}}))
    mine = _routes(instance, platform)
    routes = resolve_routes(platform)
    ends = [*mapping_problem(replace(instance, costs=Costs())).devices, platform.host]
    for a, source in enumerate(ends):
        for b, target in enumerate(ends):
            if source is None or target is None or source == target:
                continue
            index = mine.get((source, target))
            channel = int(routes.channel[a, b])
            known = None if index is None else platform.links[index].name
            assert known == (routes.channels[channel] if channel >= 0 else None), (source, target)


# --- tasks ---


def test_a_model_comes_with_its_tables_and_goes_with_its_task() -> None:
    start = two_devices()
    costs = ModelCosts(latency={"a": {"cpu": 1.0}}, transfer={"t": {"cpu": {"npu": 3.0}}})
    added = apply(start, ModelAdded(model=net("other"), costs=costs))
    assert [task.name for task in added.tasks] == ["net", "other"]
    assert added.costs.latency["other"] == {"a": {"cpu": 1.0}}
    assert validate(added) == ()
    again = apply(added, ModelAdded(task=Task(name="third", model="other", batch=2)))
    once = apply(again, ModelRemoved(task="other"))
    assert [model.name for model in once.models] == ["net", "other"]
    gone = apply(once, ModelRemoved(task="third"))
    assert [model.name for model in gone.models] == ["net"]
    assert gone.costs.latency == {}


def test_a_model_from_a_file(tmp_path) -> None:
    write_instance(load_bundled("tiny/hand"), tmp_path / "hand.json")
    (event,) = with_files([ModelAdded(file=str(tmp_path / "hand.json"))])
    assert event.model.name == "hand"
    assert event.costs.latency["stem"]
    named = ModelAdded(file=str(tmp_path / "hand.json"), task=Task(name="look", model="hand", batch=3))
    assert with_files([named])[0].task.batch == 3
    with pytest.raises(InputError, match="one of them"):
        with_files([ModelAdded(file="x.json", model=net())])


def test_a_model_that_is_not_valid_is_refused() -> None:
    bad = replace(net("bad"), tensors=(Tensor(name="t", source="a", targets=("c",)),))
    with pytest.raises(InputError, match="after the events"):
        apply(two_devices(), ModelAdded(model=bad))


def test_a_task_leaves_every_section() -> None:
    tasks = tuple(Task(name=name, model="net") for name in "abc")
    instance = two_devices(
        tasks=tasks,
        precedences=(Precedence(before="a", after="b"), Precedence(before="b", after="c")),
        ordering=Ordering(
            switch=((0, 1, 2), (3, 0, 4), (5, 6, 0)),
            conditions=(Condition(task="b", probability=0.5), Condition(task="c", given="a", probability=1)),
        ),
        sharing=Sharing(
            branch_points=("p",),
            affinity=(((1, 0.2, 0.3), (0.2, 1, 0.4), (0.3, 0.4, 1)),),
            groups=((("a", "b"), ("c",)),),
        ),
    )
    assert validate(instance) == ()
    left = apply(instance, ModelRemoved(task="b"))
    assert validate(left) == ()
    assert left.precedences == ()
    assert left.ordering.switch == ((0, 2), (5, 0))
    assert [c.task for c in left.ordering.conditions] == ["c"]
    assert left.sharing.affinity == (((1, 0.3), (0.3, 1)),)
    assert left.sharing.groups == ((("a",), ("c",)),)
    with pytest.raises(UnsupportedError, match="shares"):
        apply(left, ModelAdded(task=Task(name="d", model="net")))


def test_a_batch_scales_tables_and_tensors() -> None:
    hand = load_bundled("tiny/hand")
    before, after = (mapping_problem(i) for i in (hand, apply(hand, BatchChanged(task="hand", batch=4))))
    np.testing.assert_allclose(after.duration, 4 * before.duration)
    np.testing.assert_allclose(after.size, 4 * before.size)
    twice = replace(hand, tasks=(Task(name="x", model="hand"), Task(name="y", model="hand")))
    with pytest.raises(UnsupportedError, match="model of its own"):
        apply(twice, BatchChanged(task="x", batch=2))


# --- all of them ---


def random_events(instance: Instance, rng: np.random.Generator) -> list[object]:
    """An event of each kind that could be about the instance."""
    platform = instance.platform
    device = platform.devices[int(rng.integers(len(platform.devices)))]
    name = device.name if device.count == 1 or rng.random() < 0.5 else f"{device.name}.0"
    task = instance.effective_tasks()[0]
    events: list[object] = [
        DeviceLost(device=name),
        DeviceThrottled(device=name, speed=float(rng.uniform(0.1, 2))),
        BatchChanged(task=task.name, batch=int(rng.integers(1, 9))),
        ModelRemoved(task=task.name),
        ModelAdded(task=replace(task, name="another")),
    ]
    if platform.links:
        link = platform.links[int(rng.integers(len(platform.links)))].name
        events += [LinkChanged(link=link, latency=1e-3), LinkLost(link=link)]
        events.append(LinkChanged(link=link, bandwidth=float(rng.uniform(1, 1e9))))
    return events


def test_whatever_happens_the_instance_stays_valid_or_the_reason_is_said() -> None:
    refused = applied = 0
    instances = [random_small(seed) for seed in range(60)]
    instances += [generate("layered", 12, devices=3, seed=1), multi_model((5, 6), devices=3, seed=1)]
    for seed, instance in enumerate(instances):
        rng = np.random.default_rng(seed)
        for event in random_events(instance, rng):
            try:
                left = apply(instance, event)
            except (InputError, InfeasibleError, UnsupportedError):
                refused += 1
                continue
            assert validate(left) == (), event
            mapping_problem(left)
            applied += 1
    assert applied > 5 * refused > 0
