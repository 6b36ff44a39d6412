"""FPGA accelerators of one kind of layer: tiled convolution, fully connected, LSTM.

The equations are those of the H2H suite, in `dnnplan.instances.h2h.accelerators`, and only there.
"""

from __future__ import annotations

import math
from typing import Literal, cast

import numpy as np

from dnnplan.costs.analytic.record import DeviceModel
from dnnplan.costs.analytic.work import Batch, Work, batch_row, by_batch
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.fields import NonNegative, Positive, PositiveCount
from dnnplan.instances.h2h.accelerators import Accelerator, seconds
from dnnplan.instances.h2h.layers import AnyLayer, Conv, Dense, Lstm

Operator = Literal["Conv", "Gemm", "LSTM"]


class Fpga(DeviceModel, tag="fpga", kw_only=False):
    """An accelerator that runs one operator, 32 bit, from a memory on its board.

        convolution  tiles out x (tiles in x (read + compute) + write), tiles one after the other, none overlapped
        dense        max(read, compute, write), for each row
        LSTM         steps x max(read, compute, write)

    The tile is 32 channels out, 32 in, 16 rows, 14 columns. Groups, rows and samples of a batch run one after the
    other. A layer of unknown shape takes flops / rate. Layers of other operators cannot run: infinite seconds.

    Source: H2H (Zhang et al., DAC 2022) and MARCH, public code.

    Parameters
    ----------
    operator
        ``Conv``, ``Gemm`` (``MatMul`` too) or ``LSTM``.
    gops
        10^9 operations per second.
    megahertz, port_bits
        Clock and width of the port to the memory.
    overhead
        Seconds a layer.
    """

    operator: Operator
    gops: Positive
    megahertz: Positive
    port_bits: PositiveCount = 512
    overhead: NonNegative = 0

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        one = np.array([self._seconds(work, i) for i in range(len(work))], dtype=float)
        return by_batch(one[:, None] * batch_row(batch) + self.overhead, batch)

    def _seconds(self, work: Work, i: int) -> float:
        op = "Gemm" if work.ops[i] == "MatMul" else work.ops[i]
        if op != self.operator:
            return math.inf
        if not work.is_product[i]:
            return float(work.flops[i]) / (self.gops * 1e9)
        layer, repeats = _layer(work, i, op)
        board = Accelerator("", self.operator, "", self.gops, 0.0, self.megahertz, self.port_bits, 0.0)
        time = seconds(layer, board)
        return math.inf if time is None else repeats * time


def fpga_of(accelerator: Accelerator) -> Fpga:
    """The model of one of the twelve accelerators of the H2H suite."""
    return Fpga(
        cast("Operator", accelerator.kind), accelerator.gops, accelerator.megahertz, accelerator.port_bits
    )


def _layer(work: Work, i: int, op: str) -> tuple[AnyLayer, int]:
    """The layer in the terms of H2H, and how often it runs for one sample."""
    m, k, n, groups, width, taps = (
        int(values[i]) for values in (work.m, work.k, work.n, work.groups, work.width, work.taps)
    )
    if op == "Conv":
        side = math.isqrt(taps)
        # The equations only have the square of the kernel; one that is not square has a side that is not whole.
        kernel = side if side * side == taps else cast("int", math.sqrt(taps))
        return Conv(n, k // taps, m // width, width, kernel), groups
    if op == "Gemm":
        return Dense(n, k), m * groups
    return Lstm(n // 4, k - n // 4, groups), m
