"""Energy: multiply-accumulates, and bytes moved at each level of the memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.analytic.record import Checked, of_name
from dnnplan.costs.analytic.systolic import SystolicArray
from dnnplan.costs.analytic.work import Batch, Work, batch_row, by_batch, bytes_to_move, rows_and_repeats
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.fields import NonNegative

PICO = 1e-12


class EnergyFigures(Checked, kw_only=False):
    """Joules.

    Parameters
    ----------
    mac
        For one multiply-accumulate, by data type; ``*``: all others; absent: 0.
    l1, l2, dram
        For one byte read or written: beside the units (registers, L1), on the chip (SRAM, L2), outside.
    """

    mac: dict[str, NonNegative]
    l1: NonNegative = 0
    l2: NonNegative = 0
    dram: NonNegative = 0


HOROWITZ = EnergyFigures(
    mac={
        "int8": 0.23 * PICO,
        "uint8": 0.23 * PICO,
        "int32": 3.2 * PICO,
        "float16": 1.5 * PICO,
        "float32": 4.6 * PICO,
        "*": 4.6 * PICO,
    },
    l1=10 * PICO / 8,
    l2=100 * PICO / 8,
    dram=1300 * PICO / 8,
)
"""45 nm, 0.9 V: Horowitz, Computing's energy problem, ISSCC 2014.

A multiply and an add: int8 0.2 + 0.03 pJ, int32 3.1 + 0.1, float16 1.1 + 0.4, float32 3.7 + 0.9. 64 bit of a cache of
8 KB 10 pJ (L1), of 1 MB 100 pJ (L2), of DRAM 1300 pJ, the least of 1300 to 2600.
"""


def in_mac_units(mac: float, *, l1: float = 1.68, l2: float = 18.61, dram: float = 0.0) -> EnergyFigures:
    """Figures from ratios: a byte at a level takes so many times what a multiply-accumulate of `mac` joules does.

    The default ratios are MAESTRO's, for an access of one number, here of one byte (github.com/maestro-project/maestro,
    BASE_constants.hpp). Its maintainers call them preliminary (issue 10); it has no term for DRAM.
    """
    return EnergyFigures({"*": mac}, l1=l1 * mac, l2=l2 * mac, dram=dram * mac)


MAESTRO = in_mac_units(0.23 * PICO)
"""MAESTRO's ratios on its multiply-accumulate of 0.23 pJ (DSE_cost-database.hpp; bfloat16), whatever the data type."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Bytes read and written at each level, arrays (L, B)."""

    l1: FloatArray
    l2: FloatArray
    dram: FloatArray


def traffic(work: Work, batch: Batch = 1, array: SystolicArray | None = None) -> Traffic:
    """Bytes at each level, (L, B), B = 1 for one number.

    dram
        Weights once, tensors of each sample once: the chip holds what a layer needs (a lower bound). With `array`,
        tensors only beyond its buffer.
    l2
        Weights and tensors once, or, with `array`, what its folds stream: output stationary
        M K ceil(N/C) + K N ceil(M/R) + M N numbers, weight stationary M K ceil(N/C) + K N + M N (2 ceil(K/R) - 1),
        input stationary M K + K N ceil(M/C) + M N (2 ceil(K/R) - 1), for each group; partial sums are written and read
        again.
    l1
        Three numbers for each multiply-accumulate: two operands, and the sum.
    """
    sizes = batch_row(batch)
    once = work.weight_bytes[:, None] + sizes * (work.input_bytes + work.output_bytes)[:, None]
    near = 3 * (work.macs * work.element_bytes)[:, None] * sizes
    if array is None:
        return Traffic(near, once, once)
    streamed = _streamed(work, sizes, array) * work.element_bytes[:, None]
    far = bytes_to_move(work, sizes, array.buffer)
    return Traffic(near, np.where(np.isfinite(streamed), streamed, once), far)


def _streamed(work: Work, sizes: FloatArray, array: SystolicArray) -> FloatArray:
    """Numbers that pass between SRAM and array, (L, B); NaN where the layer is no product of known shape."""
    m, repeats = rows_and_repeats(work, sizes, fold=array.fold_batch)
    k, n = work.k[:, None], work.n[:, None]
    inputs, weights, outputs = m * k, k * n, m * n
    if array.dataflow == "os":
        inputs = inputs * np.ceil(n / array.columns)
        weights = weights * np.ceil(m / array.rows)
    else:
        outputs = outputs * (2 * np.ceil(k / array.rows) - 1)
        if array.dataflow == "ws":
            inputs = inputs * np.ceil(n / array.columns)
        else:
            weights = weights * np.ceil(m / array.columns)
    streamed: FloatArray = repeats * (inputs + weights + outputs)
    return streamed


def energy(
    work: Work,
    batch: Batch = 1,
    figures: EnergyFigures = HOROWITZ,
    array: SystolicArray | None = None,
) -> FloatArray:
    """Joules, (L,) or (L, B): macs e_mac + the sum over levels of bytes e_level.

    Leakage, and the operations of what is no product, are not in it.

    Parameters
    ----------
    array
        The array whose folds stream from SRAM; None: SRAM is passed once.
    """
    moved = traffic(work, batch, array)
    each = np.array([of_name(figures.mac, dtype, 0.0) for dtype in work.dtypes])
    joules = (work.macs * each)[:, None] * batch_row(batch)
    joules = joules + moved.l1 * figures.l1 + moved.l2 * figures.l2 + moved.dram * figures.dram
    return by_batch(joules, batch)
