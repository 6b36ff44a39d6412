"""The matrix product that a layer is, from its attributes (as the ONNX reader and the H2H suite write them)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dnnplan.instances import Layer


class Product(NamedTuple):
    """`groups` products (m x k) (k x n) of one sample, one after the other.

    Parameters
    ----------
    m
        Output pixels of one sample: rows of the left matrix.
    k
        Reduction length: kernel x input channels / groups of a convolution.
    n
        Filters of one group: columns of the right matrix.
    groups
        Groups of a convolution; steps x directions of a recurrent layer; matrices of a stack.
    width
        Columns of the output map, so that m = height x width.
    taps
        Elements of the kernel, so that k = taps x channels.
    shared
        Whether all samples of a batch have the same right matrix (weights); False: each sample has its own.
    """

    m: int
    k: int
    n: int
    groups: int = 1
    width: int = 1
    taps: int = 1
    shared: bool = True

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return self.m * self.k * self.n * self.groups


def product_of(layer: Layer) -> Product | None:
    """The product of a layer; None where the layer is none, or its attributes do not tell.

    Also None: several products in one layer (coarse layers), an operator of another domain, and a product of more
    work than the layer's `flops`.
    """
    read = _READERS.get(layer.op)
    found = None
    if read is not None and "domain" not in layer.attributes and not _is_coarse(layer):
        try:
            found = read(layer)
        except (LookupError, TypeError, ValueError, ArithmeticError):
            found = None  # shapes that are missing, or that contradict each other
    if found is None or min(found[:6]) < 1 or 0 < layer.flops < 2 * found.macs * (1 - 1e-9):
        return None
    return found


def is_product(layer: Layer) -> bool:
    """Whether the work of a layer is multiply-accumulates of a matrix product, by the name of its operator."""
    return layer.op in PRODUCTS or _is_coarse(layer)


def has_shapes(layer: Layer) -> bool:
    """Whether the attributes of a layer tell the shape of what it writes."""
    return bool(layer.attributes.get("output_shapes") or layer.attributes.get("output"))


def _is_coarse(layer: Layer) -> bool:
    fused = layer.attributes.get("fused", ())
    return isinstance(fused, list | tuple) and any(op in PRODUCTS for op in fused if isinstance(op, str))


def _dims(shape: Any) -> list[int]:
    if not isinstance(shape, list | tuple) or not all(type(size) is int for size in shape):
        raise ValueError("no shape")
    return list(shape)


def _convolution(layer: Layer) -> Product:
    """Weights (out, in / groups, kernel...)."""
    found = layer.attributes
    if "output" in found:  # H2H: square kernels, one group
        filters, rows, columns = _dims(found["output"])
        taps = int(found["kernel"]) ** 2
        return Product(rows * columns, taps * int(found["input"]), filters, 1, columns, taps)
    weight, groups = _dims(found["weight_shape"]), int(found["group"])
    samples, grid = _output_grid(found)
    if weight[2:] != _dims(found["kernel"]):
        raise ValueError("weights and kernel contradict each other")
    taps = math.prod(weight[2:])
    return Product(
        samples * math.prod(grid), taps * weight[1], _part(weight[0], groups), groups, grid[-1], taps
    )


def _output_grid(found: dict[str, Any]) -> tuple[int, list[int]]:
    """Samples, and rows and columns of the output map, by the rules of ONNX.

    From the input, since what is fused may change the shape of the output.
    """
    samples, _, *sizes = _dims(found["input_shapes"][0])
    kernel, strides, dilations = (_dims(found[name]) for name in ("kernel", "strides", "dilations"))
    pads, auto = _dims(found["pads"]), found.get("auto_pad", "NOTSET")
    grid = []
    for axis, size in enumerate(sizes):
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            grid.append(-(-size // strides[axis]))
            continue
        around = pads[axis] + pads[axis + len(sizes)] if auto == "NOTSET" else 0
        grid.append((size + around - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1)
    return samples, grid


def _transposed_convolution(layer: Layer) -> Product:
    """Weights (in, out / groups, kernel...): each INPUT pixel is multiplied by all of them."""
    found = layer.attributes
    weight, groups = _dims(found["weight_shape"]), int(found["group"])
    samples, _, *sizes = _dims(found["input_shapes"][0])
    return Product(
        samples * math.prod(sizes), _part(weight[0], groups), math.prod(weight[1:]), groups, sizes[-1]
    )


def _matrix_product(layer: Layer) -> Product:
    """Of an input and weights, on whichever side, transposed or not; or of two inputs."""
    found = layer.attributes
    if "output" in found:  # H2H
        return Product(1, int(found["input"]), math.prod(_dims(found["output"])))
    shapes = [_dims(shape) for shape in found["input_shapes"]]
    if len(shapes) == 2 and layer.op != "Gemm":
        left, right = shapes
        stack = np.broadcast_shapes(tuple(left[:-2]), tuple(right[:-2]))
        return Product(left[-2], left[-1], right[-1], math.prod(stack), shared=False)
    (shape,) = shapes
    outputs = math.prod(_dims(found["output_shapes"][0]))
    # What is reduced over is an axis of the input; the work says which one.
    inner = max(size for size in shape[-2:] if not layer.flops or 2 * outputs * size <= layer.flops)
    rows = _part(math.prod(shape), inner if layer.flops else shape[-1])
    return Product(rows, inner if layer.flops else shape[-1], _part(outputs, rows))


def _recurrent(gates: int) -> Callable[[Layer], Product]:
    """Each step multiplies input and hidden state by the weights of all gates; input (steps, samples, width)."""

    def read(layer: Layer) -> Product:
        found = layer.attributes
        if "output" in found:  # H2H
            hidden = math.prod(_dims(found["output"]))
            return Product(1, hidden + int(found["input"]), gates * hidden, int(found["steps"]))
        steps, samples, width = _dims(found["input_shapes"][0])
        hidden = int(found["hidden_size"])
        directions = 2 if found.get("direction") == "bidirectional" else 1
        return Product(samples, hidden + width, gates * hidden, steps * directions)

    return read


def _part(whole: int, parts: int) -> int:
    if whole % parts:
        raise ValueError("shapes contradict each other")
    return whole // parts


_READERS: dict[str, Callable[[Layer], Product]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _convolution),
    "ConvTranspose": _transposed_convolution,
    **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"), _matrix_product),
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
}
PRODUCTS = frozenset({*_READERS, "DeformConv", "Einsum", "Attention"})
"""Operators that are made of multiply-accumulates."""
