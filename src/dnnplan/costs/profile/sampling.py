"""Networks of random cells in a row: operators over the sizes of common networks, as they stand in networks.

Which cells there are, and the ranges of their sizes, are ours: the building blocks and sizes that the literature on
vision, sequence and attention networks uses (channels as multiples of 8, some odd ones; maps from 7 to 224).
Nothing is taken from the networks that a predictor is tested on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs.profile.cells import CELLS, Draw
from dnnplan.costs.profile.notation import Sketch
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

MACS = 6.0e8
"""Multiply-accumulates of one sampled network, about: a few hundredths of a second."""
SMALL_SHARE, SMALLEST = 0.4, 0.02
"""Share of the networks that are smaller, and the least part of `MACS` that they have.

Small networks tell what a run and a kernel cost beside the kernels themselves; in large ones that is lost in noise.
"""
OPSETS = (18, 20)
"""Versions of the operator set: averages over windows have another kernel from 19 on."""
MOST_CELLS = 24
MOST_TRIES = 100
"""Draws of a cell; if all are too large, the least of them is taken."""
RESTART = 0.15
"""Share of the cells that start from a graph input although there is a cell before them."""


@dataclass(frozen=True)
class Ranges:
    """What is sampled.

    Attributes
    ----------
    cells
        Names of `CELLS`; all by default, each as often as its weight says.
    macs
        Multiply-accumulates of one network, about.
    largest
        Multiply-accumulates of one cell at most: larger ones are drawn again, up to `MOST_TRIES` times.
    """

    cells: tuple[str, ...] = tuple(CELLS)
    macs: float = MACS
    largest: float = 4.0e9

    def __post_init__(self) -> None:
        for name in self.cells:
            if name not in CELLS:
                raise InputError(unknown("cell", name, CELLS))
        if not self.cells or min(self.macs, self.largest) <= 0:
            raise InputError(f"ranges: {self}, expected cells and numbers above 0")


def sample_network(seed: int, number: int, ranges: Ranges | None = None, *, batch: int = 1) -> Any:
    """Network number `number` of a seed: the same onnx.ModelProto everywhere.

    Cells are added until the network has `Ranges.macs` multiply-accumulates for one sample of the batch, or, for a
    share of the networks, a part of them.
    """
    chosen = ranges or Ranges()
    rng = np.random.default_rng([seed, number])
    weights = np.array([CELLS[name].weight for name in chosen.cells])
    sketch = Sketch(f"sample-{seed}-{number}", OPSETS[int(rng.integers(len(OPSETS)))])
    part = SMALLEST ** float(rng.random()) if rng.random() < SMALL_SHARE else 1.0
    for _ in range(MOST_CELLS):
        name = chosen.cells[rng.choice(len(weights), p=weights / weights.sum())]
        _add(sketch, name, rng, batch, chosen.largest * part)
        if sketch.macs >= chosen.macs * part * batch:
            break
    sketch.finish()
    return sketch.model()


def _add(sketch: Sketch, name: str, rng: np.random.Generator, batch: int, largest: float) -> None:
    """Add a cell behind the one before, of a size below the limit: tried on a sheet of its own first."""
    build = CELLS[name].build
    if rng.random() < RESTART:
        sketch.finish()
    flow = sketch.flow
    size = flow.shape[2] if flow is not None and len(flow.shape) == 4 else None
    tried: list[tuple[float, int]] = []
    while len(tried) < MOST_TRIES and not (tried and tried[-1][0] <= largest * batch):
        seed = int(rng.integers(2**62))
        trial = Sketch("trial", sketch.opset)
        trial.flow = flow
        build(trial, Draw(np.random.default_rng(seed), batch, size))
        tried.append((trial.macs, seed))
    sketch.leave(build(sketch, Draw(np.random.default_rng(min(tried)[1]), batch, size)))
