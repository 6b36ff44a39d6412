"""Names, order and soundness of graphs, constants, symbolic dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.instances import FormatError, InputError
from dnnplan.instances.formats.onnx import read_onnx
from tests.instances.onnx.onnx_graphs import helper, make_model, node, save

SQUARE = {"x": [2, 2]}


def read(model, tmp_path, **options):
    return read_onnx(save(model, tmp_path), **options)


def test_cycle_is_named(tmp_path):
    nodes = [
        node("Add", "x c", "a", "first"),
        node("Relu", "a", "b", "second"),
        node("Relu", "b", "c", "third"),
    ]
    with pytest.raises(FormatError, match="cycle: 'first' -> 'second' -> 'third' -> 'first'"):
        read(make_model(nodes, SQUARE, {"c": [2, 2]}), tmp_path)


def test_every_dangling_tensor_and_double_producer_is_listed(tmp_path):
    nodes = [node("Add", "x gone", "a", "one"), node("Relu", "lost", "a", "two")]
    with pytest.raises(FormatError) as error:
        read(make_model(nodes, SQUARE, {"nowhere": [2, 2]}), tmp_path)
    text = str(error.value)
    assert len(error.value.problems) == 4
    for part in ("'gone'", "'lost'", "'nowhere'", "produced by node 'two' and by node 'one'"):
        assert part in text


def test_an_input_that_a_node_produces_too(tmp_path):
    with pytest.raises(FormatError, match="an input or constant"):
        read(make_model([node("Relu", "x", "x")], SQUARE, {"x": [2, 2]}), tmp_path)


def test_nodes_out_of_order_are_read(tmp_path):
    nodes = [node("Softmax", "a", "y", "last"), node("MatMul", "x w", "a", "first")]
    model, _ = read(make_model(nodes, {"x": [1, 3]}, {"y": [1, 2]}, {"w": (3, 2)}), tmp_path)
    assert [layer.name for layer in model.layers] == ["first", "last"]
    assert model.layers[1].flops == 10


def test_nodes_without_names_and_with_equal_names(tmp_path):
    nodes = [node("Relu", "x", "a"), node("Softmax", "a", "b", "same"), node("Softmax", "b", "c", "same")]
    model, _ = read(make_model(nodes, SQUARE, {"c": [2, 2]}), tmp_path, fuse=False)
    assert [layer.name for layer in model.layers] == ["Relu_a", "same", "same#2"]


def test_control_characters_in_names_are_replaced(tmp_path):
    model, _ = read(make_model([node("Relu", "x", "y", "a\nb")], SQUARE, {"y": [2, 2]}), tmp_path)
    assert model.layers[0].name == "a b"


def test_empty_graph_and_no_outputs(tmp_path):
    with pytest.raises(FormatError, match="no nodes"):
        read(make_model([], SQUARE, {"x": [2, 2]}), tmp_path)
    with pytest.raises(FormatError, match="no outputs"):
        read(make_model([node("Relu", "x", "y")], SQUARE, {}), tmp_path)


def test_a_graph_that_depends_on_no_input(tmp_path):
    model = make_model([node("Relu", "w", "y")], {}, {"y": [3]}, {"w": (3,)})
    with pytest.raises(FormatError, match="no node depends on an input"):
        read(model, tmp_path)


def test_unused_inputs_and_useless_layers_are_reported(tmp_path):
    nodes = [node("Relu", "x", "y"), node("Softmax", "x", "waste", "wasted")]
    _, report = read(make_model(nodes, {**SQUARE, "spare": [4]}, {"y": [2, 2]}), tmp_path)
    assert "input 'spare' is not used" in report.warnings
    assert any("'wasted'" in warning and "without any effect" in warning for warning in report.warnings)


def test_constant_output_is_reported(tmp_path):
    nodes = [node("Relu", "x", "y"), node("Relu", "w", "z")]
    model, report = read(make_model(nodes, SQUARE, {"y": [2, 2], "z": [3]}, {"w": (3,)}), tmp_path)
    assert any("'z'" in warning and "no layer computes it" in warning for warning in report.warnings)
    assert [tensor.name for tensor in model.tensors if tensor.output] == ["y"]


def test_constants_are_folded_into_the_weights_of_their_readers(tmp_path):
    # w is transposed and scaled at load time; the shape comes from x; neither is a layer.
    nodes = [
        node("Constant", "", "two", value=helper.make_tensor("", 1, [], [2.0])),
        node("Transpose", "w", "wt"),
        node("Mul", "wt two", "scaled"),
        node("MatMul", "x scaled", "a", "product"),
        node("Shape", "x", "s"),
        node("ConstantOfShape", "s", "zeros"),
        node("Add", "a zeros", "y", "sum"),
    ]
    model, report = read(make_model(nodes, {"x": [3, 3]}, {"y": [3, 3]}, {"w": (3, 3)}), tmp_path)
    assert [layer.attributes["onnx_nodes"] for layer in model.layers] == [["product", "sum"]]
    assert model.layers[0].weight_bytes == 4 * 9 + 4 * 9
    assert (report.nodes, report.constant_nodes) == (7, 5)


def test_random_nodes_are_not_constants(tmp_path):
    nodes = [node("RandomNormal", "", "r", "noise", shape=[2, 2]), node("Add", "x r", "y")]
    model, _ = read(make_model(nodes, SQUARE, {"y": [2, 2]}), tmp_path)
    assert "noise" in [layer.name for layer in model.layers]


def test_shared_weights_are_counted_for_each_layer_once_and_noted(tmp_path):
    nodes = [node("MatMul", "x w", "a", "first"), node("MatMul", "a w", "y", "second")]
    model, report = read(make_model(nodes, SQUARE, {"y": [2, 2]}, {"w": (2, 2)}), tmp_path)
    assert [layer.weight_bytes for layer in model.layers] == [16, 16]
    assert report.shared_weights == {"w": ("first", "second")}
    assert model.layers[0].attributes["shared_weights"] == ["w"]


def test_shapes_given_as_constants_are_no_weights(tmp_path):
    model, _ = read(
        make_model([node("Reshape", "x s", "y")], SQUARE, {"y": [4]}, {"s": np.array([4])}), tmp_path
    )
    assert model.layers[0].weight_bytes == 0


def test_initialisers_among_the_inputs_are_weights(tmp_path):
    proto = make_model([node("MatMul", "x w", "y")], {"x": [1, 2], "w": [2, 2]}, {"y": [1, 2]}, {"w": (2, 2)})
    proto.ir_version = 3
    model, _ = read(proto, tmp_path)
    assert model.layers[0].weight_bytes == 16
    assert [tensor.name for tensor in model.tensors] == ["x", "y"]


def test_large_initialisers_keep_their_shape(tmp_path):
    model, _ = read(
        make_model([node("MatMul", "x w", "y")], {"x": [1, 64]}, {"y": [1, 64]}, {"w": (64, 64)}), tmp_path
    )
    assert (model.layers[0].flops, model.layers[0].weight_bytes) == (2 * 64 * 64, 4 * 64 * 64)


def test_local_functions_are_inlined(tmp_path):
    body = [node("MatMul", "a b", "p"), node("Relu", "p", "q")]
    function = helper.make_function("own", "Dense", ["a", "b"], ["q"], body, [helper.make_opsetid("", 18)])
    calls = [node("Dense", "x w", "h", domain="own"), node("Dense", "h w", "y", domain="own")]
    proto = make_model(calls, SQUARE, {"y": [2, 2]}, {"w": (2, 2)}, functions=[function], domains=["own"])
    model, report = read(proto, tmp_path)
    assert [(layer.op, layer.flops) for layer in model.layers] == [("MatMul", 2 * 8 + 4)] * 2
    assert report.warnings == ()


class TestDimensions:
    def model(self, *shape):
        return make_model([node("Softmax", "x", "y")], {"x": list(shape)}, {"y": list(shape)})

    def test_given_values_are_used(self, tmp_path):
        model, report = read(self.model("batch", "length"), tmp_path, dims={"batch": 2, "length": 7})
        assert model.layers[0].flops == 5 * 14
        assert report.warnings == ()
        assert report.guessed_dims == {}

    @pytest.mark.parametrize("symbol", ["batch", "N", "batch_size", "unk__12", "None"])
    def test_batch_is_one_with_a_warning(self, tmp_path, symbol):
        model, report = read(self.model(symbol, 3), tmp_path)
        assert model.layers[0].flops == 15
        assert report.guessed_dims == {symbol: 1}
        assert f"--dim {symbol}=VALUE" in report.warnings[0]

    def test_nameless_leading_dimension_is_the_batch(self, tmp_path):
        model, report = read(self.model(None, 3), tmp_path)
        assert model.layers[0].flops == 15
        assert report.guessed_dims == {"x[0]": 1}

    def test_other_symbols_must_be_given(self, tmp_path):
        with pytest.raises(FormatError) as error:
            read(self.model("batch", "length", None), tmp_path)
        assert len(error.value.problems) == 2
        assert "--dim length=VALUE" in str(error.value)
        assert "--dim x[2]=VALUE" in str(error.value)

    def test_nameless_dimensions_can_be_given(self, tmp_path):
        model, _ = read(self.model(1, None), tmp_path, dims={"x[1]": 4})
        assert model.layers[0].flops == 20

    def test_names_that_nothing_has_are_reported(self, tmp_path):
        _, report = read(self.model(1, 3), tmp_path, dims={"widht": 3})
        assert report.warnings == ("no symbolic dimension is called 'widht': --dim widht=3 has no effect",)

    @pytest.mark.parametrize("value", [0, -1, 1.5, True])
    def test_values_must_be_positive_whole_numbers(self, tmp_path, value):
        with pytest.raises(InputError, match="whole number of at least 1"):
            read(self.model("batch", 3), tmp_path, dims={"batch": value})

    def test_stale_symbols_inside_the_graph_are_inferred_again(self, tmp_path):
        nodes = [node("MatMul", "x w", "h"), node("Softmax", "h", "y")]
        proto = make_model(nodes, {"x": ["batch", 3]}, {"y": ["batch", "classes"]}, {"w": (3, 5)})
        proto.graph.value_info.append(helper.make_tensor_value_info("h", 1, ["batch", "unk__1"]))
        model, _ = read(proto, tmp_path, dims={"batch": 2})
        assert {tensor.name: tensor.bytes for tensor in model.tensors} == {"x": 24, "h": 40, "y": 40}

    def test_shapes_computed_from_shapes_are_known(self, tmp_path):
        # What exporters write for x.view(x.size(0), -1).
        nodes = [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n axis", "n1"),
            node("Concat", "n1 minus", "target", axis=0),
            node("Reshape", "x target", "flat"),
            node("MatMul", "flat w", "y"),
        ]
        constants = {"zero": np.int64(0), "axis": np.array([0]), "minus": np.array([-1]), "w": (12, 5)}
        model, report = read(
            make_model(nodes, {"x": ["batch", 3, 4]}, {"y": ["batch", 5]}, constants),
            tmp_path,
            dims={"batch": 2},
        )
        assert report.warnings == ()
        assert [(layer.op, layer.flops) for layer in model.layers] == [("MatMul", 2 * 2 * 12 * 5)]

    def test_dimensions_that_depend_on_data_are_one_with_a_warning(self, tmp_path):
        proto = make_model([node("NonZero", "x", "y")], {"x": [3, 4]}, {"y": [2, "count"]})
        proto.graph.output[0].type.tensor_type.elem_type = 7
        model, report = read(proto, tmp_path)
        assert any("depend on data" in warning and "'y'" in warning for warning in report.warnings)
        assert model.tensors[1].bytes == 16
