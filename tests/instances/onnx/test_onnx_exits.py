"""Exits of ONNX networks, named by their outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnnplan.instances import InputError, InstanceError
from dnnplan.instances.exits import layers_by_stage
from dnnplan.instances.formats.onnx_format import read
from dnnplan.instances.loading import load
from tests.instances.onnx.onnx_graphs import make_model, node, save

SHAPE = [1, 3, 8, 8]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    nodes = [
        node("MaxPool", "image", "x", "stem", kernel_shape=[1, 1]),
        node("GlobalAveragePool", "x", "early", "head"),
        node("MaxPool", "x", "y", "body", kernel_shape=[1, 1]),
        node("GlobalAveragePool", "y", "scores", "tail"),
    ]
    small = [1, 3, 1, 1]
    return save(make_model(nodes, {"image": SHAPE}, {"scores": small, "early": small}), tmp_path)


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        (None, ["final"]),
        ("early", ["early", "final"]),
        ("early, scores", ["early", "scores"]),
        (["scores", "early"], ["early", "scores"]),
        (True, ["early", "scores"]),
    ],
)
def test_outputs_become_exits(path: Path, exits: Any, expected: list[str]) -> None:
    (model,) = read(path, exits=exits).models
    stages = layers_by_stage(model)
    assert [name for name, _ in stages] == expected
    if exits:
        assert [layers for _, layers in stages] == [("stem", "head"), ("body", "tail")]


def test_the_option_comes_through_load(path: Path) -> None:
    (model,) = load(path, platform="mcu", exits="early").models
    assert {layer.exit for layer in model.layers} == {None, "early"}


def test_what_is_no_output(path: Path) -> None:
    with pytest.raises(InstanceError, match='"earl" is not an output of the network, did you mean "early"'):
        read(path, exits="earl")
    for wrong in (3, [1]):
        with pytest.raises(InputError, match="expected names of outputs"):
            read(path, exits=wrong)  # type: ignore[arg-type]
