"""Which nodes become one layer."""

from __future__ import annotations

from functools import cache

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from tests.instances.onnx.onnx_graphs import make_model, node, save

SQUARE = {"x": [1, 4, 4, 4]}
CONV = {"w": (4, 4, 1, 1)}


def groups(nodes, tmp_path, outputs=("y",), constants=CONV, **options):
    """Node names of each layer, for a model over one input."""
    model = make_model(nodes, SQUARE, dict.fromkeys(outputs, SQUARE["x"]), constants)
    read, _ = read_onnx(save(model, tmp_path), **options)
    return [layer.attributes["onnx_nodes"] for layer in read.layers]


def test_tails_join_their_producer(tmp_path):
    nodes = [
        node("Conv", "x w", "a", "conv"),
        node("BatchNormalization", "a c c c c", "b", "norm"),
        node("Mul", "b s", "d", "scale"),
        node("Relu", "d", "e", "relu"),
        node("Dropout", "e", "f", "drop"),
        node("Transpose", "f", "y", "turn", perm=[0, 1, 3, 2]),
    ]
    constants = {**CONV, "c": (4,), "s": (4, 1, 1)}
    assert groups(nodes, tmp_path, constants=constants) == [["conv", "norm", "scale", "relu", "drop", "turn"]]
    assert groups(nodes, tmp_path, constants=constants, fuse=False) == [[n.name] for n in nodes]


def test_values_read_twice_stay_outside(tmp_path):
    nodes = [
        node("Conv", "x w", "a", "conv"),
        node("Relu", "a", "b", "relu"),
        node("Concat", "a b", "y", "join", axis=1),
    ]
    assert groups(nodes, tmp_path) == [["conv"], ["relu"], ["join"]]


def test_graph_outputs_stay_outside(tmp_path):
    nodes = [node("Conv", "x w", "a", "conv"), node("Relu", "a", "y", "relu")]
    assert groups(nodes, tmp_path, outputs=("a", "y")) == [["conv"], ["relu"]]


@pytest.mark.parametrize("op", ["Softmax", "LRN", "LayerNormalization", "GlobalAveragePool"])
def test_reductions_start_layers(tmp_path, op):
    inputs = "a row" if op == "LayerNormalization" else "a"
    attributes = {"size": 3} if op == "LRN" else {}
    nodes = [node("Conv", "x w", "a", "conv"), node(op, inputs, "y", "reduce", **attributes)]
    model = make_model(nodes, SQUARE, {"y": [None] * 4}, {**CONV, "row": (4,)})
    read, _ = read_onnx(save(model, tmp_path))
    assert [layer.op for layer in read.layers] == ["Conv", op]


def test_swish_closes_over_its_producer(tmp_path):
    nodes = [
        node("Conv", "x w", "a", "conv"),
        node("Sigmoid", "a", "b", "sigmoid"),
        node("Mul", "a b", "c", "mul"),
        node("Sigmoid", "c", "d", "sigmoid2"),
        node("Mul", "c d", "y", "mul2"),
    ]
    assert groups(nodes, tmp_path) == [["conv", "sigmoid", "mul", "sigmoid2", "mul2"]]


def test_gelu_written_out_closes(tmp_path):
    nodes = [
        node("Conv", "x w", "a", "conv"),
        node("Div", "a root", "b", "div"),
        node("Erf", "b", "c", "erf"),
        node("Add", "c one", "d", "add"),
        node("Mul", "a d", "e", "mul"),
        node("Mul", "e half", "y", "halve"),
    ]
    constants = {**CONV, **{name: np.float32(1.4) for name in ("root", "one", "half")}}
    assert groups(nodes, tmp_path, constants=constants) == [["conv", "div", "erf", "add", "mul", "halve"]]


RESIDUAL = [
    node("Conv", "x w", "a", "first"),
    node("Relu", "a", "b", "relu1"),
    node("Conv", "b w", "c", "second"),
    node("Add", "c b", "d", "add"),
    node("Relu", "d", "y", "relu2"),
]


def test_sums_of_two_branches_stand_alone_unless_asked(tmp_path):
    assert groups(RESIDUAL, tmp_path) == [["first", "relu1"], ["second"], ["add", "relu2"]]
    assert groups(RESIDUAL, tmp_path, residual=True) == [["first", "relu1"], ["second", "add", "relu2"]]


def test_views_of_shared_values_join_their_reader(tmp_path):
    nodes = [
        node("Reshape", "x shape", "flat", "view"),
        node("MatMul", "flat m", "p", "product"),
        node("Softmax", "x", "q", "other"),
        node("ReduceMax", "q", "r", "most", keepdims=0),
        node("Add", "p r", "y", "sum"),
    ]
    constants = {"shape": np.array([1, 64]), "m": (64, 5)}
    model = make_model(nodes, SQUARE, {"y": [1, 5]}, constants)
    read, _ = read_onnx(save(model, tmp_path))
    assert [layer.attributes["onnx_nodes"] for layer in read.layers] == [
        ["view", "product"],
        ["other"],
        ["most"],
        ["sum"],
    ]
    assert read.layers[0].name == "product"
    assert [(t.name, t.bytes) for t in read.tensors if t.source is None] == [("x", 256)]


