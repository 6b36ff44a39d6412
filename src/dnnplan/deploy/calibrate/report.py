"""What a calibration found."""

from __future__ import annotations

from typing import Any

from dnnplan.instances import Instance, Plan
from dnnplan.instances.fields import Record


class NetworkTimes(Record, omit_defaults=False, kw_only=True):
    """A network (or part) on a device: seconds of a run with the other devices idle, and busy."""

    network: str
    device: str
    alone: float
    together: float


class DeviceFit(Record, omit_defaults=False, kw_only=True):
    """A device: its cores and provider, and how much longer layers take while the others are busy.

    Parameters
    ----------
    slow_down
        Relative to alone, over all layers; 0.1: a tenth longer.
    share
        Part of the time in which it works that others work too: what the slow-down is weighted with.
    alone
        Seconds of all jobs, one after the other, on it alone.
    """

    name: str
    cores: tuple[int, ...]
    provider: str
    slow_down: float
    share: float
    alone: float


class CalibrationReport(Record, omit_defaults=False, kw_only=True):
    """What was fitted, and how well it fits.

    Parameters
    ----------
    measured, noise
        Latency of the plan as it ran, seconds, and the A/A noise of its passes.
    predicted_before, predicted_after
        What the cost model says of the same plan, before and after.
    fit
        What was fitted, as `Fit` names it; seconds, and seconds a byte.
    link_latency, link_bandwidth
        Of the links between devices; seconds, bytes/s.
    networks_from
        What was timed: original models, or the parts.
    replanned
        Latency of the new plan as predicted, seconds; None: not asked for.
    best_alone
        Seconds of all jobs on the device that is fastest alone, of those that can run all layers.
    """

    name: str
    measured: float
    noise: float
    predicted_before: float
    predicted_after: float
    fit: dict[str, Any]
    link_latency: float
    link_bandwidth: float
    networks_from: str
    devices: tuple[DeviceFit, ...]
    networks: tuple[NetworkTimes, ...]
    best_alone: float
    replanned: float | None
    warnings: tuple[str, ...]


class Calibration(Record, omit_defaults=False, kw_only=True):
    """A calibrated instance, the new plan (if asked for), and the report."""

    report: CalibrationReport
    instance: Instance
    plan: Plan | None = None
