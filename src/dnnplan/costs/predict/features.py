"""Numbers that a regression sees of an operator: shapes, work, traffic, kernel class and fused tail.

The columns of Li, Paolieri and Golubchik (arXiv 2210.02620) are shapes and operations; slices of four channels,
traffic, intensity, tiles and padding are ours, after how GPU kernels divide their work.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.kernels import CLASSES, TAIL, read_kernels
from dnnplan.costs.predict.tables import FloatArray, Operators, TextArray
from dnnplan.instances.errors import InputError

KINDS = (
    "CONV_2D",
    "CONV_2D_GROUP",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "MEAN",
    "CONCATENATION",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
)
"""Operator types of the GPU tables of qed-usc."""
WEIGHTED = KINDS[:4]
"""Those with weights."""


def shapes(ops: Operators) -> dict[str, FloatArray]:
    """Shapes of qed-usc operators with one meaning for all types, each (n,).

    The tables write the channels of a mean into Output_shape, 1 into Filter of a depthwise convolution, and the
    number of inputs into Kernel of a concatenation.
    """
    unknown_kinds = sorted(set(ops.kind.tolist()) - set(KINDS))
    if unknown_kinds:
        raise InputError(f"operator type {unknown_kinds[0]!r} has no features; known: {', '.join(KINDS)}")
    column = ops.columns
    kind = ops.kind

    def filled(name: str, value: float | FloatArray) -> FloatArray:
        return np.where(np.isnan(column[name]), value, column[name])

    mean, depthwise, concat = kind == "MEAN", kind == "DEPTHWISE_CONV_2D", kind == "CONCATENATION"
    size, channels = filled("Input_shape", 1.0), filled("Input_channel", 1.0)
    filters = np.where(depthwise, channels * filled("Filter", 1.0), filled("Filter", channels))
    kernel = np.where(concat, 1.0, np.where(mean, size, filled("Kernel", 1.0)))
    return {
        "size": size,
        "channels": channels,
        "output": np.where(mean, 1.0, filled("Output_shape", 1.0)),
        "filters": filters,
        "kernel": kernel,
        "stride": filled("Stride", 1.0),
        "groups": np.where(depthwise, channels, np.maximum(filled("Group", 1.0), 1.0)),
        "inputs": np.where(concat, filled("Kernel", 2.0), 1.0),
    }


def work(shape: dict[str, FloatArray], kind: TextArray) -> dict[str, FloatArray]:
    """Operations (2 per multiply-add) and bytes in half precision of operators with `shapes`, each (n,)."""
    weighted = np.logical_or.reduce([kind == name for name in WEIGHTED])
    joined = kind == "CONCATENATION"
    read = np.where(joined, shape["filters"], shape["channels"]) * shape["size"] ** 2
    written = shape["filters"] * shape["output"] ** 2
    per_output = shape["kernel"] ** 2 * np.where(weighted, 2 * shape["channels"] / shape["groups"], 1.0)
    weights = np.where(
        weighted, shape["filters"] * shape["kernel"] ** 2 * shape["channels"] / shape["groups"], 0
    )
    return {
        "flops": np.where(joined, 0.0, written * per_output),
        "bytes_in": 2 * read,
        "bytes_out": 2 * written,
        "bytes_weights": 2 * weights,
    }


def qed_usc_design(ops: Operators) -> Design:
    """Features and work of qed-usc operators; the group is the kernel class.

    Logarithms are to base 2, of 1 + x. The kernel column gives the class and the fused tail.
    """
    shape = shapes(ops)
    amount = work(shape, ops.kind)
    classes, tails = read_kernels(ops.kernel)
    slices_in, slices_out = np.ceil(shape["channels"] / 4), np.ceil(shape["filters"] / 4)
    pixels, window = shape["output"] ** 2, shape["kernel"] ** 2
    slices_group = np.where(shape["groups"] > 1, np.ceil(shape["channels"] / shape["groups"] / 4), slices_in)
    padded = pixels * slices_out * window * slices_group
    traffic = amount["bytes_in"] + amount["bytes_out"] + amount["bytes_weights"]
    columns = dict(shape)
    columns |= {f"log_{name}": np.log2(1 + values) for name, values in amount.items()}
    columns |= {
        "log_traffic": np.log2(1 + traffic),
        "log_intensity": np.log2(1 + amount["flops"] / np.maximum(traffic, 1)),
        "slices_in": slices_in,
        "slices_out": slices_out,
        "log_outputs": np.log2(1 + pixels * slices_out),
        "log_depth": np.log2(1 + window * slices_group),
        "log_padded": np.log2(1 + padded),
        "waste_in": slices_in * 4 / np.maximum(shape["channels"], 1),
        "waste_out": slices_out * 4 / np.maximum(shape["filters"], 1),
        "tiles": np.ceil(shape["output"] / 4) ** 2,
    }
    columns |= {f"kind_{name}": (ops.kind == name).astype(float) for name in KINDS}
    columns |= {f"kernel_{name}": (classes == at).astype(float) for at, name in enumerate(CLASSES)}
    columns |= {f"tail_{name}": tails[:, at] for at, name in enumerate(TAIL)}
    columns["tail_length"] = tails.sum(axis=1)
    terms = {
        "one": np.ones(len(ops)),
        **amount,
        "padded": padded,
        "outputs": pixels * slices_out,
        "slices_out": slices_out,
        "channels": shape["channels"],
    }
    return design_of(columns, terms, np.array(CLASSES)[classes])


def design_of(columns: dict[str, FloatArray], terms: dict[str, FloatArray], group: TextArray) -> Design:
    """A design of named columns."""
    return Design(
        tuple(columns),
        np.array(list(columns.values())).T,
        tuple(terms),
        np.array(list(terms.values())).T,
        group,
    )
