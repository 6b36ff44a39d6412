"""Features of the NeuSight operators: shapes, waves of tiles on a GPU, and the figures of its data sheet.

The idea of tiles in waves is that of NeuSight (Lee, Phanishayee, Mahajan, ASPLOS 2025); the features are ours.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import design_of
from dnnplan.costs.predict.tables import FloatArray, Operators
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

GPUS: dict[str, tuple[float, float, float, float]] = {
    "Tesla P4": (5699, 192, 40, 2),
    "Tesla P100-PCIE-16GB": (9519, 732, 56, 4),
    "Tesla V100-PCIE-32GB": (14029, 900, 80, 6),
    "Tesla T4": (8141, 320, 40, 4),
    "NVIDIA A100-PCIE-40GB": (19492, 1555, 108, 40),
    "NVIDIA A100-SXM4-40GB": (19492, 1555, 108, 40),
    "NVIDIA A100 80GB PCIe": (19492, 1935, 108, 40),
    "NVIDIA H100 80GB HBM3": (66908, 3430, 132, 50),
    "NVIDIA L4": (31334, 300, 60, 48),
}
"""GPU -> (GFLOP/s, single precision; GB/s; multiprocessors; MB of second-level cache).

From device_configs.json of github.com/sitar-lab/NeuSight, unchanged.
"""

TILES = ((32, 32), (64, 64), (128, 32), (128, 64), (128, 128))
"""Output tiles, rows x columns, whose waves are features: those in the names of the kernels of cuBLAS and cuDNN."""

WINOGRAD = (2, 4)
"""Outputs along each side of a Winograd tile for 3x3 windows."""
NEEDED = {
    "conv": ("b", "input_channel", "output_channel", "kernel_size", "input_size", "stride", "padding"),
    "linear": ("b", "m", "n", "k"),
    "bmm": ("b", "m", "n", "k"),
}
"""Shape columns by operator; any other operator: b rows of h."""


def neusight_design(ops: Operators, moment: FloatArray | None = None) -> Design:
    """Features and work of NeuSight operators of one type in single precision; the group is the GPU.

    Parameters
    ----------
    ops
        Of one type.
    moment
        (n,) when in its run each was measured, 0 to 1 (`dnnplan.costs.predict.drift`); None: at the beginning, without
        what has added up.

    Raises
    ------
    InputError
        Several types, a GPU without figures, or a shape column that is missing or not positive.
    """
    kinds = sorted(set(ops.kind.tolist()))
    if len(kinds) != 1:
        raise InputError(f"operators of several types: {', '.join(kinds)}")
    odd = sorted(set(ops.network.tolist()) - set(GPUS))
    if odd:
        raise InputError(unknown("GPU", odd[0], GPUS))
    kind = kinds[0]
    shape = _shape(ops, kind)
    rows, columns, depth, batch, bytes_ = _as_matmul(shape, kind)
    figures = np.array([GPUS[str(name)] for name in ops.network])
    peak, bandwidth, processors = figures[:, 0] * 1e9, figures[:, 1] * 1e9, figures[:, 2]
    flops = 2.0 * rows * columns * depth * batch
    features = dict(shape)
    features |= {f"log_{name}": np.log2(1 + values) for name, values in shape.items()}
    features |= {
        "log_flops": np.log2(1 + flops),
        "log_bytes": np.log2(1 + bytes_),
        "log_intensity": np.log2(1 + flops / bytes_),
        "log_rows": np.log2(1 + rows * batch),
        "log_roofline": np.log2(np.maximum(flops / peak, bytes_ / bandwidth)),
        "log_l2": np.log2(bytes_ / (figures[:, 3] * 2**20)),
        "peak": figures[:, 0],
        "bandwidth": figures[:, 1],
        "processors": processors,
        "cache": figures[:, 3],
    }
    terms = {"one": np.ones(len(ops)), "compute": flops / peak, "memory": bytes_ / bandwidth}
    products = {"": (rows, columns, depth, batch)}
    if kind == "conv":
        for side in WINOGRAD:
            tiles, points = _winograd(shape, side)
            products[f"winograd{side}_"] = tiles, columns, shape["input_channel"], points
            moved = (
                4 * points * (tiles * (shape["input_channel"] + columns) + shape["input_channel"] * columns)
            )
            terms[f"winograd{side}_moved"] = moved / bandwidth
            features[f"log_winograd{side}_moved"] = np.log2(moved / bandwidth)
    for name, product in products.items():
        for tile in TILES:
            label = f"{name}{tile[0]}x{tile[1]}"
            time, more = _waves(*product, tile, processors, peak)
            terms[f"waves_{label}"] = time
            features |= {f"{key}_{label}": values for key, values in more.items()}
    if kind in NEEDED:
        last = shape["input_channel" if kind == "conv" else "k"]
        features |= {f"mod_{by}": (last % by == 0).astype(float) for by in (4, 8, 32)}
    features["moment"] = terms["moment"] = np.zeros(len(ops)) if moment is None else moment
    return design_of(features, terms, ops.network)


def _winograd(shape: dict[str, FloatArray], side: int) -> tuple[FloatArray, FloatArray]:
    """Tiles, and products for each of them, of a 3x3 convolution of stride 1; others: a pixel, k x k."""
    out = _outputs(shape)
    fits = (shape["kernel_size"] == 3) & (shape["stride"] == 1)
    tiles = shape["b"] * np.where(fits, np.ceil(out / side), out) ** 2
    return tiles, np.where(fits, (side + 2.0) ** 2, shape["kernel_size"] ** 2)


def _outputs(shape: dict[str, FloatArray]) -> FloatArray:
    """(n,) height = width of the output of convolutions."""
    reached = shape["input_size"] + 2 * shape["padding"] - shape["kernel_size"]
    out: FloatArray = np.maximum(np.floor(reached / shape["stride"]) + 1, 1)
    return out


def _waves(
    rows: FloatArray,
    columns: FloatArray,
    depth: FloatArray,
    batch: FloatArray,
    tile: tuple[int, int],
    processors: FloatArray,
    peak: FloatArray,
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Seconds of a product of matrices in whole waves of tiles, one tile a multiprocessor; and features of that."""
    blocks = np.ceil(rows / tile[0]) * np.ceil(columns / tile[1]) * batch
    waves = np.ceil(blocks / processors)
    seconds = waves * processors * tile[0] * tile[1] * 2 * depth / peak
    return seconds, {
        "log_time": np.log2(seconds),
        "log_blocks": np.log2(blocks),
        "fill": blocks / (waves * processors),
        "waste": blocks * tile[0] * tile[1] / (rows * columns * batch),
    }