def test_layers_are_named_after_what_works_in_them(tmp_path):
    nodes = [
        node("Concat", "x x", "a", "join", axis=1),
        node("BatchNormalization", "a c c c c", "y", "norm"),
    ]
    model = make_model(nodes, SQUARE, {"y": [1, 8, 4, 4]}, {"c": (8,)})
    read, _ = read_onnx(save(model, tmp_path))
    assert [(layer.name, layer.op, layer.attributes["fused"]) for layer in read.layers] == [
        ("join", "Concat", ["BatchNormalization"])
    ]


def test_coarsening_joins_chains_only(tmp_path):
    nodes = [
        node("Conv", "x w", "a", "one"),
        node("Softmax", "a", "b", "two"),
        node("Conv", "b w", "c", "left"),
        node("Softmax", "c", "d", "left2"),
        node("Conv", "b w", "e", "right"),
        node("Add", "d e", "f", "sum"),
        node("Softmax", "f", "y", "last"),
    ]
    expected = [["one", "two"], ["left", "left2"], ["right"], ["sum", "last"]]
    assert groups(nodes, tmp_path, coarsen=True) == expected


def test_coarsening_stops_at_outputs(tmp_path):
    nodes = [node("Conv", "x w", "a", "one"), node("Softmax", "a", "y", "two")]
    assert groups(nodes, tmp_path, coarsen=True) == [["one", "two"]]
    assert groups(nodes, tmp_path, outputs=("a", "y"), coarsen=True) == [["one"], ["two"]]


def test_coarse_layers_are_named_after_their_heaviest_node(tmp_path):
    nodes = [node("MaxPool", "x", "a", "pool", kernel_shape=[1, 1]), node("Conv", "a w", "y", "conv")]
    read, _ = read_onnx(save(make_model(nodes, SQUARE, {"y": SQUARE["x"]}, CONV), tmp_path), coarsen=True)
    assert [(layer.name, layer.op) for layer in read.layers] == [("conv", "Conv")]


@st.composite
def random_graphs(draw):
    """Nodes over values of one shape, each reading earlier ones; everything unread is an output."""
    operators = ["Conv", "Relu", "Sigmoid", "Softmax", "Add", "Mul", "Identity", "Sum", "Split", "Transpose"]
    values, nodes = ["x"], []
    for index in range(draw(st.integers(1, 18))):
        op = draw(st.sampled_from(operators))
        first, second = draw(st.sampled_from(values[-4:])), draw(st.sampled_from(values))
        output = f"v{index}"
        inputs = {"Conv": f"{first} w", "Add": f"{first} {second}", "Sum": f"{first} {second} {first}"}
        if op == "Mul":
            inputs["Mul"] = f"{first} {draw(st.sampled_from([second, 'c']))}"
        if op == "Split":
            nodes.append(node("Split", first, f"{output}p {output}q", f"n{index}a", axis=1, num_outputs=2))
            nodes.append(node("Concat", f"{output}p {output}q", output, f"n{index}b", axis=1))
        else:
            attributes = {"perm": [0, 1, 3, 2]} if op == "Transpose" else {}
            nodes.append(node(op, inputs.get(op, first), output, f"n{index}", **attributes))
        values.append(output)
    read = {name for item in nodes for name in item.input}
    outputs = [name for name in values[1:] if name not in read or draw(st.integers(0, 9)) == 0]
    return nodes, outputs


@settings(max_examples=120, deadline=None)
@given(graph=random_graphs(), fuse=st.booleans(), residual=st.booleans(), coarsen=st.booleans())
def test_any_graph_becomes_an_acyclic_partition_with_the_same_work(
    tmp_path_factory, graph, fuse, residual, coarsen
):
    nodes, outputs = graph
    constants = {**CONV, "c": (4, 1, 1)}
    folder = tmp_path_factory.mktemp("graph")
    path = save(make_model(nodes, SQUARE, dict.fromkeys(outputs, SQUARE["x"]), constants), folder)
    plain, _ = read_onnx(path, fuse=False)
    model, _ = read_onnx(path, fuse=fuse, residual=residual, coarsen=coarsen)
    members = [name for layer in model.layers for name in layer.attributes["onnx_nodes"]]
    assert sorted(members) == sorted(item.name for item in nodes)
    assert sum(layer.flops for layer in model.layers) == sum(layer.flops for layer in plain.layers)
    assert {t.name for t in model.tensors if t.output} == {t.name for t in plain.tensors if t.output}
    position = {layer.name: index for index, layer in enumerate(model.layers)}
    for tensor in model.tensors:
        for target in tensor.targets:
            assert tensor.source is None or position[tensor.source] < position[target]


@cache
def network(name, **options):
    """A bundled network, read once a set of options."""
    return read_onnx(light_network_paths()[name], **options)[0]


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"coarsen": True}, {"fuse": False}])
@pytest.mark.parametrize("name", ["densenet121", "resnet50", "shufflenet", "inception-v2"])
def test_options_keep_the_work_of_real_networks(name, options):
    plain, model = network(name), network(name, **options)
    assert sum(layer.flops for layer in model.layers) == sum(layer.flops for layer in plain.layers)
    assert sum(layer.weight_bytes for layer in model.layers) == sum(
        layer.weight_bytes for layer in plain.layers
    )
    graph = networkx.DiGraph((t.source, target) for t in model.tensors if t.source for target in t.targets)
    assert networkx.is_directed_acyclic_graph(graph)
