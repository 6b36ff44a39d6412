"""A calibration as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from dnnplan.deploy.calibrate.report import CalibrationReport
from dnnplan.reports.tables import new_table
from dnnplan.reports.units import readable


def devices_table(report: CalibrationReport) -> Table:
    """Devices: what all networks take on each alone, and how much longer while the others work."""
    table = new_table("device", "cores", ">all networks alone", ">slow-down", ">share of its time")
    for d in report.devices:
        table.add_row(
            d.name,
            ",".join(map(str, d.cores)),
            readable(d.alone, "s"),
            f"{100 * d.slow_down:+.1f} %",
            f"{100 * d.share:.0f} %",
        )
    return table


def calibration_lines(report: CalibrationReport) -> Iterator[str]:
    """What was fitted, in sentences."""
    yield f"timed: {report.networks_from}; segments take {report.fit['scale']:.3f} x the sum of their layers"
    yield f"a call: {readable(report.fit['call'], 's')}; waking a worker: {readable(report.fit['wake'], 's')}"
    yield (
        f"a transfer: {readable(report.link_latency, 's')} and {readable(report.link_bandwidth, 'bytes/s')} "
        "(waking, a call, the copy, changes of layout)"
    )
    off = [100 * (value / report.measured - 1) for value in (report.predicted_before, report.predicted_after)]
    yield (
        f"the plan took {readable(report.measured, 's')} (A/A noise {100 * report.noise:.1f} %); predicted before "
        f"{readable(report.predicted_before, 's')} ({off[0]:+.1f} %), now {readable(report.predicted_after, 's')} "
        f"({off[1]:+.1f} %)"
    )
    if report.replanned is not None:
        gain = 1 - report.replanned / report.best_alone if report.best_alone > 0 else 0.0
        yield (
            f"new plan: {readable(report.replanned, 's')}; all networks on one device, one after the other: "
            f"{readable(report.best_alone, 's')}; predicted gain {100 * gain:.1f} %"
        )
