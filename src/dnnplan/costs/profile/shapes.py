"""Shapes of every value of an optimised graph, whose fused operators shape inference does not know.

Each fused operator is replaced by standard ones with the same shapes; then the inference of the `onnx` package does
the work. Nothing is run.
"""

from __future__ import annotations

from typing import Any

from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.dependency import require_onnx

FUSED = {
    ("com.microsoft", "FusedConv"): "Conv",
    ("com.microsoft", "FusedGemm"): "Gemm",
    ("com.microsoft.nchwc", "Conv"): "Conv",
    ("com.microsoft.nchwc", "MaxPool"): "MaxPool",
    ("com.microsoft.nchwc", "AveragePool"): "AveragePool",
    ("com.microsoft.nchwc", "GlobalAveragePool"): "GlobalAveragePool",
    ("com.microsoft.nchwc", "GlobalMaxPool"): "GlobalMaxPool",
}
"""Operators that are a standard one with an activation or a residual sum inside, or on blocked channels."""
SAME = {
    ("com.microsoft", "Gelu"),
    ("com.microsoft", "FastGelu"),
    ("com.microsoft", "QuickGelu"),
    ("com.microsoft", "BiasGelu"),
    ("com.microsoft", "SkipLayerNormalization"),
    ("com.microsoft.nchwc", "ReorderInput"),
}
"""Operators whose output has the shape of their first input."""
LEAST_OPSET, LEAST_IR = 20, 8
INPUTS_OF_SLICE = 10
"""Version of the operators from which the ends of a slice are inputs."""
INT64 = 7


def value_shapes(model: Any) -> dict[str, list[int]]:
    """Shapes of inputs, constants and of every value whose shape follows from them, by name."""
    onnx = require_onnx()
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    # Before version 4 of the format, inference takes no shape from weights.
    plain.ir_version = max(plain.ir_version, LEAST_IR)
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=LEAST_OPSET)
    nodes = [new for node in plain.graph.node for new in _standard(node, version)]
    del plain.graph.node[:]
    plain.graph.node.extend(nodes)
    del plain.opset_import[:]
    plain.opset_import.extend([require_onnx("helper").make_opsetid("", version)])
    # Shapes of outputs that the file states may be those of another batch.
    for value in plain.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        graph = require_onnx("shape_inference").infer_shapes(plain, data_prop=True).graph
    except Exception as error:  # InferenceError and what its checker raises have no common base
        raise FormatError(f"its shapes contradict each other: {str(error)[:300]}") from None
    found = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        known = value.type.tensor_type.HasField("shape") and all(size.HasField("dim_value") for size in sizes)
        if known:
            found[value.name] = [size.dim_value for size in sizes]
    return found


def _standard(node: Any, version: int) -> list[Any]:
    helper = require_onnx("helper")
    key = (node.domain, node.op_type)
    if key in FUSED:
        schema = require_onnx("defs").get_schema(FUSED[key])
        new = helper.make_node(FUSED[key], list(node.input)[: len(schema.inputs)], list(node.output))
        new.attribute.extend(item for item in node.attribute if item.name in schema.attributes)
        return [new]
    if key in SAME:
        return [helper.make_node("Identity", [node.input[0]], [node.output[0]])]
    if key == ("com.microsoft.nchwc", "ReorderOutput"):
        return _cut_channels(node, version)
    if key == ("com.microsoft", "FusedMatMul"):
        return _product(node)
    return [node]


def _cut_channels(node: Any, version: int) -> list[Any]:
    """A slice: blocks may hold more channels than there are."""
    helper, name = require_onnx("helper"), node.output[0]
    numbers = {item.name: item.i for item in node.attribute}
    channels, last = numbers.get("channels", 2**31), bool(numbers.get("channels_last"))
    cut = f"{name}:cut" if last else name
    if version < INPUTS_OF_SLICE:
        made = [helper.make_node("Slice", [node.input[0]], [cut], starts=[0], ends=[channels], axes=[1])]
    else:
        ends = {f"{name}:from": 0, f"{name}:to": channels, f"{name}:axis": 1}
        tensors = [helper.make_tensor(what, INT64, [1], [number]) for what, number in ends.items()]
        made = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
        made.append(helper.make_node("Slice", [node.input[0], *ends], [cut]))
    if last:
        made.append(helper.make_node("Transpose", [cut], [name], perm=[0, 2, 3, 1]))
    return made


def _product(node: Any) -> list[Any]:
    """A matrix product of operands that may be transposed first."""
    helper = require_onnx("helper")
    flags = {item.name: item.i for item in node.attribute}
    sides, made = list(node.input), []
    for at, flag in enumerate(("transA", "transB")):
        if flags.get(flag):
            turned = f"{node.output[0]}:{flag}"
            # Only the last two dimensions turn; an einsum says so for any rank.
            made.append(helper.make_node("Einsum", [sides[at]], [turned], equation="...ij->...ji"))
            sides[at] = turned
    return [*made, helper.make_node("MatMul", sides, list(node.output))]
