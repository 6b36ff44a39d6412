"""Stages of networks: layers, and the bytes that pass into each of them."""

from __future__ import annotations

import pytest

from dnnplan.costs.serving.stages import stages_of
from dnnplan.instances import InstanceError, Layer, Model, Tensor
from dnnplan.instances.catalogue import load_bundled
from tests.support.serving_instances import chain


def test_a_chain() -> None:
    found = stages_of(chain("net", "one", "two", sizes=(10, 30)))
    assert [(s.name, s.layers, s.reads, s.bytes) for s in found] == [
        ("one", (0,), (), 0),
        ("two", (1,), (0,), 10),
        ("final", (2,), (1,), 30),
    ]


def test_what_passes_into_a_stage_counts_once_and_inputs_do_not() -> None:
    """a writes x, read by b (stage two), c and d (final); the input goes to a and d."""
    layers = (Layer(name="a", exit="one"), Layer(name="b", exit="two"), Layer(name="c"), Layer(name="d"))
    tensors = (
        Tensor(name="in", targets=("a", "d"), bytes=1000),
        Tensor(name="x", source="a", targets=("b", "c", "d"), bytes=100),
        Tensor(name="y", source="b", targets=("c",), bytes=7),
        Tensor(name="z", source="c", targets=("d",), bytes=5000),
    )
    found = stages_of(Model(name="net", layers=layers, tensors=tensors))
    assert [(s.name, s.reads, s.bytes) for s in found] == [
        ("one", (), 0),
        ("two", (1,), 100),
        ("final", (1, 2), 107),
    ]


def test_a_network_without_exits_is_one_stage() -> None:
    (only,) = stages_of(chain("net"))
    assert (only.name, only.layers, only.bytes) == ("final", (0,), 0)
    (empty,) = stages_of(Model(name="net"))
    assert empty.layers == ()


def test_an_early_exit_cannot_be_called_final() -> None:
    layers = (Layer(name="a", exit="final"), Layer(name="b"))
    model = Model(name="net", layers=layers, tensors=(Tensor(name="x", source="a", targets=("b",)),))
    with pytest.raises(
        InstanceError, match='model "net": exit "final" is not the last one, expected another'
    ):
        stages_of(model)
    last = Model(name="net", layers=(Layer(name="a"), Layer(name="b", exit="final")), tensors=model.tensors)
    assert [s.name for s in stages_of(last)] == ["final"]


def test_an_exit_of_several_layers_that_others_need_all_of_has_no_stage() -> None:
    """a -> x -> p and a -> y -> q: "both" on x and y adds nothing to "one" on p and "two" on q."""
    carried = {"x": "both", "y": "both", "p": "one", "q": "two"}
    model = Model(
        name="net",
        layers=tuple(Layer(name=name, exit=carried.get(name)) for name in "axypq"),
        tensors=tuple(Tensor(name=n, source=n[0], targets=(n[1],)) for n in ("ax", "ay", "xp", "yq")),
    )
    with pytest.raises(InstanceError, match='exit "both" needs no layer beyond those of earlier exits'):
        stages_of(model)


def test_bundled_networks_pass_one_tensor_into_each_stage() -> None:
    pytest.importorskip("onnx")
    model = load_bundled("serving/resnet50-os32").models[0]
    found = stages_of(model)
    assert [s.name for s in found] == ["layer1", "layer2", "layer3", "final"]
    # 256 x 56 x 56, 512 x 28 x 28 and 1024 x 14 x 14 numbers of one byte.
    assert [s.bytes for s in found] == [0, 256 * 56 * 56, 512 * 28 * 28, 1024 * 14 * 14]
    assert sum(len(s.layers) for s in found) == len(model.layers) == 79
