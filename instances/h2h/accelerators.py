"""The twelve accelerators of the H2H suite, and how long a layer takes on each of them.

Figures: the public code of H2H (github.com/xyzxinyizhang/H2H) and of its successor on the same code base, MARCH
(github.com/dkgzc/MARCH). Rates are the published ones; some are divided by ten by the authors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dnnplan.instances.h2h.layers import Conv, Dense, Lstm

BYTES = 4
"""Bytes of a number: all data are 32 bit."""


class Accelerator(NamedTuple):
    """One accelerator: its kind of layers, board, rate, memory, port, power.

    Parameters
    ----------
    kind
        ``Conv``, ``Gemm`` or ``LSTM``: the only operator it runs.
    gops, watts
        10^9 operations per second; board power.
    gigabytes
        10^9 bytes of memory on the board, of which half may hold weights.
    megahertz, port_bits
        Clock and width of the port to that memory: what is read or written there in a second.
    """

    name: str
    kind: str
    board: str
    gops: float
    gigabytes: float
    megahertz: float
    port_bits: int
    watts: float

    @property
    def port(self) -> float:
        """Numbers that pass the port in a second."""
        return self.port_bits * self.megahertz * 1e6 / (8 * BYTES)


ACCELERATORS = (
    Accelerator("cnn-1", "Conv", "Arria 10 GX1150", 86.6, 2.0, 370, 512, 37.46),
    Accelerator("cnn-2", "Conv", "VC707", 61.62, 1.0, 100, 512, 18.6),
    Accelerator("cnn-3", "Conv", "ZCU102", 75.0, 0.5, 100, 512, 27.0),
    Accelerator("cnn-4", "Conv", "ZC706", 28.0, 1.0, 100, 512, 10.0),
    Accelerator("cnn-6", "Conv", "Stratix V GSMD5", 73.0, 2.0, 100, 512, 25.0),
    Accelerator("cnn-7", "Conv", "Arria 10 GX1150", 130.0, 4.0, 150, 512, 21.2),
    Accelerator("cnn-8", "Conv", "Arria 10 GX1150", 44.0, 1.0, 200, 512, 8.0),
    Accelerator("cnn-9", "Conv", "Arria 10 GT1150", 36.0, 1.0, 200, 512, 30.0),
    Accelerator("fc-ese", "Gemm", "XCKU060", 282.0, 1.0, 150, 512, 41.0),
    Accelerator("fc-deeper", "Gemm", "XCKU060", 1.2, 1.0, 150, 512, 9.0),
    Accelerator("lstm-pynq", "LSTM", "PYNQ-Z1", 0.8, 0.256, 150, 256, 2.29),
    Accelerator("lstm-vc707", "LSTM", "VC707", 10.0, 1.0, 150, 512, 19.63),
)
"""There is no ``cnn-5`` in the public code."""

TILE_OUT, TILE_IN, TILE_ROWS, TILE_COLUMNS = 32, 32, 16, 14
"""Channels out and in, rows and columns of the tile that a convolution is computed by."""
INPUT_TILE = 16 * 16
"""Numbers of one input channel that are read for a tile."""


def seconds(layer: Conv | Dense | Lstm, device: Accelerator) -> float | None:
    """Compute time of a layer, tensors and weights being in the memory of the board; None: not its kind."""
    if device.kind != layer.op:
        return None
    if isinstance(layer, Conv):
        return _convolution(layer, device)
    if isinstance(layer, Dense):
        read = layer.outputs * layer.inputs + layer.inputs
        return max(read / device.port, layer.flops / (device.gops * 1e9), layer.outputs / device.port)
    read = 4 * layer.hidden * (layer.hidden + layer.inputs) + layer.inputs
    step = max(
        read / device.port, layer.flops / layer.steps / (device.gops * 1e9), layer.hidden / device.port
    )
    return layer.steps * step


def _convolution(layer: Conv, device: Accelerator) -> float:
    """Tiles one after the other, none overlapped: t = tiles out x (tiles in x (read + compute) + write)."""
    weights = TILE_OUT * TILE_IN * layer.kernel**2
    read = (weights + TILE_IN * INPUT_TILE) / device.port
    compute = 2 * TILE_ROWS * TILE_COLUMNS * weights / (device.gops * 1e9)
    write = TILE_OUT * TILE_ROWS * TILE_COLUMNS / device.port
    outer = (
        math.ceil(layer.rows / TILE_ROWS)
        * math.ceil(layer.columns / TILE_COLUMNS)
        * math.ceil(layer.channels / TILE_OUT)
    )
    return outer * (math.ceil(layer.inputs / TILE_IN) * (read + compute) + write)
