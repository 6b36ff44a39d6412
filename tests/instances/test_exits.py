"""Stages between exits: which layers, and in which order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.instances import Layer, Model, Tensor
from dnnplan.instances.exits import FINAL, layers_by_stage, stage_names


def net(edges: str, carried: dict[str, str], flops: dict[str, float] | None = None) -> Model:
    """A network from edges such as ``ab bc``; `carried` is the exit of some layers."""
    pairs = [(edge[0], edge[1]) for edge in edges.split()]
    names = sorted({name for pair in pairs for name in pair})
    return Model(
        name="net",
        layers=tuple(Layer(name=n, exit=carried.get(n), flops=(flops or {}).get(n, 0)) for n in names),
        tensors=tuple(Tensor(name=f"{a}{b}", source=a, targets=(b,)) for a, b in pairs),
    )


@pytest.mark.parametrize(
    ("edges", "carried", "expected"),
    [
        # A trunk a b c d with heads x behind b and y behind c.
        ("ab bc cd bx cy", {"x": "one", "y": "two"}, [("one", "abx"), ("two", "cy"), (FINAL, "d")]),
        # The last layer carries an exit: no further stage.
        ("ab bc cd bx", {"x": "one", "d": "main"}, [("one", "abx"), ("main", "cd")]),
        # Exits on the trunk itself, named in the wrong order.
        (
            "ab bc cd",
            {"c": "a late one", "a": "z early"},
            [("z early", "a"), ("a late one", "bc"), (FINAL, "d")],
        ),
        # Residual branch around an exit.
        ("ab bc ac cd bx", {"x": "one"}, [("one", "abx"), (FINAL, "cd")]),
        # Two branches that meet again, one exit on each: none lies behind the other, the one of less work is first.
        ("ab ac bd cd bx cy", {"x": "left", "y": "right"}, [("left", "abx"), ("right", "cy"), (FINAL, "d")]),
        # No exit.
        ("ab bc", {}, [(FINAL, "abc")]),
        # One exit on two layers ends with the last of them.
        ("ab bc cd", {"a": "one", "c": "one"}, [("one", "abc"), (FINAL, "d")]),
        # What no exit and no output needs is in the last stage too.
        ("ab bc bq", {"c": "main"}, [("main", "abc"), (FINAL, "q")]),
    ],
)
def test_stages_of_small_networks(
    edges: str, carried: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    found = layers_by_stage(net(edges, carried))
    assert [(name, "".join(layers)) for name, layers in found] == expected


def test_the_last_exit_comes_last_though_its_own_layers_are_few() -> None:
    # The head of "one" (x y z) has more layers than what is behind it (c), but less work.
    model = net("ab bc bx xy yz", {"z": "one", "c": "main"}, {"c": 100, "x": 1, "y": 1, "z": 1})
    assert stage_names(model) == ("one", "main")


def test_a_network_without_layers_is_one_stage() -> None:
    assert layers_by_stage(Model(name="net")) == ((FINAL, ()),)


def test_damaged_networks_do_not_break_it() -> None:
    """Validation asks for stages before cycles and unknown names are sorted out."""
    layers = (Layer(name="a", exit="one"), Layer(name="b"), Layer(name="b"))
    tensors = (
        Tensor(name="x", source="a", targets=("b", "nowhere")),
        Tensor(name="y", source="b", targets=("a",)),
        Tensor(name="z", source="nothing", targets=("a",)),
    )
    assert stage_names(Model(name="net", layers=layers, tensors=tensors)) == ("one",)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 14), count=st.integers(0, 4))
def test_stages_part_the_layers_and_run_one_after_the_other(seed: int, size: int, count: int) -> None:
    draw = random.Random(seed)
    names = [f"l{i}" for i in range(size)]
    carried = {name: f"e{k}" for k, name in enumerate(draw.sample(names, min(count, size)))}
    model = Model(
        name="net",
        layers=tuple(Layer(name=n, exit=carried.get(n), flops=draw.randint(0, 3)) for n in names),
        tensors=tuple(
            Tensor(name=f"{a} {b}", source=a, targets=(b,))
            for i, a in enumerate(names)
            for b in names[i + 1 :]
            if draw.random() < 0.3
        ),
    )
    stages = layers_by_stage(model)
    position = {layer: k for k, (_, layers) in enumerate(stages) for layer in layers}
    assert sorted(position) == sorted(names)
    assert sum(len(layers) for _, layers in stages) == size
    for tensor in model.tensors:
        assert all(position[tensor.source or ""] <= position[target] for target in tensor.targets)
    labels = [name for name, _ in stages]
    for layer, label in carried.items():
        assert position[layer] <= labels.index(label)
