"""Rooflines: the slower of computing and moving, plain and refined by unrolling."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dnnplan.costs.analytic.record import Checked, DeviceModel, of_name
from dnnplan.costs.analytic.work import Batch, Work, batch_row, by_batch, seconds_to_move
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.errors import Problem
from dnnplan.instances.fields import Fraction, NonNegative, Positive, PositiveCount, PositiveFraction


class Roofline(DeviceModel, tag="roofline", kw_only=False):
    """t = max(b F / (P eff), (W + b (I + O)) / B) + overhead, as docs/cost-model.md, section 2.

    Parameters
    ----------
    peak
        P, FLOP/s.
    bandwidth
        B, bytes/s; None: moving takes no time.
    overhead
        Seconds a layer.
    efficiency
        Share of the peak that an operator reaches, by its name; ``*``: all others; absent: 1.
    """

    peak: Positive
    bandwidth: Positive | None = None
    overhead: NonNegative = 0
    efficiency: dict[str, PositiveFraction] = {}

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        share = np.array([of_name(self.efficiency, op, 1.0) for op in work.ops])
        return _roofline(work, batch, self.peak * share[:, None], self.bandwidth, self.overhead)


Dimension = Literal["filters", "channels", "height", "width", "groups", "m", "k", "n"]


class Unroll(Checked, kw_only=False):
    """A loop that the hardware runs `parallelism` iterations of at once.

    Parameters
    ----------
    dimension
        ``filters`` and ``channels`` of one group, ``height`` and ``width`` of the output map, ``groups``; or m, k, n of
        the product (n is ``filters``; m of a whole batch).
    parallelism
        p, iterations at once.
    alpha
        How much of the loss counts: 1 all of it, 0 none.
    """

    dimension: Dimension
    parallelism: PositiveCount
    alpha: Fraction = 1


class RefinedRoofline(DeviceModel, tag="refined-roofline", kw_only=False):
    """A roofline whose peak falls where loops do not fill the units that they are unrolled on.

    For a loop of u iterations, p at once: eff = u / (ceil(u / p) p), softened eff' = 1 / ((1 - a) + a / eff); the peak
    is P times the product of all eff'. Layers of unknown shape, and what is no product, have eff' = 1.

    Source: Wess et al., ANNETTE, IEEE Access 9 (2021), doi 10.1109/ACCESS.2020.3047259.
    """

    peak: Positive
    bandwidth: Positive | None = None
    overhead: NonNegative = 0
    unroll: tuple[Unroll, ...] = ()
    efficiency: dict[str, PositiveFraction] = {}

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        share = np.array([of_name(self.efficiency, op, 1.0) for op in work.ops])
        peak = self.peak * share[:, None] * self._filled(work, batch_row(batch))
        return _roofline(work, batch, peak, self.bandwidth, self.overhead)

    def unrolling_efficiency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Product of all eff', in (0, 1], (L,) or (L, B)."""
        return by_batch(self._filled(work, batch_row(batch)), batch)

    def contradictions(self) -> tuple[Problem, ...]:
        """A dimension that is unrolled twice."""
        names = [loop.dimension for loop in self.unroll]
        return tuple(
            Problem(f"unroll[{i}].dimension", f'"{name}" is unrolled already, expected each dimension once')
            for i, name in enumerate(names)
            if name in names[:i]
        )

    def _filled(self, work: Work, batch: FloatArray) -> FloatArray:
        share = np.ones((len(work), batch.shape[1]))
        for loop in self.unroll:
            turns = _iterations(work, loop.dimension, batch)
            hard = turns / (np.ceil(turns / loop.parallelism) * loop.parallelism)
            soft = 1.0 / ((1.0 - loop.alpha) + loop.alpha / hard)
            share = share * np.where(np.isfinite(soft), soft, 1.0)
        return share


def _iterations(work: Work, dimension: Dimension, batch: FloatArray) -> FloatArray:
    """Iterations (L, 1) or (L, B) of a loop; NaN where they are not known."""
    if dimension == "m":
        return work.m[:, None] * np.where(work.shared[:, None], batch, 1.0)
    turns: FloatArray = {
        "filters": work.n,
        "n": work.n,
        "channels": work.k / work.taps,
        "k": work.k,
        "height": work.m / work.width,
        "width": work.width,
        "groups": np.where(work.is_product, work.groups, np.nan),
    }[dimension]
    return turns[:, None]


def _roofline(
    work: Work, batch: Batch, peak: FloatArray, bandwidth: float | None, overhead: float
) -> FloatArray:
    sizes = batch_row(batch)
    compute = work.flops[:, None] * sizes / peak
    return by_batch(np.maximum(compute, seconds_to_move(work, sizes, bandwidth)) + overhead, batch)


ANNETTE_DNNDK = RefinedRoofline(
    peak=1173e9,
    bandwidth=15.1e9,
    unroll=(
        Unroll("filters", 16, alpha=0.881),
        Unroll("channels", 16),
        Unroll("height", 8, alpha=0.486),
    ),
)
"""Xilinx DPU on a ZCU102, as fitted by the authors of ANNETTE; their networks are of 8 bit."""

ANNETTE_NCS2 = RefinedRoofline(peak=319.5e9, bandwidth=5.68e9)
"""Intel Neural Compute Stick 2, peak and bandwidth as fitted by the authors of ANNETTE."""
