"""Layers of instances as kernels of ONNX Runtime: which kernels a layer becomes, by the rules of its optimiser.

A model that was read from an ONNX file says of each layer its operator, shapes and what is fused into it. The runtime
blocks channels of convolutions, folds normalisation and takes some functions into the convolution before them; the
rules here are those of version 1.2x on processors with AVX2, checked against measured graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.costs.runtime.kernels import BLOCK
from dnnplan.costs.runtime.tables import Kernel
from dnnplan.instances import Layer

INSIDE = ("Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")
"""Functions that become part of the convolution or matrix product before them."""
FOLDED = ("BatchNormalization", "Dropout", "Identity")
ALIGNED = 4
"""Channels have to be a multiple of this to be read in blocks."""
KEPT = ("axis", "axes", "perm", "size", "direction")
RECURRENT = ("LSTM", "GRU", "RNN")
PARTS = {"HardSwish": ("HardSigmoid", "Mul")}
"""Functions that the runtime runs as several operators."""


def layer_kernels(layer: Layer, batch: int = 1) -> list[Kernel]:
    """The kernels of a layer; none where its shapes are not known.

    Parameters
    ----------
    layer
        With `input_shapes` and `output_shapes` among its attributes, as the ONNX reader writes them.
    batch
        Samples that run together; shapes are those of one.
    """
    found = layer.attributes
    shapes = [_shapes(found.get(key), layer.op, batch) for key in ("input_shapes", "output_shapes")]
    if not shapes[0] or not shapes[1]:
        return []
    inputs, outputs = shapes
    tail = [str(op) for op in found.get("fused", ()) if isinstance(op, str) and op not in FOLDED]
    main, rest = _main(layer, inputs, outputs, tail)
    kernels = [main]
    for op in rest:
        for part in PARTS.get(op, (op,)):
            operands = [outputs[0]] * (2 if part in ("Add", "Mul", "Sub", "Div", "Sum") else 1)
            kernels.append(Kernel(part, operands, [outputs[0]], {}))
    return kernels


def _shapes(value: Any, op: str, batch: int) -> list[list[int]]:
    """Shapes of a batch; empty where one of them is not known."""
    shapes = value if isinstance(value, list) else []
    if not all(isinstance(s, list) and all(type(size) is int and size >= 0 for size in s) for s in shapes):
        return []
    at = 1 if op in RECURRENT else 0
    return [[size * batch if i == at else size for i, size in enumerate(shape)] for shape in shapes]


def _main(
    layer: Layer, inputs: list[list[int]], outputs: list[list[int]], tail: list[str]
) -> tuple[Kernel, list[str]]:
    """The kernel of the main operator, and what of the tail stays outside of it."""
    found: dict[str, Any] = dict(layer.attributes)
    if layer.op == "Conv":
        return _conv(found, inputs, outputs, tail)
    attributes: dict[str, Any] = {key: found[key] for key in KEPT if key in found}
    if layer.op in RECURRENT:
        attributes |= {"hidden_size": found.get("hidden_size", outputs[0][-1])}
    if layer.op in ("Gemm", "MatMul"):
        return _product(layer.op, inputs, outputs, tail, attributes)
    if layer.op.endswith("Pool"):
        attributes |= {
            "kernel_shape": found.get("kernel", [1, 1]),
            "strides": found.get("strides", [1, 1]),
            "pads": found.get("pads", [0] * 4),
        }
        blocked = len(inputs[0]) == 4 and inputs[0][1] % BLOCK == 0 and not layer.op.startswith("Lp")
        return Kernel(f"nchwc.{layer.op}" if blocked else layer.op, inputs, outputs, attributes), tail
    return Kernel(layer.op, inputs, outputs, attributes), tail


def _conv(
    found: dict[str, Any], inputs: list[list[int]], outputs: list[list[int]], tail: list[str]
) -> tuple[Kernel, list[str]]:
    weight = found.get("weight_shape") or []
    group = int(found.get("group", 1))
    attributes: dict[str, Any] = {
        "kernel_shape": found.get("kernel", [1, 1]),
        "strides": found.get("strides", [1, 1]),
        "pads": found.get("pads", [0] * 4),
        "dilations": found.get("dilations", [1, 1]),
        "group": group,
    }
    blocked = len(weight) == 4 and len(inputs[0]) == 4 and is_blocked(inputs[0][1], int(weight[0]), group)
    operands = [inputs[0], *([weight, [weight[0]]] if weight else [])]
    rest = list(tail)
    if blocked and rest and rest[0] == "Add" and len(inputs) > 1:
        operands.append(outputs[0])
        rest = rest[1:]
    if rest and rest[0] in INSIDE:
        attributes["activation"] = rest[0]
        rest = rest[1:]
    name = "nchwc.Conv" if blocked else "FusedConv" if "activation" in attributes else "Conv"
    return Kernel(name, operands, outputs[:1], attributes), rest


def is_blocked(channels: int, filters: int, group: int, block: int = BLOCK) -> bool:
    """Whether the runtime computes a convolution on blocked channels.

    >>> is_blocked(64, 64, 1), is_blocked(3, 32, 1), is_blocked(51, 64, 1), is_blocked(48, 48, 48)
    (True, True, False, True)
    """
    if group == 1:
        return channels < block or channels % ALIGNED == 0
    if filters % block:
        return False
    return channels == group == filters or (channels // group % block == 0 and filters // group % block == 0)


def _product(
    op: str, inputs: list[list[int]], outputs: list[list[int]], tail: list[str], attributes: dict[str, Any]
) -> tuple[Kernel, list[str]]:
    """Weights are no input of a layer: an operand that is missing is one, and packed."""
    rest = list(tail)
    if len(inputs) > 1:
        return Kernel("MatMul", inputs, outputs, attributes), rest
    inner, columns = inputs[0][-1], outputs[0][-1]
    if op == "MatMul" and rest and rest[0] == "Add":
        op, rest = "Gemm", rest[1:]
    if op == "Gemm" and rest and rest[0] in INSIDE:
        op, attributes["activation"], rest = "FusedGemm", rest[0], rest[1:]
    rows = 1
    for size in outputs[0][:-1]:
        rows *= size
    attributes["constants"] = [1]
    left = [rows, inner] if op != "MatMul" else inputs[0]
    made = [rows, columns] if op != "MatMul" else outputs[0]
    return Kernel(op, [left, [inner, columns]], [made], attributes), rest


def all_kernels(layers: Sequence[Layer], batch: int) -> tuple[list[Kernel], list[int]]:
    """The kernels of all layers, and of each the position of its layer."""
    kernels: list[Kernel] = []
    owner: list[int] = []
    for at, layer in enumerate(layers):
        found = layer_kernels(layer, batch)
        kernels += found
        owner += [at] * len(found)
    return kernels, owner
