"""FLOPs of operators without multiply-accumulates: elementwise, pooling, normalisation, reduction, layout."""

from __future__ import annotations

import math

from dnnplan.instances.formats.onnx.arithmetic import SIGMOID_FLOPS, SOFTMAX_FLOPS
from dnnplan.instances.formats.onnx.operators import Values, operator, register_constant
from dnnplan.instances.formats.onnx.values import Node

ACTIVATIONS = {
    "Relu": 1,
    "LeakyRelu": 2,
    "PRelu": 2,
    "ThresholdedRelu": 1,
    "Clip": 2,
    "Elu": 3,
    "Celu": 5,
    "Selu": 4,
    "Sigmoid": SIGMOID_FLOPS,
    "HardSigmoid": 4,
    "HardSwish": 5,
    "Swish": SIGMOID_FLOPS + 1,
    "Tanh": 1,
    "Softplus": 3,
    "Softsign": 3,
    "Mish": 5,
    "Gelu": 5,
    "Erf": 1,
    "Shrink": 2,
}

UNARY = {
    **dict.fromkeys(("Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Sign", "Ceil", "Floor", "Round"), 1),
    **dict.fromkeys(("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh"), 1),
    **dict.fromkeys(("Asinh", "Acosh", "Atanh", "Not", "BitwiseNot", "IsNaN", "IsInf"), 1),
    "QuantizeLinear": 3,  # divide, round, saturate
    "DequantizeLinear": 2,  # subtract the zero point, scale
}

BINARY = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Mod", "And", "Or", "Xor", "BitShift"), 1),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor", "Where"), 1),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), 1),
}

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Operators that change no byte: their output is their input under another shape or name."""

MOVEMENT = frozenset(
    {
        *(
            "Transpose",
            "Cast",
            "CastLike",
            "Concat",
            "Split",
            "Slice",
            "Gather",
            "GatherElements",
            "GatherND",
        ),
        *("ScatterElements", "ScatterND", "Scatter", "Pad", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"),
        *("Constant", "ConstantOfShape", "Shape", "Size", "Range", "EyeLike", "OneHot", "Trilu", "Compress"),
        *("MaxUnpool", "CenterCropPad", "Col2Im", "ReverseSequence", "NonZero"),
    }
)

register_constant(ACTIVATIONS)
register_constant(UNARY)
register_constant(BINARY)
register_constant(dict.fromkeys(sorted(VIEWS | MOVEMENT), 0))
register_constant({"Softmax": SOFTMAX_FLOPS, "LogSoftmax": SOFTMAX_FLOPS + 1, "Hardmax": 2})
# Scale and shift of running statistics are folded into one multiply-accumulate.
register_constant({"BatchNormalization": 2})
# Mean (1), subtract (1), square and sum (2), then multiply, scale and shift (3); the root is one per group.
register_constant(dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), 7))
# Square and sum (2), multiply, scale (2).
register_constant({"RMSNormalization": 4, "LpNormalization": 3, "MeanVarianceNormalization": 5})
# A pair (x, y) is turned by four multiplications and two additions.
register_constant({"RotaryEmbedding": 3})


@operator("Sum", "Mean", "Max", "Min")
def many_operands(node: Node, inputs: Values, outputs: Values) -> int:
    """One operation for each operand after the first, and one division for the mean."""
    return (len(inputs) - 1 + (node.op == "Mean")) * outputs[0].elements


@operator("MaxPool", "AveragePool", "LpPool")
def pooling(node: Node, inputs: Values, outputs: Values) -> int:
    """One operation for each element of the window (three for LpPool: absolute value, power, add)."""
    window = math.prod(int(size) for size in node.attributes["kernel_shape"])
    return outputs[0].elements * window * (3 if node.op == "LpPool" else 1)


@operator("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
def global_pooling(node: Node, inputs: Values, outputs: Values) -> int:
    """One operation for each input (three for GlobalLpPool)."""
    return inputs[0].elements * (3 if node.op == "GlobalLpPool" else 1)


@operator("LRN")
def local_response_normalisation(node: Node, inputs: Values, outputs: Values) -> int:
    """Square, sum over `size` channels, then scale, shift, power and divide."""
    return outputs[0].elements * (int(node.attributes["size"]) + 4)


@operator(
    "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ArgMax", "ArgMin", "CumSum", "CumProd"
)
def reduction(node: Node, inputs: Values, outputs: Values) -> int:
    """One operation for each input."""
    return inputs[0].elements


@operator("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def reduction_of_function(node: Node, inputs: Values, outputs: Values) -> int:
    """A function of each input, and its sum."""
    return 2 * inputs[0].elements


@operator("Resize", "Upsample")
def resize(node: Node, inputs: Values, outputs: Values) -> int:
    """Interpolation over the axes that change: 2 (linear) or 4 (cubic) points each; nearest moves data."""
    points = {"linear": 2, "cubic": 4}.get(str(node.attributes.get("mode", "nearest")))
    if points is None:
        return 0
    changed = sum(a != b for a, b in zip(inputs[0].dims, outputs[0].dims, strict=True))
    return 2 * points**changed * outputs[0].elements if changed else 0


@operator("DynamicQuantizeLinear")
def dynamic_quantisation(node: Node, inputs: Values, outputs: Values) -> int:
    """Minimum and maximum (2), then divide, round, saturate (3)."""
    return 5 * inputs[0].elements


@operator("GridSample")
def grid_sample(node: Node, inputs: Values, outputs: Values) -> int:
    """Bilinear: 4 multiply-accumulates for each output."""
    return 8 * outputs[0].elements
