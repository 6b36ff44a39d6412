"""From instances to the view of serving: what it holds, and everything that can be wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dnnplan.costs.analytic import SystolicArray, to_record
from dnnplan.costs.serving import placed, serving_problem
from dnnplan.costs.serving.stages import stages_of
from dnnplan.costs.serving.tables import analytic_tables
from dnnplan.instances import (
    Device,
    DeviceRule,
    InputError,
    Instance,
    InstanceError,
    Link,
    Memory,
    Platform,
    Power,
    Task,
    UnsupportedError,
)
from dnnplan.instances.catalogue import load_bundled
from tests.support.serving_instances import chain, served, stream, table

LATENCY = table(early=[1, 1.5], final=[2, 3])


def problems_of(instance: Instance) -> list[str]:
    with pytest.raises(InstanceError) as caught:
        serving_problem(instance)
    return [str(problem) for problem in caught.value.problems]


# -- what it holds --


def test_tables_without_a_platform() -> None:
    instance = served(LATENCY, stream(rate=2, slo=5, weight=3, exits={"early": 0.25}))
    found = serving_problem(instance)
    assert found.instance is instance
    assert found.stages == ("net/early", "net/final")
    assert found.devices == ("device",)
    assert (found.max_batch, found.objective) == (2, "mean_latency")
    assert found.latency.tolist() == [[0, 1, 1.5], [0, 2, 3]]
    for zero in (found.energy, found.transfer, found.switch, found.idle_power, found.model, found.device):
        assert not zero.any()
    assert found.first.tolist() == [0, 2]
    (one,) = found.streams
    assert (one.name, one.model, one.slo, one.weight) == ("camera", 0, 5, 3)
    assert one.exits.tolist() == [0.25, 0.75]
    assert found.reach.tolist() == [[1, 0.75]]
    assert found.leaves.tolist() == [[0.25, 1]]
    assert serving_problem(served(LATENCY)).streams[0].slo == math.inf


def test_networks_that_no_stream_asks_for_are_left_out() -> None:
    models = (chain("idle"), chain("net", "early"), chain("other", "early"))
    instance = served(
        {**LATENCY, "other/early": {"1": 7, "2": 7}, "idle/final": {"1": 1, "2": 1}},
        stream("a", "t1"),
        stream("b", "t2", exits={"final": 0.5}),
        stream("c", "t1"),
        models=models,
        tasks=(Task(name="t2", model="other"), Task(name="t1", model="net"), Task(name="t0", model="idle")),
    )
    found = serving_problem(instance)
    assert found.stages == ("net/early", "net/final", "other/early", "other/final")
    assert found.model.tolist() == [0, 0, 1, 1]
    assert found.first.tolist() == [0, 2, 4]
    assert [one.model for one in found.streams] == [0, 1, 0]
    assert found.streams[1].exits.tolist() == [0, 1]
    assert found.latency[:, 1].tolist() == [1, 2, 7, 2]


@pytest.mark.parametrize(
    ("workload", "latency", "expected"),
    [
        ({}, table(early=[1] * 4, final=[1] * 6), 4),
        ({"max_batch": 3}, table(early=[1] * 4, final=[1] * 6), 3),
    ],
)
def test_the_largest_batch(workload: dict[str, Any], latency: Any, expected: int) -> None:
    assert serving_problem(served(latency, workload=workload)).max_batch == expected


NPU = Device(name="npu", analytic=to_record(SystolicArray(8, 8)), power=Power(active=4, idle=0.5))
DSP = Device(name="dsp", power=Power(active=2, idle=0.25))


def test_a_table_wins_over_the_analytic_model_and_energy_follows() -> None:
    model = chain("net", "early", flops=2000)
    platform = Platform(devices=(NPU,))
    bare = serving_problem(served({}, models=[model], platform=platform, workload={"max_batch": 4}))
    tables = analytic_tables(model, stages_of(model), SystolicArray(8, 8), 4)
    assert tables.energy is not None
    np.testing.assert_array_equal(bare.latency, tables.latency)
    np.testing.assert_array_equal(bare.energy, tables.energy)
    assert serving_problem(served({}, models=[model], platform=platform)).max_batch == 8
    mixed = serving_problem(
        served({"final@npu": {"4": 8, "1": 2}}, models=[model], platform=platform, workload={"max_batch": 4})
    )
    assert mixed.latency[1].tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_array_equal(mixed.latency[0], tables.latency[0])
    np.testing.assert_array_equal(mixed.energy, tables.energy)
    stated = serving_problem(served(LATENCY, energy=table(final=[5, 6]), platform=Platform(devices=(DSP,))))
    assert stated.energy.tolist() == [[0, 2, 3], [0, 5, 6]]
    assert stated.idle_power.tolist() == [0.25]


@pytest.mark.parametrize(
    ("objective", "expected"),
    [("latency", "mean_latency"), ("mean_latency", "mean_latency"), ("late", "late"), ("energy=2", "energy")],
)
def test_objectives(objective: str, expected: str) -> None:
    assert serving_problem(served(LATENCY, objective=objective)).objective == expected


@pytest.mark.parametrize("objective", ["tardiness", "late>energy", "late=1,energy=1"])
def test_other_objectives(objective: str) -> None:
    with pytest.raises(UnsupportedError, match="serving has one of mean_latency, late, energy, alone"):
        serving_problem(served(LATENCY, objective=objective))


# -- devices --

TWO = Platform(
    devices=(Device(name="npu"), Device(name="dsp")),
    links=(Link(name="bus", source="npu", target="dsp", bandwidth=10, latency=0.5),),
)


def test_stages_take_the_first_device_that_may_run_them() -> None:
    instance = served(LATENCY, models=[chain("net", "early", sizes=[20])], platform=TWO)
    assert serving_problem(instance).device.tolist() == [0, 0]
    split = serving_problem(placed(instance, {"early": "dsp"}))
    assert split.device.tolist() == [1, 0]
    # 0.5 s + b x 20 bytes / (10 bytes/s) behind the first stage, nothing behind the last.
    assert split.transfer.tolist() == [[0, 2.5, 4.5], [0, 0, 0]]
    assert serving_problem(placed(instance, {"net/final": "dsp", "early": "npu"})).device.tolist() == [0, 1]
    picky = Platform(devices=(Device(name="npu", operators=("Conv",)), Device(name="dsp")))
    assert serving_problem(served(LATENCY, platform=picky)).device.tolist() == [1, 1]


def test_costs_by_device_and_copy() -> None:
    platform = Platform(devices=(Device(name="npu", count=2),))
    rows = {"early": {"1": 1}, "early@npu": {"1": 2}, "early@npu.1": {"1": 3}, "final": {"1": 9}}
    instance = served(rows, platform=platform)
    assert serving_problem(instance).devices == ("npu.0", "npu.1")
    assert serving_problem(instance).latency[0, 1] == 2
    with pytest.raises(
        InstanceError, match=r'none from "npu\.1" to "npu\.0", expected one for stage "final"'
    ):
        serving_problem(placed(instance, {"early": "npu.1"}))
    linked = Platform(
        devices=platform.devices, links=(Link(name="l", source="npu", target="npu", bandwidth=1),)
    )
    split = serving_problem(placed(served(rows, platform=linked), {"early": "npu.1"}))
    assert split.latency[0, 1] == 3
    assert split.device.tolist() == [1, 0]


def test_a_tensor_moves_once_to_a_device() -> None:
    """One tensor of the first stage is read by the second and third, on another device: it waits there."""
    model = chain("net", "one", "two", sizes=[100, 10])
    x = model.tensors[0]
    tensors = (
        type(x)(name="x0", source=x.source, targets=(*x.targets, "final-layer"), bytes=100),
        model.tensors[1],
    )
    both = type(model)(name="net", layers=model.layers, tensors=tensors)
    rows = table(one=[1], two=[1], final=[1])
    instance = placed(served(rows, models=[both], platform=TWO), {"two": "dsp", "final": "dsp"})
    assert serving_problem(instance).transfer[:, 1].tolist() == [10.5, 0, 0]
    # There and back: the third stage is where the tensor came from.
    back = placed(served(rows, models=[both], platform=TWO), {"two": "dsp"})
    assert serving_problem(back).transfer[:, 1].tolist() == [10.5, 1.5, 0]
    stated = {"transfer": {"net": {"x0": {"npu": {"dsp": 0.125}}}}}
    timed = placed(served(rows, models=[both], platform=TWO, costs=stated), {"two": "dsp"})
    assert serving_problem(timed).transfer[:, 1].tolist() == [0.125, 1.5, 0]


def test_devices_that_share_a_memory_move_nothing() -> None:
    platform = Platform(
        memories=(Memory(name="dram"),),
        devices=(Device(name="npu", memory="dram"), Device(name="dsp", memory="dram")),
    )
    instance = placed(
        served(LATENCY, models=[chain("net", "early", sizes=[20])], platform=platform), {"early": "dsp"}
    )
    assert not serving_problem(instance).transfer.any()


def test_placing_names_what_exists() -> None:
    instance = served(LATENCY, platform=TWO)
    with pytest.raises(InstanceError) as caught:
        placed(instance, {"erly": "npu", "final": "dps"})
    assert [str(problem) for problem in caught.value.problems] == [
        'device of final: "dps" is not a device, did you mean "dsp"?',
        'stages: "erly" is not a stage, did you mean "net/early"?',
    ]
    fixed = placed(instance, {"early": "dsp"}).models[0].layers
    assert [layer.devices for layer in fixed] == [DeviceRule(fix="dsp"), None]


# -- parked samples --


def test_parked_samples_come_back_from_memory() -> None:
    memory = Memory(name="dram", bandwidth=50)
    platform = Platform(memories=(memory,), devices=(Device(name="npu", memory="dram"),))
    model = chain("net", "early", "late", sizes=[100, 25])
    rows = table(early=[1], late=[1], final=[1])
    fields: dict[str, Any] = {"models": [model], "platform": platform}
    assert not serving_problem(served(rows, **fields)).switch.any()
    parked = served(rows, workload={"parking": "memory"}, **fields)
    assert serving_problem(parked).switch.tolist() == [0, 2, 0.5]
    stated = served(
        rows,
        workload={"parking": "memory"},
        costs={"stage_switch": {"late": 7, "early": 9}},
        **fields,
    )
    assert serving_problem(stated).switch.tolist() == [0, 7, 0.5]
    fast = {"kind": "systolic", "rows": 8, "columns": 8, "bandwidth": 1000}
    own = Platform(memories=(memory,), devices=(Device(name="npu", memory="dram", analytic=fast),))
    assert serving_problem(
        served(rows, models=[model], platform=own, workload={"parking": "memory"})
    ).switch.tolist() == [0, 0.1, 0.025]
    assert problems_of(served(rows, models=[model], workload={"parking": "memory"})) == [
        'workload.parking: "memory", but no bandwidth is known for device "device"; '
        "expected one in its memory or its analytic model"
    ]


# -- what is wrong --


def test_no_streams() -> None:
    for instance in (Instance(), Instance(models=(chain("net"),))):
        assert problems_of(instance) == [
            "workload.streams: none, serving needs at least one stream of samples"
        ]


def test_streams_of_nothing() -> None:
    instance = served(LATENCY, stream(task="nett"), stream("b", "t"), tasks=(Task(name="t", model="none"),))
    assert problems_of(instance) == [
        'workload.streams[0].task: "nett" is not a task, expected one of "t"',
        'workload.streams[1].task: "none" is not a model, expected one of "net"',
    ]
    assert problems_of(served(LATENCY, platform=Platform())) == [
        "platform.devices: none, serving needs at least one device"
    ]


def test_stages_without_costs() -> None:
    (only,) = problems_of(served(table(early=[1])))
    assert only.startswith(
        'costs: stage "net/final" on device "device": no costs, expected costs.batch_latency["net/final"]'
    )
    fpga = Platform(
        devices=(
            Device(name="fpga", analytic={"kind": "fpga", "operator": "Gemm", "gops": 1, "megahertz": 1}),
        )
    )
    found = problems_of(served({}, models=[chain("net", "early", flops=10)], platform=fpga))
    assert found == [
        f'costs: stage "net/{name}" on device "fpga": its analytic model cannot run "{name}-layer"'
        for name in ("early", "final")
    ]


def test_everything_at_once() -> None:
    instance = served(
        {"early": {"1": 0, "4": 1}, "net/final": {"2": 1}, "finall": {"4": 1}},
        stream(exits={"early": 0.75, "final": 0.75}),
        stream("b", exits={"x": 0.5}),
        energy={"early@npu": {"4": 1}},
        workload={"max_batch": 4},
        costs={"stage_switch": {"q": 1}},
    )
    assert problems_of(instance) == [
        'costs: stage "net/early": latency 0 s of some batch, expected positive numbers',
        'costs.batch_latency["net/final"]: the largest entry is 2, expected one of 4 samples, or a smaller '
        "workload.max_batch",
        'costs.batch_latency.finall: "finall" is not a stage, did you mean "final"?',
        'costs.batch_energy["early@npu"]: "early@npu" is not a stage, did you mean "early"?',
        'costs.stage_switch.q: "q" is not a stage, expected one of "early", "final", "net/early", "net/final"',
        "workload.streams[0].exits: probabilities add up to 1.5, expected at most 1, none below 0",
        'workload.streams[1].exits.x: "x" is not an exit of its model, expected one of "early", "final"',
    ]


def test_a_bad_analytic_model_is_named_with_its_path() -> None:
    platform = Platform(
        devices=(
            Device(name="a", analytic={"kind": "systolic", "rows": 0}),
            Device(name="b", analytic={"kind": "systole"}),
        )
    )
    found = problems_of(served(LATENCY, platform=platform))
    assert found[0] == "platform.devices[0].analytic.rows: 0, expected >= 1 and <= 1000000"
    assert found[1].startswith("platform.devices[0].analytic.columns: missing")
    assert found[2].startswith('platform.devices[1].analytic: kind: "systole" is not a kind of model')


def test_stages_fixed_to_two_devices_or_to_none() -> None:
    model = chain("net", "early")
    both = type(model)(
        name="net",
        layers=(
            type(model.layers[0])(name="a", devices=DeviceRule(fix="npu")),
            type(model.layers[0])(name="b", devices=DeviceRule(fix="dsp")),
        ),
    )
    instance = served(table(final=[1]), models=[both], platform=TWO)
    assert problems_of(instance) == [
        'models[0]: stage "final": its layers are fixed to "dsp", "npu", '
        "expected one device that may run all of its layers"
    ]
    none = Platform(devices=(Device(name="npu", operators=("Conv",)),))
    assert problems_of(served(table(early=[1], final=[1]), platform=none))[0].startswith(
        'models[0]: stage "early": none may, expected one device'
    )


def test_batches_that_are_too_large() -> None:
    with pytest.raises(InputError, match=r"workload.max_batch: 5000 samples, expected at most 4096"):
        serving_problem(served(LATENCY, workload={"max_batch": 5000}))
    with pytest.raises(InputError, match=r"workload.max_batch: 999999999 samples"):
        serving_problem(served({"early": {"999999999": 1}, "final": {"999999999": 1}}))


def test_the_network_of_a_bundled_instance() -> None:
    pytest.importorskip("onnx")
    found = serving_problem(load_bundled("serving/two-models"))
    assert found.stages[:5] == (
        *(f"resnet50/{name}" for name in ("layer1", "layer2", "layer3", "final")),
        "inception-v1/3b",
    )
    assert found.max_batch == 16
    np.testing.assert_allclose(found.streams[0].exits, [0.012, 0.214, 0.533, 0.241])
    np.testing.assert_allclose(found.streams[1].exits, [0.30, 0.25, 0.20, 0.25])