def _shape(ops: Operators, kind: str) -> dict[str, FloatArray]:
    found = {}
    for name in NEEDED.get(kind, ("b", "h")):
        values = ops.columns.get(name)
        least = 0 if name == "padding" else 1
        if values is None or not (values >= least).all():
            raise InputError(f"operator {kind}: column {name!r} is missing or below {least} in some row")
        found[name] = values
    return found


def _as_matmul(
    shape: dict[str, FloatArray], kind: str
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Rows, columns, depth and batch of the product of matrices that an operator is, and the bytes it moves."""
    if kind == "conv":
        side, window = shape["input_size"], shape["kernel_size"]
        out = _outputs(shape)
        rows, columns, depth = (
            shape["b"] * out**2,
            shape["output_channel"],
            shape["input_channel"] * window**2,
        )
        read = shape["b"] * shape["input_channel"] * side**2
        return rows, columns, depth, np.ones(len(out)), 4 * (read + depth * columns + rows * columns)
    if kind in ("linear", "bmm"):
        batch, rows, columns, depth = (shape[name] for name in ("b", "m", "n", "k"))
        shared = 1 if kind == "linear" else batch
        bytes_ = 4 * (batch * rows * depth + shared * depth * columns + batch * rows * columns)
        if kind == "linear":
            return batch * rows, columns, depth, np.ones(len(rows)), bytes_
        return rows, columns, depth, batch, bytes_
    one = np.ones(len(shape["b"]))
    inputs = 2 if kind in ("add", "mul") else 1
    return shape["b"], shape["h"], one, one, 4 * (inputs + 1) * shape["b"] * shape["h"]
