"""Microcontrollers: cycles for each multiply-accumulate, weights in external memory."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.analytic.record import DeviceModel, of_name
from dnnplan.costs.analytic.work import Batch, Work, batch_row, by_batch
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.fields import NonNegative, Positive


class Mcu(DeviceModel, tag="mcu", kw_only=False):
    """One core that computes b (macs c + other operations c') cycles, and fetches the weights of a layer once.

        t = compute + weight bytes / external bandwidth + overhead

    or, with overlap, the larger of the two + overhead.

    Parameters
    ----------
    clock
        Hz.
    cycles_per_mac
        c by operator and data type, ``*`` for all others: ``{"Conv": {"int8": 1, "*": 2}, "*": {"*": 4}}``. A layer
        with multiply-accumulates and no entry cannot run: infinite seconds.
    cycles_per_operation
        c', for each FLOP beside the multiply-accumulates.
    external_bandwidth
        Bytes/s of the memory that holds the weights; None: they are inside.
    overlap
        Whether weights are fetched while the layer computes.
    overhead
        Seconds a layer.
    """

    clock: Positive
    cycles_per_mac: dict[str, dict[str, Positive]]
    cycles_per_operation: NonNegative = 1
    external_bandwidth: Positive | None = None
    overlap: bool = False
    overhead: NonNegative = 0

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds, (L,) or (L, B)."""
        rates = [self._rate(op, dtype) for op, dtype in zip(work.ops, work.dtypes, strict=True)]
        busy = work.macs > 0
        cycles = np.where(busy, work.macs, 1.0) * np.where(busy, rates, 0.0)
        cycles = cycles + work.other_flops * self.cycles_per_operation
        compute = cycles[:, None] * batch_row(batch) / self.clock
        fetch = np.zeros_like(compute)
        if self.external_bandwidth is not None:
            fetch += (work.weight_bytes / self.external_bandwidth)[:, None]
        both = np.maximum(compute, fetch) if self.overlap else compute + fetch
        return by_batch(both + self.overhead, batch)

    def _rate(self, op: str, dtype: str) -> float:
        row = self.cycles_per_mac.get(op, self.cycles_per_mac.get("*", {}))
        return of_name(row, dtype, math.inf)
