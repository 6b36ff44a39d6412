"""Features and amounts of work of kernels of ONNX Runtime, module by module.

Beside sizes, a regression sees how they fill the inner kernels of the runtime: sets of filters, columns of the output
that are computed together, tiles of matrix products. The choice is ours, after the published sources of MLAS, the
runtime's library of kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import design_of
from dnnplan.costs.predict.tables import FloatArray, Operators, TextArray
from dnnplan.costs.runtime.kernels import (
    BLOCKS_AT_ONCE,
    MODULES,
    ROW,
    TILE_COLUMNS,
    TILE_ROWS,
    VIEWS,
)

Columns = dict[str, FloatArray]
FLOAT_BYTES = 4.0
SMALL_CACHE = 2.0**19
"""Bytes beyond which a matrix does not stay near a core between networks; a typical size."""


def runtime_design(module: str, ops: Operators, inputs: tuple[str, ...] = ()) -> Design:
    """The design of kernels of one module.

    Parameters
    ----------
    module
        One of `kernels.MODULES`.
    ops
        Kernels of that module, with the columns of `kernels.kernel_columns`.
    inputs
        Further columns that latency depends on, such as `threads` or `utilisation`: features, and where they
        take few values, lines of their own.
    """
    columns = {name: values for name, values in ops.columns.items() if name not in SETTING or name in inputs}
    known = columns | {"block": ops.columns["block"]}
    work, group = WORK[module](known, ops.kind)
    features = {name: values for name, values in columns.items() if name not in inputs}
    features |= {f"log_{name}": np.log2(1 + columns[name]) for name in columns if name not in inputs}
    features |= {f"work_{name}": np.log2(1 + values) for name, values in work.items() if name != "one"}
    features |= _fill(module, known)
    features |= {f"is_{name}": (ops.kind == name).astype(float) for name in MODULES[module]}
    features |= {name: columns[name] for name in inputs}
    for name in inputs:
        if len(np.unique(columns[name])) <= FEW:
            group = np.char.add(np.char.add(group, "|"), np.char.mod("%g", columns[name]))
    return design_of(features, {"one": np.ones(len(ops)), **work}, group)


SETTING = ("threads", "utilisation", "block")
"""Columns that are inputs of a model only where they are asked for; `block` is one number on one processor."""
FEW = 4
"""Values of an input that get a line each."""


def _blocks(values: FloatArray, size: FloatArray | float) -> FloatArray:
    return np.ceil(values / size) * size


def _traffic(c: Columns) -> Columns:
    return {
        "read": FLOAT_BYTES * (c["elements_in"] + c["elements_more"]),
        "written": FLOAT_BYTES * c["elements_out"],
    }


def _conv_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    del kind
    weights = c["filters"] * c["channels"] / c["group"] * c["kernel"] * c["kernel_width"] * FLOAT_BYTES
    depthwise = (c["group"] > 1) & (c["group"] == c["channels"]) & (c["group"] == c["filters"])
    pointwise = (c["kernel"] == 1) & (c["kernel_width"] == 1)
    filters = np.where(depthwise, _blocks(c["filters"], c["block"]), c["filters"] / c["group"])
    rest = np.where(depthwise, 0.0, filters % (BLOCKS_AT_ONCE * c["block"]))
    share = np.where(depthwise, 0.0, rest / np.maximum(filters, 1))
    macs = c["macs"] * np.where(depthwise, filters / np.maximum(c["filters"], 1), 1.0)
    window = c["batch"] * c["rows"] * c["columns"] * c["kernel"] * c["kernel_width"]
    work = {
        "macs": macs * (1 - share),
        "macs_rest": macs * share,
        "macs_edge": macs * c["edge"],
        "outputs": c["elements_out"],
        "unrolled": np.where(c["blocked"] > 0, 0.0, window * c["channels"]),
        "weights": weights,
        "far_weights": np.maximum(weights - SMALL_CACHE, 0),
        "groups": c["group"] * c["batch"],
        "summed": c["elements_out"] * c["has_sum"],
        "activated": c["elements_out"] * c["costly_activation"],
        **_traffic(c),
    }
    group = np.select(
        [
            (c["blocked"] > 0) & depthwise,
            _reads_plain(c),
            (c["blocked"] > 0) & pointwise,
            c["blocked"] > 0,
            depthwise,
            c["group"] > 1,
            pointwise,
        ],
        [
            "blocked depthwise",
            "blocked first",
            "blocked pointwise",
            "blocked",
            "depthwise",
            "grouped",
            "pointwise",
        ],
        "plain",
    )
    return work, group


def _gemm_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    weights = FLOAT_BYTES * c["k"] * c["n"] * c["repeats"]
    tiled = _blocks(c["m"], TILE_ROWS) * _blocks(c["n"], TILE_COLUMNS) * c["k"] * c["repeats"]
    work = {
        "macs": c["macs"],
        "tiled": tiled,
        "left": FLOAT_BYTES * c["m"] * c["k"] * c["repeats"],
        "right": weights,
        "far_right": np.maximum(weights - SMALL_CACHE, 0),
        "written": FLOAT_BYTES * c["elements_out"],
        "repeats": c["repeats"],
    }
    size = np.select([c["m"] <= 1, c["m"] < TILE_ROWS], ["vector", "few rows"], "matrix")
    batched = np.where(c["repeats"] > 1, "batched ", "")
    flat = np.where(np.isin(kind, ["Gemm", "FusedGemm"]), "gemm ", "product ")
    return work, np.char.add(np.char.add(batched, flat), size)


def _pool_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    work = {
        "windows": c["macs"],
        "padded": c["macs"] * c["padded"],
        "outputs": c["elements_out"],
        **_traffic(c),
    }
    return work, np.where(c["slow"] > 0, np.char.add("slow ", kind), kind)


def _elementwise_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    size = FLOAT_BYTES * np.maximum(c["elements_in"], c["elements_out"])
    work = {
        "elements": np.maximum(c["elements_in"], c["elements_out"]),
        "stretches": c["elements_out"] / np.maximum(c["stretch"], 1),
        "far": np.maximum(size - SMALL_CACHE, 0),
        **_traffic(c),
    }
    return work, kind


def _normalise_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    lines = c["elements_in"] / np.maximum(c["length"], 1)
    work = {
        "elements": c["elements_in"],
        "lines": lines,
        "window": c["elements_in"] * c["window"],
        **_traffic(c),
    }
    return work, kind


def _move_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    far = np.maximum(FLOAT_BYTES * c["elements_out"] - SMALL_CACHE, 0)
    work = {
        "stretches": c["elements_out"] / np.maximum(c["stretch"], 1),
        "pieces": c["pieces"],
        "far": far,
        "padded": c["plane"] * _blocks(c["channels"], c["block"]),
        **_traffic(c),
    }
    return work, np.where(np.isin(kind, VIEWS), "view", kind)


def _recurrent_work(c: Columns, kind: TextArray) -> tuple[Columns, TextArray]:
    work = {
        "macs_in": c["macs_in"],
        "macs_hidden": c["macs_hidden"],
        "activations": c["activations"],
        "steps": c["steps"],
        "weights": FLOAT_BYTES * c["weights"],
        "weights_read": FLOAT_BYTES * c["hidden"] ** 2 * c["gates"] * c["steps"],
    }
    return work, kind


def _reads_plain(c: Columns) -> NDArray[np.bool_]:
    """Blocked convolutions read plain maps where there are fewer channels than a block."""
    return (c["blocked"] > 0) & (c["channels"] < c["block"])


def _fill(module: str, c: Columns) -> Columns:
    """How sizes fill what inner kernels take at once."""
    if module == "conv":
        return {
            "plain_input": _reads_plain(c).astype(float),
            "fill_channels": c["channels"] / np.maximum(_blocks(c["channels"], c["block"]), 1),
            "fill_filters": c["filters"] / np.maximum(_blocks(c["filters"], BLOCKS_AT_ONCE * c["block"]), 1),
            "fill_columns": c["columns"] / np.maximum(_blocks(c["columns"], ROW), 1),
            "intensity": np.log2(1 + c["macs"] / np.maximum(c["elements_in"] + c["elements_out"], 1)),
            "channels_of_group": c["channels"] / c["group"],
            "filters_of_group": c["filters"] / c["group"],
        }
    if module == "recurrent":
        return {"fill_hidden": c["hidden"] / np.maximum(_blocks(c["hidden"], TILE_COLUMNS), 1)}
    if module == "gemm":
        return {
            "fill_rows": c["m"] / np.maximum(_blocks(c["m"], TILE_ROWS), 1),
            "fill_columns": c["n"] / np.maximum(_blocks(c["n"], TILE_COLUMNS), 1),
            "intensity": np.log2(1 + c["macs"] / np.maximum(c["elements_in"] + c["elements_out"], 1)),
        }
    return {}


Work = Callable[[Columns, TextArray], tuple[Columns, TextArray]]
WORK: dict[str, Work] = {
    "conv": _conv_work,
    "gemm": _gemm_work,
    "pool": _pool_work,
    "elementwise": _elementwise_work,
    "normalise": _normalise_work,
    "move": _move_work,
    "recurrent": _recurrent_work,
}
