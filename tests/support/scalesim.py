"""Topologies and cycles of SCALE-Sim."""

from __future__ import annotations

import csv
import math
from itertools import pairwise

from dnnplan.instances import Layer, Model, Tensor
from tests.support.data import data_folder
from tests.support.layers import conv

SCALESIM = data_folder() / "scalesim"


def scalesim_rows(name: str) -> list[dict[str, str]]:
    """The rows of one of its CSV files."""
    with (SCALESIM / name).open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, skipinitialspace=True) if any(row.values())]


def topology(network: str) -> Model:
    """The layers of a topology, one after the other.

    SCALE-Sim rounds the output grid up, which is padding at its end.
    """
    layers = []
    for row in scalesim_rows(f"topologies_clean/{network}.csv"):
        height, width, rows, columns, channels, filters, stride = (int(row[c]) for c in list(row)[1:8])
        grid = [-(-(size - k + stride) // stride) for size, k in ((height, rows), (width, columns))]
        around = [
            (g - 1) * stride + k - s for g, k, s in zip(grid, (rows, columns), (height, width), strict=True)
        ]
        shape = conv(
            row["Layer name"],
            input_shapes=[[1, channels, height, width]],
            kernel=[rows, columns],
            strides=[stride, stride],
            pads=[0, 0, *around],
            weight_shape=[filters, channels, rows, columns],
        )
        flops = 2 * math.prod(grid) * rows * columns * channels * filters
        layers.append(Layer(name=shape.name, op="Conv", flops=flops, attributes=shape.attributes))
    tensors = tuple(
        Tensor(name=f"x{i}", source=a.name, targets=(b.name,)) for i, (a, b) in enumerate(pairwise(layers))
    )
    return Model(name=network, layers=tuple(layers), tensors=tensors)
