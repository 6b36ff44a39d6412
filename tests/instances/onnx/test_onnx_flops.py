"""FLOPs and bytes of single operators, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dnnplan.instances.formats.onnx import arithmetic, elementwise, read_onnx  # noqa: F401
from dnnplan.instances.formats.onnx.operators import RULES
from tests.instances.onnx.onnx_graphs import helper, make_model, node, save


def single(tmp_path, proto, inputs, output, constants=None, *, opset=18, dtype=1):
    """The one layer of a model that is one node."""
    model = make_model([proto], inputs, {proto.output[0]: output}, constants, opset=opset, dtype=dtype)
    read, report = read_onnx(save(model, tmp_path))
    assert report.warnings == ()
    assert len(read.layers) == 1
    return read.layers[0], read


def test_convolution(tmp_path):
    # 8 filters of 3 x 3 x 3 over 16 x 16 positions: 8 * 256 * 27 MAC.
    proto = node("Conv", "x w b", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    layer, model = single(
        tmp_path, proto, {"x": [1, 3, 16, 16]}, [1, 8, 16, 16], {"w": (8, 3, 3, 3), "b": (8,)}
    )
    assert layer.flops == 2 * 8 * 256 * 27
    assert layer.weight_bytes == 4 * (8 * 27 + 8)
    assert {tensor.name: tensor.bytes for tensor in model.tensors} == {"x": 4 * 3 * 256, "y": 4 * 8 * 256}
    assert layer.attributes["kernel"] == [3, 3]
    assert layer.attributes["pads"] == [1, 1, 1, 1]
    assert layer.attributes["strides"] == [1, 1]
    assert layer.attributes["dilations"] == [1, 1]
    assert layer.attributes["input_shapes"] == [[1, 3, 16, 16]]
    assert layer.attributes["output_shapes"] == [[1, 8, 16, 16]]


def test_depthwise_convolution_with_stride(tmp_path):
    # One 3 x 3 filter for each of 32 channels, 8 x 8 positions.
    proto = node("Conv", "x w", "y", group=32, strides=[2, 2], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    layer, _ = single(tmp_path, proto, {"x": [1, 32, 16, 16]}, [1, 32, 8, 8], {"w": (32, 1, 3, 3)})
    assert layer.flops == 2 * 32 * 64 * 9
    assert layer.weight_bytes == 4 * 32 * 9
    assert layer.attributes["group"] == 32


def test_grouped_convolution_costs_its_share_of_the_channels(tmp_path):
    proto = node("Conv", "x w", "y", group=2)
    layer, _ = single(tmp_path, proto, {"x": [1, 8, 4, 4]}, [1, 6, 4, 4], {"w": (6, 4, 1, 1)})
    assert layer.flops == 2 * 6 * 16 * 4


def test_batch_in_the_shapes_counts(tmp_path):
    proto = node("Conv", "x w", "y")
    layer, _ = single(tmp_path, proto, {"x": [5, 3, 4, 4]}, [5, 2, 4, 4], {"w": (2, 3, 1, 1)})
    assert layer.flops == 5 * 2 * 2 * 16 * 3


def test_transposed_convolution_counts_inputs(tmp_path):
    # 4 x 4 positions of 8 channels, each scattered into 5 channels x 2 x 2.
    proto = node("ConvTranspose", "x w", "y", strides=[2, 2], kernel_shape=[2, 2])
    layer, _ = single(tmp_path, proto, {"x": [1, 8, 4, 4]}, [1, 5, 8, 8], {"w": (8, 5, 2, 2)})
    assert layer.flops == 2 * 8 * 16 * 5 * 4


@pytest.mark.parametrize(("trans_a", "shape"), [(0, [3, 7]), (1, [7, 3])])
def test_gemm(tmp_path, trans_a, shape):
    proto = node("Gemm", "x w b", "y", transA=trans_a, transB=1)
    layer, _ = single(tmp_path, proto, {"x": shape}, [3, 5], {"w": (5, 7), "b": (5,)})
    assert layer.flops == 2 * 3 * 5 * 7
    assert layer.weight_bytes == 4 * (35 + 5)


def test_batched_matrix_product_of_two_inputs(tmp_path):
    proto = node("MatMul", "a b", "y")
    layer, _ = single(tmp_path, proto, {"a": [2, 6, 3, 4], "b": [2, 6, 4, 5]}, [2, 6, 3, 5])
    assert layer.flops == 2 * (2 * 6) * 3 * 4 * 5
    assert layer.weight_bytes == 0


def test_einsum_is_the_matrix_product_it_spells(tmp_path):
    proto = node("Einsum", "a b", "y", equation="...ij, ...kj -> ...ik")
    layer, _ = single(tmp_path, proto, {"a": [2, 3, 4], "b": [2, 5, 4]}, [2, 3, 5])
    assert layer.flops == 2 * 2 * 3 * 5 * 4


@pytest.mark.parametrize(("direction", "count"), [("forward", 1), ("bidirectional", 2)])
def test_lstm(tmp_path, direction, count):
    length, batch, width, hidden = 5, 2, 3, 4
    proto = node("LSTM", "x w r", "y", hidden_size=hidden, direction=direction)
    constants = {"w": (count, 4 * hidden, width), "r": (count, 4 * hidden, hidden)}
    layer, _ = single(
        tmp_path, proto, {"x": [length, batch, width]}, [length, count, batch, hidden], constants
    )
    # Per step and direction: four gates of (3 + 4) MAC for each of 4 units; 18 more FLOP for each unit:
    # 3 sigmoids of 4, 2 tanh, f c + i g (3), o tanh c (1).
    step = 2 * 4 * hidden * (width + hidden) + 18 * hidden
    assert layer.flops == count * length * batch * step
    assert layer.weight_bytes == 4 * count * 4 * hidden * (width + hidden)
    assert layer.attributes["hidden_size"] == hidden


def test_gru_and_rnn(tmp_path):
    length, width, hidden = 5, 3, 4
    for op, gates, unit in (("GRU", 3, 14), ("RNN", 1, 1)):
        proto = node(op, "x w r", "y", hidden_size=hidden)
        constants = {"w": (1, gates * hidden, width), "r": (1, gates * hidden, hidden)}
        layer, _ = single(tmp_path, proto, {"x": [length, 1, width]}, [length, 1, 1, hidden], constants)
        assert layer.flops == length * (2 * gates * hidden * (width + hidden) + unit * hidden)


ELEMENTS = 1 * 4 * 6 * 6


@pytest.mark.parametrize(
    ("proto", "output", "flops"),
    [
        (node("Relu", "x", "y"), [1, 4, 6, 6], ELEMENTS),
        (node("Sigmoid", "x", "y"), [1, 4, 6, 6], 4 * ELEMENTS),
        (node("Clip", "x low high", "y"), [1, 4, 6, 6], 2 * ELEMENTS),
        (node("Erf", "x", "y"), [1, 4, 6, 6], ELEMENTS),
        (node("Mul", "x scale", "y"), [1, 4, 6, 6], ELEMENTS),
        (node("Where", "mask x scale", "y"), [1, 4, 6, 6], ELEMENTS),
        (node("Softmax", "x", "y"), [1, 4, 6, 6], 5 * ELEMENTS),
        (node("LRN", "x", "y", size=3), [1, 4, 6, 6], 7 * ELEMENTS),
        (node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2]), [1, 4, 3, 3], 36 * 4),
        (node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[3, 3]), [1, 4, 2, 2], 16 * 9),
        (node("LpPool", "x", "y", kernel_shape=[3, 3], strides=[3, 3]), [1, 4, 2, 2], 16 * 9 * 3),
        (node("GlobalAveragePool", "x", "y"), [1, 4, 1, 1], ELEMENTS),
        (node("BatchNormalization", "x c c c c", "y"), [1, 4, 6, 6], 2 * ELEMENTS),
        (node("InstanceNormalization", "x c c", "y"), [1, 4, 6, 6], 7 * ELEMENTS),
        (node("LayerNormalization", "x row", "y"), [1, 4, 6, 6], 7 * ELEMENTS),
        (node("ReduceMean", "x axes", "y"), [1, 4, 1, 6], ELEMENTS),
        (node("Transpose", "x", "y", perm=[0, 2, 3, 1]), [1, 6, 6, 4], 0),
        (node("Reshape", "x flat", "y"), [1, 144], 0),
        (node("Pad", "x pads", "y"), [1, 4, 8, 8], 0),
        (node("Resize", "x - scales", "y", mode="nearest"), [1, 4, 12, 12], 0),
        (node("Resize", "x - scales", "y", mode="linear"), [1, 4, 12, 12], 8 * 4 * ELEMENTS),
        (node("Concat", "x x", "y", axis=1), [1, 8, 6, 6], 0),
        (node("Max", "x scale x", "y"), [1, 4, 6, 6], 2 * ELEMENTS),
        (node("QuantizeLinear", "x one", "y"), [1, 4, 6, 6], 3 * ELEMENTS),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_elementwise_pooling_normalisation_and_layout(tmp_path, proto, output, flops):
    constants = {
        "low": np.float32(0),
        "high": np.float32(6),
        "one": np.float32(1),
        "scale": (4, 1, 1),
        "mask": np.ones((4, 1, 1), bool),
        "c": (4,),
        "row": (6,),
        "axes": np.array([2]),
        "flat": np.array([1, -1]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    used = {name: constants[name] for name in proto.input if name in constants}
    layer, model = single(tmp_path, proto, {"x": [1, 4, 6, 6]}, output, used)
    assert layer.flops == flops
    assert layer.attributes["output_shapes"] == [output]
    assert model.tensors[0].bytes == 4 * ELEMENTS


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < 23, reason="Attention came with opset 23")
def test_attention_with_grouped_keys(tmp_path):
    # 4 query heads of depth 8 over 6 queries and 10 keys: scores, scale and softmax, mix.
    proto = node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2)
    shapes = {"q": [1, 6, 32], "k": [1, 10, 16], "v": [1, 10, 16]}
    layer, _ = single(tmp_path, proto, shapes, [1, 6, 32], opset=23)
    assert layer.flops == 4 * 6 * 10 * (2 * 8 + 5 + 1 + 2 * 8)


def test_quantised_matrix_product_counts_its_own_bytes(tmp_path):
    proto = node("MatMulInteger", "x w", "y")
    model = make_model([proto], {"x": [3, 4]}, {"y": [3, 5]}, {"w": np.zeros((4, 5), np.int8)}, dtype=3)
    model.graph.output[0].type.tensor_type.elem_type = 6
    read, _ = read_onnx(save(model, tmp_path))
    assert read.layers[0].flops == 2 * 3 * 5 * 4
    assert read.layers[0].weight_bytes == 20
    assert [tensor.bytes for tensor in read.tensors] == [12, 60]


@pytest.mark.parametrize(("dtype", "bits"), [(1, 32), (10, 16), (11, 64), (16, 16)])
def test_bytes_follow_the_data_type(tmp_path, dtype, bits):
    model = make_model([node("Relu", "x", "y")], {"x": [3, 5]}, {"y": [3, 5]}, dtype=dtype)
    read, _ = read_onnx(save(model, tmp_path))
    assert [tensor.bytes for tensor in read.tensors] == [15 * bits // 8] * 2


def test_four_bit_weights_are_packed(tmp_path):
    weight = helper.make_tensor("w", onnx.TensorProto.INT4, [3, 5], [1] * 15)
    model = make_model(
        [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d", "y")],
        {"x": [1, 3]},
        {"y": [1, 5]},
        {"s": np.float32(0.5)},
        opset=21,
    )
    model.graph.initializer.append(weight)
    read, _ = read_onnx(save(model, tmp_path))
    # 15 numbers of 4 bits, and the scale: they stay quantised in memory.
    assert [(layer.op, layer.weight_bytes) for layer in read.layers] == [("MatMul", 8 + 4)]


def test_unknown_operators_are_named_and_cost_bytes(tmp_path):
    nodes = [
        node("TopK", "x k", "v i", axis=-1),
        node("Frobnicate", "v", "y", domain="example.org"),
        node("Frobnicate", "y", "z", domain="example.org"),
    ]
    model = make_model(nodes, {"x": [1, 8]}, {"z": [1, 4]}, {"k": np.array([4])}, domains=["example.org"])
    read, report = read_onnx(save(model, tmp_path), fuse=False)
    assert report.unknown_operators == {"TopK": 1, "example.org:Frobnicate": 2}
    assert any("example.org:Frobnicate (2 nodes)" in warning for warning in report.warnings)
    assert [layer.flops for layer in read.layers] == [0, 0, 0]
    assert {t.name: t.bytes for t in read.tensors} == {"x": 32, "v": 16, "y": 0, "z": 16}
    assert any("'y'" in warning and "unknown shape" in warning for warning in report.warnings)


def test_contradictory_attributes_count_as_zero_with_a_warning(tmp_path):
    model = make_model([node("LRN", "x", "y", size=-9)], {"x": [1, 4, 2, 2]}, {"y": [1, 4, 2, 2]})
    read, report = read_onnx(save(model, tmp_path))
    assert read.layers[0].flops == 0
    assert any("contradictory" in warning for warning in report.warnings)


def test_subgraphs_are_opaque_but_their_weights_count(tmp_path):
    branch = helper.make_graph(
        [node("Add", "x w", "b")],
        "branch",
        [],
        [helper.make_tensor_value_info("b", 1, [2, 2])],
        initializer=[onnx.numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")],
    )
    nodes = [
        node("Relu", "p", "x"),
        node("ReduceMax", "p", "m", keepdims=0),
        node("Cast", "m", "c", to=9),
        node("If", "c", "y", then_branch=branch, else_branch=branch),
    ]
    read, report = read_onnx(save(make_model(nodes, {"p": [2, 2]}, {"y": [2, 2]}), tmp_path))
    layer = next(layer for layer in read.layers if layer.op == "If")
    assert report.opaque_operators == {"If": 1}
    assert layer.weight_bytes == 2 * 16
    # What a branch reads from outside is an input of the layer.
    assert any(layer.name in tensor.targets and tensor.name == "x" for tensor in read.tensors)


def test_every_rule_is_for_a_standard_operator():
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    newer = {"Attention", "CumProd", "RMSNormalization", "RotaryEmbedding", "Swish"}
    assert set(RULES) - names <= newer
