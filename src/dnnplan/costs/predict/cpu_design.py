"""What a CPU runs of a network, from the shapes of its operators: amounts of work by class of operator.

The tables of qed-usc hold no operators on CPUs. Those of the GPU tables have the same shapes, and their kernel texts
describe the graph: what is fused behind an operator, and, by gaps in the numbers of nodes, what runs between two
operators without a row of its own. On a CPU these are passes over tensors. Latencies are not looked at. Classes,
terms and the reading of gaps are ours; tiles of 6 pixels x 8 channels are those of the matrix kernels of XNNPACK for
ARM.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import design_of, shapes, work
from dnnplan.costs.predict.kernels import tail
from dnnplan.costs.predict.tables import FloatArray, Operators, TextArray

CLASSES: dict[str, tuple[str, ...]] = {
    "point": ("one", "tiles", "in", "out", "weights"),
    "conv3": ("one", "tiles", "in", "out", "weights", "windows"),
    "large": ("one", "tiles", "in", "out", "weights", "windows"),
    "stem": ("one", "tiles", "in", "out", "weights", "windows"),
    "grouped": ("one", "flops", "in", "out", "windows"),
    "depthwise3": ("one", "flops", "in", "out"),
    "depthwise5": ("one", "flops", "in", "out"),
    "connected": ("one", "weights"),
    "mean": ("one", "in", "out"),
    "pooling": ("one", "in", "out"),
    "concat": ("one", "in", "out"),
}
"""Classes of operators and the work that the time of each is a sum of."""
STEM = 4
"""Channels that a convolution of the image has at most."""
PIXELS, CHANNELS = 6, 8
MOST_HIDDEN = 64
"""Nodes between two rows; more are no gap of one graph."""


def cpu_design(ops: Operators) -> Design:
    """Coordinates and work of qed-usc operators in order of execution; the group is one of `CLASSES`.

    Coordinates are logarithms to base 2 of channels, filters and pixels on a side, the stride, and halves of the
    kernel and of the logarithm of groups. Work counts operations and elements, not bytes.
    """
    shape = shapes(ops)
    group = cpu_classes(ops, shape)
    amount = _amounts(ops, shape)
    terms = {
        f"{name}.{term}": np.where(group == name, amount[term], 0.0)
        for name, wanted in CLASSES.items()
        for term in wanted
    }
    columns = {
        "channels": np.log2(np.maximum(shape["channels"], 1)),
        "filters": np.log2(np.maximum(shape["filters"], 1)),
        "output": np.log2(np.maximum(shape["output"], 1)),
        "kernel": shape["kernel"] / 2,
        "stride": shape["stride"],
        "groups": np.log2(np.maximum(shape["groups"], 1)) / 2,
    }
    return design_of(columns, terms | _passes(ops, shape), group)


def cpu_classes(ops: Operators, shape: dict[str, FloatArray]) -> TextArray:
    """(n,) names of `CLASSES`."""
    kind, kernel = ops.kind, shape["kernel"]
    plain, depthwise = kind == "CONV_2D", kind == "DEPTHWISE_CONV_2D"
    single = plain & (kernel == 1) & (shape["output"] == 1) & (shape["size"] == 1)
    whole = (kind == "AVERAGE_POOL_2D") & (kernel == shape["size"])
    found: TextArray = np.select(
        [
            single | (kind == "FULLY_CONNECTED"),
            plain & (shape["channels"] <= STEM),
            plain & (kernel == 1),
            plain & (kernel <= 3),
            plain,
            kind == "CONV_2D_GROUP",
            depthwise & (kernel <= 3),
            depthwise,
            (kind == "MEAN") | whole,
            kind == "CONCATENATION",
        ],
        [
            "connected",
            "stem",
            "point",
            "conv3",
            "large",
            "grouped",
            "depthwise3",
            "depthwise5",
            "mean",
            "concat",
        ],
        "pooling",
    )
    return found


def _amounts(ops: Operators, shape: dict[str, FloatArray]) -> dict[str, FloatArray]:
    amount = work(shape, ops.kind)
    pixels = shape["output"] ** 2
    depth = shape["kernel"] ** 2 * shape["channels"]
    rows, columns = np.ceil(pixels / PIXELS) * PIXELS, np.ceil(shape["filters"] / CHANNELS) * CHANNELS
    return {
        "one": np.ones(len(ops)),
        "flops": amount["flops"],
        "tiles": 2 * rows * columns * depth,
        "in": amount["bytes_in"] / 2,
        "out": amount["bytes_out"] / 2,
        "weights": amount["bytes_weights"] / 2,
        "windows": pixels * depth,
    }


def _passes(ops: Operators, shape: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Elements that passes between operators go over, each (n,), and how many passes there are."""
    gap = _gaps(ops)
    windowed = np.isin(ops.kind, ["CONV_2D", "CONV_2D_GROUP", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
    inside = shape["size"] >= (shape["output"] - 1) * shape["stride"] + shape["kernel"]
    # An operator that stays inside its input, with a node before it, was padded by that node.
    padded = windowed & (shape["kernel"] > 1) & inside & (gap > 0)
    side = np.where(padded, shape["output"] * shape["stride"], shape["size"])
    # Of multiply, add, relu the last two are one pass on a CPU.
    hidden = np.ceil((gap - padded) * 2 / 3)
    fused = _fused(ops)
    written = shape["filters"] * shape["output"] ** 2
    return {
        "pad.one": padded.astype(float),
        "pad.in": np.where(padded, shape["channels"] * shape["size"] ** 2, 0.0),
        "hidden.one": hidden,
        "hidden.in": hidden * shape["channels"] * side**2,
        "fused.one": fused.sum(axis=1),
        "fused.add": fused[:, 0] * written,
        "fused.mul": fused[:, 1] * written,
        "fused.other": fused[:, 2] * written,
    }


def _gaps(ops: Operators) -> FloatArray:
    """(n,) nodes of the graph between each operator and the row before it."""
    ends = np.array([_ends(str(text)) for text in ops.kernel], dtype=float).reshape(-1, 2)
    before = np.concatenate([[np.nan], ends[:-1, 1]])
    before[np.concatenate([[True], ops.network[1:] != ops.network[:-1]])] = -1
    gap = ends[:, 0] - before - 1
    fine: NDArray[np.bool_] = (gap > 0) & (gap <= MOST_HIDDEN)
    return np.where(fine, gap, 0.0)


def _ends(kernel: str) -> tuple[float, float]:
    """The first and the last number of a node in a kernel text, NaN without any.

    >>> _ends("convolution_2d_3_linked_:_add_4_linked_:_relu_5")
    (3.0, 5.0)
    """
    parts = [re.search(r"_(\d{1,6})$", part) for part in kernel.split("_linked_:_")]
    found = [float(part[1]) for part in parts if part]
    return (found[0], max(found)) if found else (np.nan, np.nan)


def _fused(ops: Operators) -> FloatArray:
    """(n, 3) passes for additions, multiplications and others; a relu behind most operators is part of them."""
    counts = np.zeros((len(ops), 3))
    convolutions = np.isin(ops.kind, ["CONV_2D", "CONV_2D_GROUP", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
    for row, text in enumerate(ops.kernel):
        clamps = bool(convolutions[row])
        for name in tail(str(text)):
            if name != "relu" or not clamps:
                counts[row, {"add": 0, "mul": 1}.get(name, 2)] += 1
            clamps = name in ("add", "mul")
    return counts
