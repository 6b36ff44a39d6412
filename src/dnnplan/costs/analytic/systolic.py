"""Systolic arrays: cycles of a product that is folded onto rows x columns of multiply-accumulate units."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.analytic.record import DeviceModel
from dnnplan.costs.analytic.work import Batch, Work, batch_row, by_batch, rows_and_repeats, seconds_to_move
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.errors import Problem
from dnnplan.instances.fields import NonNegative, Positive, PositiveCount

Dataflow = Literal["os", "ws", "is"]


class SystolicArray(DeviceModel, tag="systolic", kw_only=False):
    """An array of R x C units; t = max(cycles / clock, bytes / bandwidth) + overhead.

    What stays in the units is laid out on the array in folds, one after the other, without overlap:

        output stationary  ceil(M/R) ceil(N/C) (K + R + C - 2)
        weight stationary  ceil(K/R) ceil(N/C) (M + 2R + C - 2)
        input stationary   ceil(K/R) ceil(M/C) (N + 2R + C - 2)

    for each group, groups one after the other. A layer of unknown shape is taken to fill the array:
    macs / (R C) cycles. What is no product runs on vector units of `lanes` operations a cycle (ours).

    Source: Samajdar et al., SCALE-Sim, ISPASS 2020 and arXiv 1811.02883; equal to the cycles of version 3 without
    stalls (its report counts from 0: one less).

    Parameters
    ----------
    rows, columns
        R, C.
    dataflow
        What stays: ``os`` outputs, ``ws`` weights, ``is`` inputs.
    clock
        Hz.
    fold_batch
        Whether the b samples of a batch are one product with b M rows; False: b products. Products of two
        inputs are always b products.
    bandwidth
        Bytes/s to memory: weights once, tensors of each sample; None: moving takes no time.
    overhead
        Seconds a layer.
    lanes
        Operations a cycle of what is no product; None: one a column.
    buffer
        Bytes of tensors that stay on the chip: of what the samples of a batch read and write in a layer, only the
        rest is moved.
    """

    rows: PositiveCount
    columns: PositiveCount
    dataflow: Dataflow = "os"
    clock: Positive = 1e9
    fold_batch: bool = True
    bandwidth: Positive | None = None
    overhead: NonNegative = 0
    lanes: PositiveCount | None = None
    buffer: NonNegative = 0

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        sizes = batch_row(batch)
        busy = self._cycles(work, sizes) / self.clock
        moving = seconds_to_move(work, sizes, self.bandwidth, self.buffer)
        return by_batch(np.maximum(busy, moving) + self.overhead, batch)

    def cycles(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Cycles, (L,) or (L, B)."""
        return by_batch(self._cycles(work, batch_row(batch)), batch)

    def mapping_efficiency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Mean share of the units that hold something, over all folds; in (0, 1], (L,) or (L, B).

        1 where the shape is unknown or the layer is no product.
        """
        sizes = batch_row(batch)
        down, across, _, _ = self._laid_out(work, sizes)
        held = down * across / (self._folds(down, across) * self.rows * self.columns)
        return by_batch(np.where(np.isfinite(held), held, 1.0), batch)

    def utilisation(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Multiply-accumulates for each unit and cycle; in [0, 1], (L,) or (L, B)."""
        sizes = batch_row(batch)
        slots = self.rows * self.columns * np.maximum(self._cycles(work, sizes), 1.0)
        return by_batch(work.macs[:, None] * sizes / slots, batch)

    def _cycles(self, work: Work, sizes: FloatArray) -> FloatArray:
        down, across, through, repeats = self._laid_out(work, sizes)
        fill = (self.rows if self.dataflow == "os" else 2 * self.rows) + self.columns - 2
        array = repeats * self._folds(down, across) * (through + fill)
        full = np.ceil(work.macs[:, None] * sizes / (self.rows * self.columns))
        other = np.ceil(work.flops[:, None] * sizes / (self.lanes or self.columns))
        return np.where(np.isfinite(array), array, np.where(work.macs[:, None] > 0, full, other))

    def _laid_out(
        self, work: Work, sizes: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """What lies along the rows, along the columns, and streams through; and how often. Each (L, 1) or (L, B)."""
        m, repeats = rows_and_repeats(work, sizes, fold=self.fold_batch)
        k, n = work.k[:, None], work.n[:, None]
        down, across, through = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[self.dataflow]
        return down, across, through, repeats

    def _folds(self, down: FloatArray, across: FloatArray) -> FloatArray:
        folds: FloatArray = np.ceil(down / self.rows) * np.ceil(across / self.columns)
        return folds


class ComposedArray(DeviceModel, tag="composed", kw_only=False):
    """One set of units that takes, for each layer and batch, the best of several shapes when it runs.

    Arrays that are stacked from smaller ones can be tall or wide. Changing the shape takes no time.

    Parameters
    ----------
    shapes
        (rows, columns) to choose from, of one number of units; ties: the first.
    dataflow, clock, fold_batch, bandwidth, overhead, lanes, buffer
        As `SystolicArray`; lanes None: one for each column of the widest shape.
    """

    shapes: tuple[tuple[PositiveCount, PositiveCount], ...]
    dataflow: Dataflow = "os"
    clock: Positive = 1e9
    fold_batch: bool = True
    bandwidth: Positive | None = None
    overhead: NonNegative = 0
    lanes: PositiveCount | None = None
    buffer: NonNegative = 0

    def arrays(self) -> tuple[SystolicArray, ...]:
        """One array for each shape."""
        lanes = self.lanes or max(columns for _, columns in self.shapes)
        rest = (self.dataflow, self.clock, self.fold_batch, self.bandwidth, self.overhead, lanes, self.buffer)
        return tuple(SystolicArray(rows, columns, *rest) for rows, columns in self.shapes)

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        fastest: FloatArray = np.min([array.latency(work, batch) for array in self.arrays()], axis=0)
        return fastest

    def cycles(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Cycles in the best shape, (L,) or (L, B)."""
        fewest: FloatArray = np.min([array.cycles(work, batch) for array in self.arrays()], axis=0)
        return fewest

    def choice(self, work: Work, batch: Batch = 1) -> NDArray[np.intp]:
        """Position in `shapes` of the shape with the fewest cycles, (L,) or (L, B)."""
        first: NDArray[np.intp] = np.argmin([array.cycles(work, batch) for array in self.arrays()], axis=0)
        return first

    def contradictions(self) -> tuple[Problem, ...]:
        """No shape, or shapes of different numbers of units."""
        if not self.shapes:
            return (Problem("shapes", "empty, expected at least one shape"),)
        units = self.shapes[0][0] * self.shapes[0][1]
        return tuple(
            Problem(
                f"shapes[{i}]", f"{rows} x {columns} = {rows * columns} units, expected {units} as shapes[0]"
            )
            for i, (rows, columns) in enumerate(self.shapes)
            if rows * columns != units
        )


def composed(array: SystolicArray, shapes: tuple[tuple[int, int], ...] | None = None) -> ComposedArray:
    """The units of an array, in the best of several shapes for each layer.

    Parameters
    ----------
    shapes
        None: half as tall and twice as wide, as it is, twice as tall and half as wide, where these are whole.
    """
    rows, columns = array.rows, array.columns
    if shapes is None:
        wide = ((rows // 2, 2 * columns),) if rows % 2 == 0 else ()
        tall = ((2 * rows, columns // 2),) if columns % 2 == 0 else ()
        shapes = (*wide, (rows, columns), *tall)
    rest = (array.dataflow, array.clock, array.fold_batch, array.bandwidth, array.overhead, array.lanes)
    return ComposedArray(shapes, *rest, array.buffer)
