"""Validation: every problem at once, each with path, value and expectation."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dnnplan.instances import (
    Device,
    InputError,
    Instance,
    InstanceError,
    Layer,
    Model,
    Plan,
    Platform,
    Result,
    Tensor,
)
from dnnplan.instances.errors import LISTED
from dnnplan.instances.files import loads_instance, read_platform
from dnnplan.instances.generators.small import random_small
from dnnplan.instances.objective import OBJECTIVES, parse_objective
from dnnplan.instances.validation import ensure_valid, validate
from dnnplan.instances.validation.complete import structural_problems
from dnnplan.instances.validation.cycles import find_cycle
from dnnplan.instances.validation.structure import decode
from tests.instances.record_strategies import damaged

BASE: dict[str, Any] = {
    "platform": {
        "memories": [{"name": "dram"}],
        "devices": [
            {"name": "cpu", "peak_flops": {"*": 1e9}, "memory": "dram"},
            {"name": "npu", "peak_flops": {"*": 1e12}, "count": 2},
        ],
        "links": [{"name": "bus", "source": "dram", "target": "npu"}],
        "host": "dram",
    },
    "models": [
        {
            "name": "net",
            "layers": [{"name": "a", "flops": 10}, {"name": "b", "flops": 5, "exit": "early"}, {"name": "c"}],
            "tensors": [
                {"name": "x", "targets": ["a"], "bytes": 4},
                {"name": "ab", "source": "a", "targets": ["b", "c"], "bytes": 8},
                {"name": "bc", "source": "b", "targets": ["c"], "bytes": 8, "output": True},
            ],
        }
    ],
    "tasks": [{"name": "t0", "model": "net"}, {"name": "t1", "model": "net"}],
}


def problems_of(**changes: Any) -> list[str]:
    """Problems of the base instance with some sections replaced."""
    instance, problems = decode({**BASE, **changes}, Instance)
    if instance is not None:
        problems = validate(instance)
    return [str(problem) for problem in problems]


def with_model(**changes: Any) -> dict[str, Any]:
    return {"models": [{**BASE["models"][0], **changes}]}


def with_platform(**changes: Any) -> dict[str, Any]:
    return {"platform": {**BASE["platform"], **changes}}


def test_the_base_is_valid() -> None:
    assert problems_of() == []
    assert validate(Instance()) == ()


@pytest.mark.parametrize("seed", range(20))
def test_generated_instances_are_valid(seed: int) -> None:
    assert validate(random_small(seed)) == ()


LAYERS = BASE["models"][0]["layers"]
TENSORS = BASE["models"][0]["tensors"]
DEVICES = BASE["platform"]["devices"]

# One case a rule: (changed sections, the whole message). Shape first, then meaning.
SHAPE = [
    (with_model(layers=[{"name": "a", "flops": -4}]), "models[0].layers[0].flops: -4, expected >= 0"),
    (
        with_model(layers=[{"name": "a", "flops": "9"}]),
        'models[0].layers[0].flops: "9", expected a number >= 0',
    ),
    (
        with_model(layers=[{"name": "a", "flops": True}]),
        "models[0].layers[0].flops: true, expected a number >= 0",
    ),
    (
        with_model(layers=[{"name": "a", "flops": math.nan}]),
        "models[0].layers[0].flops: NaN, expected a finite number >= 0",
    ),
    (
        with_model(layers=[{"name": "a", "flops": 2**63}]),
        "models[0].layers[0].flops: 9223372036854775808, expected an integer of 64 bits (or a float: 1e20)",
    ),
    (
        with_model(layers=[{"name": "a", "flops": 2e300}]),
        "models[0].layers[0].flops: 2e+300, expected >= 0 and <= 1e+300",
    ),
    (with_model(layers=[{}]), "models[0].layers[0].name: missing, expected a string"),
    (with_model(layers={}), "models[0].layers: an object, expected a list"),
    (with_model(layers=[{"name": ""}]), 'models[0].layers[0].name: "", expected at least 1 character'),
    (
        with_model(layers=[{"name": "a\n"}]),
        'models[0].layers[0].name: "a\\n", expected a name without control characters',
    ),
    (
        with_model(layers=[{"name": "y" * 5000}]),
        f'models[0].layers[0].name: "{"y" * 60}...", expected at most 4096 characters, got 5000',
    ),
    (
        with_model(name="a/b"),
        'models[0].name: "a/b", expected a name without control characters and without "/"',
    ),
    (with_model(layer=[]), 'models[0].layer: unknown key, did you mean "layers"?'),
    (with_model(zzz=[]), "models[0].zzz: unknown key; foreign data goes under `extensions`"),
    ({"models": 3}, "models: 3, expected a list"),
    ({"models": ["net"]}, 'models[0]: "net", expected an object'),
    ({"platform": []}, "platform: a list, expected an object or null"),
    (
        with_platform(execution={"staging": "hst"}),
        'platform.execution.staging: "hst", expected "direct" or "host"',
    ),
    (
        with_platform(devices=[{"name": "cpu", "slots": "many"}]),
        'platform.devices[0].slots: "many", expected an integer >= 1 and <= 1000000 or "unlimited"',
    ),
    (
        with_platform(devices=[{"name": "cpu", "slots": 0}]),
        "platform.devices[0].slots: 0, expected >= 1 and <= 1000000",
    ),
    (
        with_platform(devices=[{"name": "cpu", "weight_fraction": 1.5}]),
        "platform.devices[0].weight_fraction: 1.5, expected >= 0 and <= 1",
    ),
    (
        with_platform(devices=[{"name": "cpu", "efficiency": {"Conv": 0}}]),
        "platform.devices[0].efficiency.Conv: 0, expected > 0 and <= 1",
    ),
    (
        with_platform(links=[{"name": "l", "source": "cpu", "target": "npu", "bandwidth": 0}]),
        "platform.links[0].bandwidth: 0, expected > 0",
    ),
    (
        {"costs": {"latency": {"net": {"a": {"cpu": math.inf}}}}},
        "costs.latency.net.a.cpu: Infinity, expected a finite number >= 0",
    ),
    (
        {"costs": {"latency": {"n/t": {}}}},
        'costs.latency: key "n/t", expected a name without control characters and without "/"',
    ),
    ({"extensions": {"a": [{"b c": math.nan}]}}, 'extensions.a[0]["b c"]: NaN, expected a finite number'),
]

MEANING = [
    (
        {"objective": "latncy"},
        'objective: objective "latncy": unknown name "latncy", did you mean "latency"?',
    ),
    ({"format_version": "3.0"}, 'format_version: "3.0", expected "1.2"'),
    (
        {"models": [BASE["models"][0], BASE["models"][0]]},
        'models[1].name: "net" is already the name of model 0, expected unique names',
    ),
    (
        with_model(layers=[*LAYERS, {"name": "b"}]),
        'models[0].layers[3].name: "b" is already the name of layer 1, expected unique names',
    ),
    (
        with_model(tensors=[*TENSORS, {"name": "x"}]),
        'models[0].tensors[3].name: "x" is already the name of tensor 0, expected unique names',
    ),
    (
        {"tasks": [{"name": "t", "model": "net"}] * 2},
        'tasks[1].name: "t" is already the name of task 0, expected unique names',
    ),
    (
        with_platform(devices=[*DEVICES, {"name": "cpu"}], links=[]),
        'platform.devices[2].name: "cpu" is already the name of device 0, expected unique names',
    ),
    (
        with_platform(memories=[{"name": "dram"}, {"name": "dram"}]),
        'platform.memories[1].name: "dram" is already the name of memory 0, expected unique names',
    ),
    (
        with_platform(memories=[{"name": "dram"}, {"name": "cpu"}]),
        'platform.devices[0].name: "cpu" is also the name of a memory, expected different names',
    ),
    (
        with_platform(memories=[{"name": "dram"}, {"name": "npu.1"}]),
        'platform.devices[1].name: its copy 1 is called "npu.1", which is another name in use',
    ),
    (
        with_platform(devices=[{**DEVICES[0], "modes": [{"name": "m"}, {"name": "m"}]}, DEVICES[1]]),
        'platform.devices[0].modes[1].name: "m" is already the name of mode 0, expected unique names',
    ),
    (
        with_platform(devices=[{**DEVICES[0], "memory": "dran"}, DEVICES[1]]),
        'platform.devices[0].memory: "dran" is not a memory, did you mean "dram"?',
    ),
    (with_platform(host="dran"), 'platform.host: "dran" is not a memory or device, did you mean "dram"?'),
    (
        with_platform(host=None, execution={"staging": "host"}),
        'platform.execution.staging: "host", but the platform names no `host`; name one, or use "direct"',
    ),
    (
        with_platform(links=[{"name": "l", "source": "npu.2", "target": "cpu"}]),
        'platform.links[0].source: "npu.2" is not a device or memory, did you mean "npu.1"?',
    ),
    (
        with_platform(links=[{"name": "l", "source": "cpu", "target": "cpu"}]),
        'platform.links[0].target: "cpu" is also the source, expected two ends',
    ),
    (
        with_platform(
            links=[
                {"name": "l", "source": "cpu", "target": "npu"},
                {"name": "m", "source": "npu", "target": "cpu"},
            ]
        ),
        'platform.links[1]: a second link from "npu" to "cpu", after link 0; expected one in each direction',
    ),
    (
        with_platform(devices=[{"name": "dsp"}], links=[]),
        'platform.devices[0].peak_flops: missing, but "a", "b" of model "net" may run there and has no row '
        "in costs.latency; give one of the two, or forbid it",
    ),
    (
        with_model(tensors=[{"name": "x", "source": "d", "targets": ["a"]}]),
        'models[0].tensors[0].source: "d" is not a layer of this model, expected one of "a", "b", "c"',
    ),
    (
        with_model(tensors=[{"name": "x", "targets": ["a", "d"]}]),
        'models[0].tensors[0].targets[1]: "d" is not a layer of this model, expected one of "a", "b", "c"',
    ),
    (
        with_model(tensors=[{"name": "x", "targets": ["a", "a"]}]),
        'models[0].tensors[0].targets[1]: "a" is listed twice',
    ),
    (
        with_model(tensors=[{"name": "x", "source": "a", "targets": ["b", "a"]}]),
        'models[0].tensors[0].targets[1]: "a" is also the source; a layer cannot read what it writes',
    ),
    (
        with_model(tensors=[{"name": "x", "targets": ["a"], "read_bytes": {"b": 3}}]),
        'models[0].tensors[0].read_bytes.b: "b" is not one of the targets of this tensor',
    ),
    (
        with_model(tensors=[*TENSORS, {"name": "back", "source": "c", "targets": ["a"]}]),
        'models[0].tensors: cycle "a" -> "c" -> "a", expected an acyclic graph',
    ),
    (
        with_model(layers=[{"name": "a", "devices": {"allow": ["gpu"]}}], tensors=[]),
        'models[0].layers[0].devices.allow[0]: "gpu" is not a device, did you mean "npu"?',
    ),
    (
        with_model(layers=[{"name": "a", "devices": {"forbid": ["gpu"]}}], tensors=[]),
        'models[0].layers[0].devices.forbid[0]: "gpu" is not a device, did you mean "npu"?',
    ),
    (
        with_model(layers=[{"name": "a", "devices": {"fix": "npu.7"}}], tensors=[]),
        'models[0].layers[0].devices.fix: "npu.7" is not a device, did you mean "npu.1"?',
    ),
    (
        with_model(colocate=[["a", "b"], ["a", "z"]]),
        'models[0].colocate[1][1]: "z" is not a layer of this model, expected one of "a", "b", "c"',
    ),
    (with_model(colocate=[["a", "a"]]), 'models[0].colocate[0][1]: "a" is listed twice'),
    (
        {"tasks": [{"name": "t", "model": "nett"}]},
        'tasks[0].model: "nett" is not a model, did you mean "net"?',
    ),
    (
        {"tasks": [{"name": "t", "model": "net", "blocks": [["a", "z"], ["b", "c"]]}]},
        'tasks[0].blocks[0][1]: "z" is not a layer of the task\'s model, expected one of "a", "b", "c"',
    ),
    (
        {"tasks": [{"name": "t", "model": "net", "blocks": [["a"], ["b", "a", "c"]]}]},
        'tasks[0].blocks[1][1]: "a" is already in block 0',
    ),
    (
        {"tasks": [{"name": "t", "model": "net", "blocks": [["a"], ["b"]]}]},
        'tasks[0].blocks: without "c", expected every layer in a block',
    ),
    (
        {"tasks": [{"name": "t", "model": "net", "blocks": [["b"], ["a", "c"]]}]},
        'tasks[0].blocks: block 0 reads "ab" of block 1, expected blocks in the order of the graph',
    ),
    (
        {"precedences": [{"before": "t0", "after": "t9"}]},
        'precedences[0].after: "t9" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"precedences": [{"before": "t0", "after": "t0"}]},
        'precedences[0]: "t0" before itself, expected two tasks',
    ),
    (
        {"precedences": [{"before": "t0", "after": "t1"}] * 2},
        'precedences[1]: "t0" before "t1" is listed twice',
    ),
    (
        {"precedences": [{"before": "t0", "after": "t1"}, {"before": "t1", "after": "t0"}]},
        'precedences: cycle "t0" -> "t1" -> "t0", expected an acyclic order',
    ),
    ({"ordering": {"switch": [[0, 1]]}}, "ordering.switch: 1 rows, expected 2: one for each task"),
    (
        {"ordering": {"switch": [[0, 1], [1]]}},
        "ordering.switch[1]: 1 entries, expected 2: one for each task",
    ),
    ({"ordering": {"resources": [[0, 1]]}}, "ordering.resources: 1 rows, expected 2: one for each task"),
    (
        {"ordering": {"resources": [[0, 1], [1]]}},
        "ordering.resources[1]: 1 entries, expected 2 as in the first row",
    ),
    (
        {"ordering": {"conditions": [{"task": "t5", "probability": 1}]}},
        'ordering.conditions[0].task: "t5" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"ordering": {"conditions": [{"task": "t1", "given": "t5", "probability": 1}]}},
        'ordering.conditions[0].given: "t5" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"ordering": {"conditions": [{"task": "t1", "given": "t0", "probability": 1}] * 2}},
        'ordering.conditions[1]: a second condition on task "t1" given the same task',
    ),
    (
        {
            "ordering": {
                "conditions": [
                    {"task": "t1", "given": "t0", "probability": 1},
                    {"task": "t0", "given": "t1", "probability": 1},
                ]
            }
        },
        'ordering.conditions: cycle "t0" -> "t1" -> "t0", expected an acyclic order',
    ),
    ({"sharing": {"branch_points": ["p", "p"]}}, "sharing.branch_points: a branch point is listed twice"),
    (
        {"sharing": {"branch_points": ["p", "q"], "affinity": [[[1, 1], [1, 1]]]}},
        "sharing.affinity: 1 matrices, expected 2: one for each branch point",
    ),
    (
        {"sharing": {"branch_points": ["p"], "affinity": [[[1, 1], [1]]]}},
        "sharing.affinity[0][1]: 1 entries, expected 2: one for each task",
    ),
    (
        {"sharing": {"blocks": [{"tasks": {"t7": 1}}]}},
        'sharing.blocks[0].tasks.t7: "t7" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"sharing": {"candidates": [{"tasks": ["t7"]}]}},
        'sharing.candidates[0].tasks[0]: "t7" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"sharing": {"candidates": [{"tasks": []}]}},
        "sharing.candidates[0].tasks: empty, expected at least one task",
    ),
    (
        {"sharing": {"candidates": [{"tasks": ["t0", "t0"]}]}},
        "sharing.candidates[0].tasks: a task is listed twice",
    ),
    (
        {"sharing": {"candidates": [{"tasks": ["t0"], "loss": {"t1": 0.5}}]}},
        'sharing.candidates[0].loss.t1: "t1" is not a task of this candidate',
    ),
    ({"costs": {"latency": {"nett": {}}}}, 'costs.latency.nett: "nett" is not a model, did you mean "net"?'),
    (
        {"costs": {"energy": {"net": {"z": {}}}}},
        'costs.energy.net.z: "z" is not a layer of this model, expected one of "a", "b", "c"',
    ),
    (
        {"costs": {"latency": {"net": {"a": {"gpu": 1}}}}},
        'costs.latency.net.a.gpu: "gpu" is not a device, did you mean "npu"?',
    ),
    (
        {"costs": {"transfer": {"net": {"ac": {}}}}},
        'costs.transfer.net.ac: "ac" is not a tensor of this model, expected one of "ab", "bc", "x"',
    ),
    (
        {"costs": {"transfer": {"net": {"ab": {"dram": {"gpu": 1}}}}}},
        'costs.transfer.net.ab.dram.gpu: "gpu" is not a device or memory, did you mean "npu"?',
    ),
    (
        {"costs": {"batch_latency": {"s": {"0": 1}}}},
        'costs.batch_latency.s["0"]: key "0", expected a batch size (a positive integer)',
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0"}] * 2}},
        'workload.streams[1].name: "s" is already the name of stream 0, expected unique names',
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t7"}]}},
        'workload.streams[0].task: "t7" is not a task, expected one of "t0", "t1"',
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "exits": {"erly": 0.5}}]}},
        'workload.streams[0].exits.erly: "erly" is not an exit of its model, did you mean "early"?',
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "exits": {"early": 0.5, "x": 0.75}}]}},
        "workload.streams[0].exits: probabilities add up to 1.25, expected at most 1",
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "arrivals": {"kind": "periodic"}}]}},
        "workload.streams[0].arrivals.rate: missing, expected the rate of periodic arrivals",
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "arrivals": {"kind": "gamma", "rate": 1}}]}},
        "workload.streams[0].arrivals.cv: missing, expected the variation of gamma arrivals",
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "arrivals": {"kind": "trace"}}]}},
        "workload.streams[0].arrivals.times: missing, expected the times of the trace in seconds",
    ),
    (
        {
            "workload": {
                "streams": [{"name": "s", "task": "t0", "arrivals": {"kind": "trace", "times": [2, 1]}}]
            }
        },
        "workload.streams[0].arrivals.times[1]: not in order: 1 after 2, expected times that do not decrease",
    ),
    (
        {"workload": {"streams": [{"name": "s", "task": "t0", "arrivals": {"kind": "mmpp", "rates": [1]}}]}},
        "workload.streams[0].arrivals: 1 rates and 0 dwell times, expected one of each for every state",
    ),
]


@pytest.mark.parametrize(("changes", "message"), SHAPE + MEANING)
def test_each_rule_has_a_clear_message(changes: dict[str, Any], message: str) -> None:
    assert message in problems_of(**changes)


@pytest.mark.parametrize(("changes", "message"), SHAPE)
def test_faults_of_shape_come_alone(changes: dict[str, Any], message: str) -> None:
    assert problems_of(**changes) == [message]


def test_all_problems_are_listed_at_once() -> None:
    layers = [{"name": "a", "flops": -1}, {"name": 3, "weight_bytes": math.inf, "opp": "Conv"}]
    assert problems_of(models=[{"name": "m", "layers": layers}], name=None) == [
        "models[0].layers[0].flops: -1, expected >= 0",
        "models[0].layers[1].name: 3, expected a string",
        "models[0].layers[1].weight_bytes: Infinity, expected a finite number >= 0",
        'models[0].layers[1].opp: unknown key, did you mean "op"?',
        "name: null, expected a string",
    ]
    tensors = [{"name": "x", "source": "q"}, {"name": "x", "targets": ["q"]}]
    assert len(problems_of(**with_model(tensors=tensors), tasks=[{"name": "t", "model": "q"}])) == 4


def test_the_message_lists_some_and_the_error_holds_all() -> None:
    layers = tuple(Layer(name=f"l{i}", flops=-1) for i in range(LISTED + 23))
    with pytest.raises(InstanceError) as caught:
        ensure_valid(Instance(models=(Model(name="m", layers=layers),)), source="x.json")
    lines = str(caught.value).splitlines()
    assert lines[0] == "x.json: 123 problems"
    assert len(lines) == LISTED + 2
    assert lines[-1] == "  ... and 23 more"
    assert len(caught.value.problems) == LISTED + 23


def test_a_link_between_the_copies_of_a_device_is_fine() -> None:
    assert problems_of(**with_platform(links=[{"name": "l", "source": "npu", "target": "npu"}])) == []


def test_opposite_directed_links_are_fine() -> None:
    pair = [
        {"name": "l", "source": "cpu", "target": "npu", "directed": True},
        {"name": "m", "source": "npu", "target": "cpu", "directed": True},
    ]
    assert problems_of(**with_platform(links=pair)) == []
    assert problems_of(**with_platform(links=[*pair, pair[0]]))


def test_copies_may_be_named_wherever_devices_are() -> None:
    layers = [
        {"name": "a", "devices": {"allow": ["npu.0", "npu.1"]}},
        {"name": "b", "devices": {"fix": "npu"}},
    ]
    costs = {"latency": {"net": {"a": {"npu.0": 1, "npu": 2}}}}
    assert problems_of(**with_model(layers=layers, tensors=[]), costs=costs) == []


def test_a_device_without_rate_is_fine_where_it_need_not_compute() -> None:
    dsp = {"name": "dsp"}
    rows = {"latency": {"net": {"a": {"cpu": 1}, "b": {"cpu": 1}}}}
    changes = with_platform(devices=[*DEVICES, dsp])
    assert problems_of(**changes) != []
    assert problems_of(**changes, costs=rows) == []
    assert problems_of(**with_platform(devices=[*DEVICES, {**dsp, "operators": []}])) == []
    for rule in ({"forbid": ["dsp"]}, {"allow": ["cpu"]}, {"fix": "cpu"}):
        layers = [{**layer, "devices": rule} for layer in LAYERS]
        assert problems_of(**changes, **with_model(layers=layers)) == []


def test_without_a_platform_device_names_are_not_checked_yet() -> None:
    layers = [{"name": "a", "devices": {"fix": "gpu"}}]
    assert problems_of(platform=None, **with_model(layers=layers, tensors=[])) == []


def test_tasks_may_do_without_models_for_ordering() -> None:
    tasks = [{"name": "t0", "model": "?"}, {"name": "t1", "model": "?"}]
    assert problems_of(models=[], tasks=tasks) != []
    assert problems_of(models=[], tasks=tasks, ordering={"switch": [[0, 1], [1, 0]]}) == []


def test_a_platform_file_is_checked_too(tmp_path: Any) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("format_version: 1.0\nhost: dram\ndevices: [{name: cpu, memory: sram}]\n")
    with pytest.raises(InstanceError) as caught:
        read_platform(path)
    assert [p.path for p in caught.value.problems] == ["devices[0].memory", "host"]
    path.write_text("devices: [{nam: cpu}]\n")
    with pytest.raises(InstanceError, match=r'devices\[0\].nam: unknown key, did you mean "name"'):
        read_platform(path)


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (
            Instance(models=(Model(name="m", layers=(Layer(name="a", flops=np.float64(3)),)),)),
            "models[0].layers[0].flops: a Python numpy.float64, expected a number >= 0",
        ),
        (
            Instance(models=(Model(name="m", layers=(Layer(name="a", attributes={"k": {1, 2}}),)),)),
            "models[0].layers[0].attributes.k: a Python set, expected data that JSON can hold",
        ),
        (
            Instance(models=(Model(name="m", layers=(Layer(name="a", attributes={1: 2}),)),)),
            "models[0].layers[0].attributes: key 1, expected a string",
        ),
        (
            Instance(models=(Model(name="m", layers=(Layer(name="a\ud800"),)),)),
            'models[0].layers[0].name: "a\\ud800", expected text without lone surrogates',
        ),
        (
            Instance(platform=Platform(devices=(Device(name="d", slots="two"),))),
            'platform.devices[0].slots: "two", expected an integer >= 1 and <= 1000000 or "unlimited"',
        ),
        (Instance(models="net"), 'models: "net", expected a list'),
        (
            Instance(models=(Tensor(name="t"),)),
            "models[0]: a Python dnnplan.instances.model.Tensor, expected an object",
        ),
        (
            Instance(extensions={"x": 2**64}),
            "extensions.x: 18446744073709551616, expected an integer of 64 bits (or a float: 1e20)",
        ),
    ],
)
def test_instances_built_in_python_are_checked_too(instance: Instance, message: str) -> None:
    assert [str(problem) for problem in validate(instance)] == [message]


def test_data_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["x"] = loop
    assert "nested deeper than 64 levels" in str(validate(Instance(extensions=loop))[0])


# -- agreement of the two passes --


@pytest.mark.parametrize("record", [Instance, Plan, Result])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_complete_pass_accepts_what_the_fast_one_accepts_and_nothing_else(
    record: type[msgspec.Struct], data: st.DataObject
) -> None:
    tree = data.draw(damaged(record))
    complete = structural_problems(tree, record)
    decoded, problems = decode(tree, record)
    assert (decoded is None) == bool(problems) == bool(complete)
    try:
        msgspec.convert(tree, record)
    except msgspec.ValidationError:
        assert complete


# -- cycles --


@settings(deadline=None)
@given(arcs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
@example(arcs=[(0, 1), (1, 2), (2, 1), (0, 3)])
def test_a_cycle_is_found_exactly_where_there_is_one(arcs: list[tuple[int, int]]) -> None:
    successors: dict[int, list[int]] = {}
    for source, target in arcs:
        successors.setdefault(source, []).append(target)
    reach = np.zeros((8, 8), dtype=bool)
    for source, target in arcs:
        reach[source, target] = True
    for _ in range(3):
        reach |= (reach.astype(int) @ reach.astype(int)) > 0
    cycle = find_cycle(successors)
    assert bool(cycle) == bool(reach.diagonal().any())
    assert len(set(cycle)) == len(cycle)
    assert all(b in successors[a] for a, b in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True))


def test_a_long_cycle_is_shown_in_part() -> None:
    layers = tuple(Layer(name=f"l{i}") for i in range(2000))
    tensors = tuple(
        Tensor(name=f"t{i}", source=f"l{i}", targets=(f"l{(i + 1) % 2000}",)) for i in range(2000)
    )
    (problem,) = validate(Instance(models=(Model(name="m", layers=layers, tensors=tensors),)))
    assert "-> ... (2000 layers) ->" in problem.message
    assert len(problem.message) < 200


# -- objective --


def test_objectives_are_stages_of_weighted_terms() -> None:
    assert parse_objective("latency") == ((("latency", 1.0),),)
    assert parse_objective(" latency = 1 , energy=2e-1 ") == ((("latency", 1.0), ("energy", 0.2)),)
    assert parse_objective("max_load > energy=2,size>edp") == (
        (("max_load", 1.0),),
        (("energy", 2.0), ("size", 1.0)),
        (("edp", 1.0),),
    )
    assert all(parse_objective(name) == (((name, 1.0),),) for name in OBJECTIVES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a name is missing"),
        ("latency>", "a name is missing"),
        ("latency,,energy", "a name is missing"),
        ("=1", "a name is missing"),
        ("makespan", 'unknown name "makespan", expected one of latency'),
        ("latency=", 'weight "" of latency, expected a positive number'),
        ("latency=x", 'weight "x" of latency'),
        ("latency=0", 'weight "0" of latency'),
        ("latency=-1", 'weight "-1" of latency'),
        ("latency=nan", 'weight "nan" of latency'),
        ("latency=inf", 'weight "inf" of latency'),
        ("latency=1=2", 'weight "1=2" of latency'),
        ("latency>latency", "names latency more than once"),
        ("latency,energy,latency=2", "names latency more than once"),
    ],
)
def test_bad_objectives_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_objective(text)
    assert message in str(caught.value)
    assert len(problems_of(objective=text)) == 1


def test_reading_reports_meaning_with_the_source() -> None:
    text = '{"format_version": "1.0", "models": [{"name": "m", "tensors": [{"name": "t", "source": "a"}]}]}'
    with pytest.raises(InstanceError) as caught:
        loads_instance(text, source="bad.json")
    assert str(caught.value) == (
        'bad.json: models[0].tensors[0].source: "a" is not a layer of this model, none is defined'
    )


def test_validation_does_not_change_the_instance() -> None:
    instance = random_small(3)
    copy = replace(instance)
    validate(instance)
    assert instance == copy
