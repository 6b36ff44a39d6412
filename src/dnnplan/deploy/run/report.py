"""What a run of a manifest found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnplan.deploy.run.executor import Pass
from dnnplan.instances.fields import Record

LOW, HIGH = 0.1, 0.9


class SegmentTimes(Record, omit_defaults=False, kw_only=True):
    """A segment: when it is predicted to run and when it ran (medians), seconds from the begin of a pass.

    Parameters
    ----------
    predicted, measured
        Seconds from its start to its end. Where the platform does not overlap computing and moving, it starts when its
        device is free and what it waits for has ended, and waking up and copies are part of it.
    low, high
        Quantiles (10 %, 90 %) of `measured` over the passes.
    """

    name: str
    device: str
    predicted: float
    predicted_start: float
    measured: float
    measured_start: float
    low: float
    high: float


class TransferTimes(Record, omit_defaults=False, kw_only=True):
    """A tensor that is copied to another device; `predicted` and `measured` (median) in seconds."""

    value: str
    source: str
    target: str
    bytes: int
    predicted: float | None
    measured: float


class DeviceTimes(Record, omit_defaults=False, kw_only=True):
    """A device: where it ran, the median of the seconds that it was busy, and their share of a pass."""

    name: str
    cores: tuple[int, ...]
    provider: str
    busy: float
    share: float


class Quantiles(Record, omit_defaults=False, kw_only=True):
    """Of the latency of the passes, seconds.

    `noise` is what two series of the same passes, taken in turns, differ by: |median / median - 1|.
    """

    low: float
    median: float
    high: float
    noise: float


class RunReport(Record, omit_defaults=False, kw_only=True):
    """A manifest executed, against its prediction.

    Parameters
    ----------
    predicted, measured
        Seconds of one pass from the begin to the end of the last segment; `measured` is the median.
    outputs_equal
        Whether the outputs are those of `reference`, bit by bit or within `tolerance`.
    difference
        Largest difference of an output from the reference, relative to the largest number of that output.
    reference
        What the outputs were compared with.
    """

    name: str
    predicted: float
    measured: float
    outputs_equal: bool
    difference: float
    tolerance: float
    reference: str
    repeats: int
    latency: Quantiles
    segments: tuple[SegmentTimes, ...]
    transfers: tuple[TransferTimes, ...]
    devices: tuple[DeviceTimes, ...]
    warnings: tuple[str, ...]

    @property
    def error(self) -> float:
        """How far the prediction is off, relative to what was measured."""
        return self.predicted / self.measured - 1 if self.measured > 0 else 0.0


def quantiles(latencies: Sequence[float]) -> Quantiles:
    """Quantiles of latencies in the order in which they were measured."""
    low, median, high = np.quantile(latencies, [LOW, 0.5, HIGH]).tolist()
    return Quantiles(low=low, median=median, high=high, noise=halves_apart(latencies))


def halves_apart(latencies: Sequence[float]) -> float:
    """What two series of the same passes differ by: every second pass against the others.

    >>> halves_apart([1.0, 1.5, 1.0, 1.5])
    0.5
    """
    if len(latencies) < 2:
        return 0.0
    one, two = float(np.median(latencies[::2])), float(np.median(latencies[1::2]))
    return max(one, two) / min(one, two) - 1 if min(one, two) > 0 else 0.0


def median_pass(passes: Sequence[Pass]) -> Pass:
    """The pass whose latency is the (lower) median."""
    return sorted(passes, key=lambda one: one.latency)[(len(passes) - 1) // 2]
