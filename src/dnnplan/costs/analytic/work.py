"""What layers have to do, as arrays: products, operations, bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from dnnplan.costs.analytic.shapes import has_shapes, is_product, product_of
from dnnplan.costs.compute import bytes_moved
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Model
from dnnplan.instances.errors import InputError

Batch = int | Sequence[int] | npt.NDArray[np.integer]
"""Samples that run together: one number, or an array (B,) of them."""


@dataclass(frozen=True, eq=False)
class Work:
    """What L layers have to do for one sample; all arrays are (L,).

    A layer that is a matrix product is `groups` products (m x k) (k x n), one after the other; see `Product`.

    Parameters
    ----------
    names, ops, dtypes
        Of the layers: name, operator, data type.
    m, k, n, width, taps
        Output pixels, reduction length, filters of one group, columns of the output map, elements of the kernel.
        NaN for layers that are no product, and for products of unknown shape.
    groups
        Products one after the other; 1 where m is NaN.
    macs
        Multiply-accumulates: m k n groups. Of unknown shape: `flops` / 2. Of what is known to be no product
        (pooling, Add, Softmax): 0.
    flops
        FLOP as the model states them; what they are more than 2 `macs` is element-wise work.
    input_bytes, weight_bytes, output_bytes
        Bytes read from other layers, of weights, and written.
    element_bytes
        Bytes of one number.
    shared
        Whether all samples of a batch have the same right matrix.
    """

    names: tuple[str, ...]
    ops: tuple[str, ...]
    dtypes: tuple[str, ...]
    m: FloatArray
    k: FloatArray
    n: FloatArray
    groups: FloatArray
    width: FloatArray
    taps: FloatArray
    macs: FloatArray
    flops: FloatArray
    input_bytes: FloatArray
    weight_bytes: FloatArray
    output_bytes: FloatArray
    element_bytes: FloatArray
    shared: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, field.name)) for field in fields(self)}
        if len(lengths) != 1:
            raise InputError(f"work of {sorted(lengths)} layers, expected arrays of one length")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_product(self) -> npt.NDArray[np.bool_]:
        """Which layers are products of known shape, (L,)."""
        return np.isfinite(self.m)

    @property
    def other_flops(self) -> FloatArray:
        """FLOP beside the multiply-accumulates, (L,)."""
        rest: FloatArray = np.maximum(self.flops - 2 * self.macs, 0.0)
        return rest


def work_of(model: Model) -> Work:
    """What the layers of a model have to do.

    Shapes come from `Layer.attributes` as the ONNX reader writes them (input_shapes, output_shapes, kernel, strides,
    pads, dilations, group, weight_shape, hidden_size), or as the H2H suite does (output, input, kernel, steps).
    Layers without shapes count as products of unknown shape, with `flops` / 2 multiply-accumulates.

    Bytes are those of the cost model (docs/cost-model.md, section 2): each tensor once, `read_bytes` where given.
    """
    read, written = bytes_moved(model)
    products = [product_of(layer) for layer in model.layers]
    sizes = np.array(
        [(np.nan, np.nan, np.nan, 1.0, np.nan, np.nan) if p is None else p[:6] for p in products], dtype=float
    ).reshape(-1, 6)
    flops = np.array([layer.flops for layer in model.layers], dtype=float)
    other = np.array([has_shapes(layer) and not is_product(layer) for layer in model.layers], dtype=bool)
    known = np.array([0.0 if p is None else float(p.macs) for p in products])
    dtypes = tuple(str(layer.attributes.get("dtype", model.dtype)) for layer in model.layers)
    return Work(
        names=tuple(layer.name for layer in model.layers),
        ops=tuple(layer.op for layer in model.layers),
        dtypes=dtypes,
        **dict(zip(("m", "k", "n", "groups", "width", "taps"), sizes.T, strict=True)),
        macs=np.where(np.isfinite(sizes[:, 0]), known, np.where(other, 0.0, flops / 2)),
        flops=flops,
        input_bytes=np.array([read[layer.name] for layer in model.layers], dtype=float),
        weight_bytes=np.array([layer.weight_bytes for layer in model.layers], dtype=float),
        output_bytes=np.array([written[layer.name] for layer in model.layers], dtype=float),
        element_bytes=np.array([dtype_bytes(dtype) for dtype in dtypes], dtype=float),
        shared=np.array([p is None or p.shared for p in products], dtype=bool),
    )


_NAMES = {1.0: "int8", 2.0: "float16", 4.0: "float32", 8.0: "float64"}


def work_of_gemms(
    m: npt.ArrayLike, k: npt.ArrayLike, n: npt.ArrayLike, groups: npt.ArrayLike = 1, bytes: float = 4
) -> Work:
    """Products (m x k) (k x n) of weights, numbers of `bytes` bytes; sizes are numbers or arrays (L,)."""
    sizes = np.broadcast_arrays(*(np.atleast_1d(np.asarray(size, dtype=float)) for size in (m, k, n, groups)))
    if any(size.ndim != 1 or not (np.isfinite(size) & (size >= 1)).all() for size in sizes) or not bytes > 0:
        raise InputError("sizes of products: expected numbers >= 1, or arrays of them of one length")
    rows, inner, columns, repeats = sizes
    count = len(rows)
    macs = rows * inner * columns * repeats
    return Work(
        names=tuple(map(str, range(count))),
        ops=("Gemm",) * count,
        dtypes=(_NAMES.get(float(bytes), f"{bytes:g} bytes"),) * count,
        m=rows,
        k=inner,
        n=columns,
        groups=repeats,
        width=np.ones(count),
        taps=np.ones(count),
        macs=macs,
        flops=2 * macs,
        input_bytes=rows * inner * repeats * bytes,
        weight_bytes=inner * columns * repeats * bytes,
        output_bytes=rows * columns * repeats * bytes,
        element_bytes=np.full(count, float(bytes)),
        shared=np.ones(count, dtype=bool),
    )


def dtype_bytes(dtype: str) -> float:
    """Bytes of a number of a data type, by the bits in its name; 4 where there are none.

    >>> dtype_bytes("float32"), dtype_bytes("int8"), dtype_bytes("uint4"), dtype_bytes("bool")
    (4.0, 1.0, 0.5, 1.0)
    """
    bits = re.search(r"\d+", dtype)
    return 1.0 if dtype == "bool" else int(bits[0]) / 8 if bits else 4.0


def batch_row(batch: Batch) -> FloatArray:
    """Sizes of batches as a row (1, B)."""
    sizes = np.asarray(batch)
    if sizes.ndim > 1 or sizes.size == 0 or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise InputError(f"batch: {batch!r}, expected an integer >= 1, or an array of them")
    return sizes.astype(float).reshape(1, -1)


def by_batch(values: FloatArray, batch: Batch) -> FloatArray:
    """Values (L, B) as (L, B), or (L,) where `batch` is one number."""
    return values if np.ndim(batch) else values[:, 0]


def rows_and_repeats(work: Work, batch: FloatArray, *, fold: bool) -> tuple[FloatArray, FloatArray]:
    """Rows of the left matrix and number of products of a whole batch, each (L, B).

    With `fold`, samples that share the right matrix are one product with more rows.
    """
    folded = work.shared[:, None] & fold
    rows: FloatArray = work.m[:, None] * np.where(folded, batch, 1.0)
    repeats: FloatArray = work.groups[:, None] * np.where(folded, 1.0, batch)
    return rows, repeats


def bytes_to_move(work: Work, batch: FloatArray, buffer: float = 0) -> FloatArray:
    """Bytes (L, B) to and from memory: weights once, and what tensors of all samples are beyond the buffer."""
    tensors = batch * (work.input_bytes + work.output_bytes)[:, None]
    moved: FloatArray = work.weight_bytes[:, None] + np.maximum(tensors - buffer, 0.0)
    return moved


def seconds_to_move(work: Work, batch: FloatArray, bandwidth: float | None, buffer: float = 0) -> FloatArray:
    """Seconds (L, B) to move `bytes_to_move`; 0 where no bandwidth is given."""
    if bandwidth is None:
        return np.zeros((len(work), batch.shape[1]))
    return bytes_to_move(work, batch, buffer) / bandwidth
