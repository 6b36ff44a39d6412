"""FLOPs of operators that are made of multiply-accumulates."""

from __future__ import annotations

import math

from dnnplan.instances.formats.onnx.operators import Values, operator
from dnnplan.instances.formats.onnx.values import Node, UnknownShapeError

SOFTMAX_FLOPS = 5
"""For each element: compare, subtract, exp, add, divide."""
SIGMOID_FLOPS = 4
"""For each element: negate, exp, add, divide."""


def _convolution(outputs: int, weight_shape: tuple[int, ...]) -> int:
    """Each output takes one multiply-accumulate per weight of its filter (channels / group x kernel)."""
    return 2 * outputs * math.prod(weight_shape[1:])


@operator("Conv", "ConvInteger")
def convolution(node: Node, inputs: Values, outputs: Values) -> int:
    """2 x outputs x input channels / group x kernel; weights are (out, in / group, kernel...)."""
    return _convolution(outputs[0].elements, inputs[1].dims)


@operator("QLinearConv")
def quantised_convolution(node: Node, inputs: Values, outputs: Values) -> int:
    """The same; the weights are the fourth input."""
    return _convolution(outputs[0].elements, inputs[3].dims)


@operator("ConvTranspose")
def transposed_convolution(node: Node, inputs: Values, outputs: Values) -> int:
    """Each INPUT is scattered through out / group x kernel weights: (in, out / group, kernel...)."""
    return 2 * inputs[0].elements * math.prod(inputs[1].dims[1:])


@operator("DeformConv")
def deformable_convolution(node: Node, inputs: Values, outputs: Values) -> int:
    """A convolution whose inputs are interpolated bilinearly: 4 multiply-accumulates a sample."""
    offsets = inputs[2].elements // 2
    channels = inputs[0].dims[1]
    groups = int(node.attributes.get("offset_group", 1))
    return _convolution(outputs[0].elements, inputs[1].dims) + 8 * offsets * channels // groups


@operator("Gemm")
def general_matrix_product(node: Node, inputs: Values, outputs: Values) -> int:
    """2 M N K; the third input is where the accumulator starts."""
    rows, columns = inputs[0].dims
    inner = rows if node.attributes.get("transA", 0) else columns
    return 2 * outputs[0].elements * inner


@operator("MatMul", "MatMulInteger", "QLinearMatMul")
def matrix_product(node: Node, inputs: Values, outputs: Values) -> int:
    """2 x outputs x inner dimension, over all matrices of the stack."""
    return 2 * outputs[0].elements * inputs[0].dims[-1]


@operator("Einsum")
def einstein_sum(node: Node, inputs: Values, outputs: Values) -> int:
    """One product chain for each combination of labels: n operands take n multiply-accumulates less one.

    The order of contraction is the kernel's choice; this is the direct evaluation, exact for two operands.
    """
    equation = str(node.attributes["equation"]).replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, inputs, strict=True):
        for label, size in zip(_labels(term, len(value.dims)), value.dims, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))  # an ellipsis may broadcast
    return 2 * max(len(terms) - 1, 1) * math.prod(sizes.values())


def _labels(term: str, rank: int) -> list[str]:
    """Labels of the axes of one operand; axes under the ellipsis are counted from its right end."""
    if "..." not in term:
        return list(term)
    left, right = term.split("...")
    hidden = rank - len(left) - len(right)
    return [*left, *(f"...{axis}" for axis in range(hidden - 1, -1, -1)), *right]


@operator("Attention")
def attention(node: Node, inputs: Values, outputs: Values) -> int:
    """Q K^T, softmax, and the product with V, for every query head; keys include the past ones."""
    query, key, value = (inputs[index].dims for index in range(3))
    if len(query) == 4:
        batch, heads, length, depth = query
        keys, value_depth = key[2], value[3]
    else:
        batch, length, width = query
        heads = int(node.attributes["q_num_heads"])
        depth = width // heads
        keys, value_depth = key[1], value[2] // int(node.attributes["kv_num_heads"])
    if len(inputs) > 4 and inputs[4].shape is not None:
        keys += inputs[4].shape[2]
    return batch * heads * length * keys * (2 * depth + SOFTMAX_FLOPS + 1 + 2 * value_depth)


# Elementwise FLOPs for each hidden unit and time step, beside the two matrix products. Bias is free.
# LSTM: 3 sigmoids, 2 tanh, c' = f c + i g (3), h = o tanh c (1).
_LSTM_UNIT = 3 * SIGMOID_FLOPS + 2 + 3 + 1
# GRU: 2 sigmoids, 1 tanh, r h (1), h' = (1 - z) n + z h (4).
_GRU_UNIT = 2 * SIGMOID_FLOPS + 1 + 1 + 4
_RNN_UNIT = 1


@operator("LSTM")
def lstm(node: Node, inputs: Values, outputs: Values) -> int:
    """Four gates."""
    return _recurrent(inputs, _LSTM_UNIT)


@operator("GRU")
def gru(node: Node, inputs: Values, outputs: Values) -> int:
    """Three gates."""
    return _recurrent(inputs, _GRU_UNIT)


@operator("RNN")
def rnn(node: Node, inputs: Values, outputs: Values) -> int:
    """One gate."""
    return _recurrent(inputs, _RNN_UNIT)


def _recurrent(inputs: Values, unit: int) -> int:
    """Steps x (input and recurrent products, and the unit's own work), over all directions.

    X is (length, batch, input) or, with `layout` 1, (batch, length, input): the product is the same.
    W is (directions, gates x hidden, input), R (directions, gates x hidden, hidden).
    """
    if len(inputs) < 3:
        raise UnknownShapeError
    first, second, _ = inputs[0].dims
    weight, recurrence = inputs[1], inputs[2]
    directions, _, hidden = recurrence.dims
    return first * second * (2 * weight.elements + 2 * recurrence.elements + directions * hidden * unit)
