"""Exits added to networks and found at their outputs, and the networks of the bundled instances."""

from __future__ import annotations

import math

import pytest

from dnnplan.instances import InputError, InstanceError, Layer, Model, Tensor
from dnnplan.instances.exits import layers_by_stage, stage_names
from dnnplan.instances.serving import exits_at_outputs, with_exits
from dnnplan.instances.serving.bundled import BUNDLED, serving_instance
from dnnplan.instances.serving.networks import CLASSES, EXIT_SHARES, EXITS, early_exit_network, in_int8
from dnnplan.instances.serving.npus import npu_platform
from dnnplan.instances.validation import validate
from tests.support.layers import conv

TRUNK = Model(
    name="net",
    layers=(conv("a"), conv("b")),
    tensors=(
        Tensor(name="image", targets=("a",), bytes=4 * 8 * 9 * 11),
        Tensor(name="x", source="a", targets=("b",), bytes=4 * 16 * 5 * 6),
        Tensor(name="y", source="b", bytes=4 * 16 * 5 * 6, output=True),
    ),
)


def test_a_head_has_the_work_and_bytes_of_its_shapes() -> None:
    model = with_exits(TRUNK, {"a": "early"}, 10)
    pool, fc = model.layers[2:]
    assert (pool.name, pool.op, pool.exit, pool.flops) == ("early/pool", "GlobalAveragePool", None, 16 * 30)
    assert (fc.name, fc.op, fc.exit) == ("early/fc", "Gemm", "early")
    assert (fc.flops, fc.weight_bytes) == (2 * 16 * 10, 4 * (16 * 10 + 10))
    assert fc.attributes["input_shapes"] == [[1, 16]]
    assert fc.attributes["output_shapes"] == [[1, 10]]
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert tensors["x"].targets == ("b", "early/pool")
    assert (tensors["early/pooled"].bytes, tensors["early"].bytes, tensors["early"].output) == (64, 40, True)
    assert layers_by_stage(model) == (("early", ("a", "early/pool", "early/fc")), ("final", ("b",)))
    assert TRUNK.layers == model.layers[:2]


def test_what_is_wrong_with_exits_is_listed_at_once() -> None:
    shapeless = Model(
        name="net",
        layers=(Layer(name="a"), conv("b"), conv("c")),
        tensors=(Tensor(name="x", source="b"), Tensor(name="y", source="b"), Tensor(name="z", source="c")),
    )
    with pytest.raises(InstanceError) as caught:
        with_exits(shapeless, {"a": "one", "b": "two", "cc": "three", "c": "one"}, 0)
    messages = [problem.message for problem in caught.value.problems]
    assert messages[0] == "0, expected at least 1"
    assert messages[1].startswith('layer "a" writes 0 tensors and has shapes None; expected one tensor')
    assert messages[2].startswith('layer "b" writes 2 tensors')
    assert messages[3] == '"cc" is not a layer, did you mean "c"?'
    assert messages[4].startswith('"one" is already the name of an exit')
    with pytest.raises(InstanceError, match="already the name"):
        with_exits(with_exits(TRUNK, {"a": "early"}, 10), {"b": "early"}, 10)


def test_outputs_become_exits() -> None:
    model = with_exits(TRUNK, {"a": "early"}, 10)
    bare = exits_at_outputs(
        Model(name="net", layers=(*TRUNK.layers, *model.layers[2:3]), tensors=model.tensors[:-1]), ["y"]
    )
    assert stage_names(bare) == ("y", "final")
    every = exits_at_outputs(TRUNK)
    assert [layer.exit for layer in every.layers] == [None, "y"]
    with pytest.raises(InstanceError) as caught:
        exits_at_outputs(
            Model(
                name="net",
                layers=(Layer(name="a"),),
                tensors=(
                    Tensor(name="in", output=True),
                    Tensor(name="x", source="a", output=True),
                    Tensor(name="y", source="a", output=True),
                ),
            ),
            ["in", "x", "y", "z"],
        )
    assert [problem.message for problem in caught.value.problems] == [
        '"in" is an input of the network, expected what a layer writes',
        '"x" and "y" come from one layer, expected one exit a layer',
        '"z" is not an output of the network, expected one of "in", "x", "y"',
    ]


def test_int8_is_a_quarter_of_float32() -> None:
    model = in_int8(TRUNK)
    assert model.dtype == "int8"
    assert model.layers[0].weight_bytes == TRUNK.layers[0].weight_bytes / 4
    assert [t.bytes for t in model.tensors] == [8 * 9 * 11, 480, 480]
    assert all(isinstance(t.bytes, int) for t in model.tensors)
    with pytest.raises(InstanceError, match="numbers int8, expected float32"):
        in_int8(model)


@pytest.mark.parametrize("name", EXITS)
def test_the_bundled_networks_have_their_exits_where_groups_of_blocks_end(name: str) -> None:
    pytest.importorskip("onnx")
    model = early_exit_network(name)
    stages = dict(layers_by_stage(model))
    assert tuple(stages) == (*EXITS[name].values(), "final")
    for layer, label in EXITS[name].items():
        # Whatever is behind an exit reads nothing of the stage but the layer that the head hangs on.
        behind = {
            tensor.source
            for tensor in model.tensors
            if tensor.source in stages[label]
            and any(target not in stages[label] for target in tensor.targets)
        }
        assert behind == {layer}
        assert stages[label][-2:] == (f"{label}/pool", f"{label}/fc")
    channels = {"resnet50": [256, 512, 1024], "inception-v1": [480, 512, 832]}[name]
    heads = [layer for layer in model.layers if layer.exit is not None]
    assert [layer.attributes["input_shapes"] for layer in heads] == [[[1, c]] for c in channels]
    assert all(layer.flops == 2 * c * CLASSES for layer, c in zip(heads, channels, strict=True))
    trunk = sum(layer.weight_bytes for layer in model.layers[:-6])
    assert math.isclose(trunk, {"resnet50": 25.61e6, "inception-v1": 7.0e6}[name], rel_tol=1e-3)
    assert 0 < 1 - sum(EXIT_SHARES[name].values()) < 1


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_instances_are_valid(name: str) -> None:
    pytest.importorskip("onnx")
    instance = serving_instance(name)
    assert validate(instance) == ()
    assert instance.workload is not None
    assert instance.workload.max_batch == 16
    assert instance.platform is not None
    assert all(device.analytic is not None for device in instance.platform.devices)


def test_an_unknown_platform() -> None:
    with pytest.raises(InputError, match="expected os32, ws128 or dsp-npu"):
        npu_platform("tpu")
