"""A run as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from dnnplan.deploy.run.report import RunReport
from dnnplan.reports.tables import new_table
from dnnplan.reports.units import readable

MOST_ROWS = 40
"""Segments that are listed; the rest are those that take least."""


def segments_table(report: RunReport) -> Table:
    """Segments in the order of their starts, predicted and measured."""
    table = new_table(
        "segment", "device", ">predicted", ">measured", ">10 to 90 %", ">off by", ">starts", ">predicted"
    )
    chosen = sorted(report.segments, key=lambda s: -s.measured)[:MOST_ROWS]
    for s in sorted(chosen, key=lambda s: s.measured_start):
        table.add_row(
            s.name,
            s.device,
            readable(s.predicted, "s"),
            readable(s.measured, "s"),
            f"{readable(s.low, 's')} to {readable(s.high, 's')}",
            _off(s.predicted, s.measured),
            readable(s.measured_start, "s"),
            readable(s.predicted_start, "s"),
        )
    if (hidden := len(report.segments) - MOST_ROWS) > 0:
        table.add_row(f"... and {hidden} that take less", *[""] * 7)
    return table


def devices_table(report: RunReport) -> Table:
    """Devices with their cores, and how busy they were."""
    table = new_table("device", "cores", "provider", ">busy", ">share")
    for d in report.devices:
        cores = ",".join(map(str, d.cores))
        table.add_row(d.name, cores, d.provider, readable(d.busy, "s"), f"{100 * d.share:.0f} %")
    return table


def run_lines(report: RunReport) -> Iterator[str]:
    """What was found, in sentences."""
    if report.transfers:
        total = sum(t.measured for t in report.transfers)
        size = sum(t.bytes for t in report.transfers)
        yield f"copies: {len(report.transfers)}, {readable(size, 'bytes')} in {readable(total, 's')}"
    spread = f"10 to 90 %: {readable(report.latency.low, 's')} to {readable(report.latency.high, 's')}"
    yield (
        f"latency: {readable(report.measured, 's')} measured (median of {report.repeats}; {spread}; "
        f"A/A noise {100 * report.latency.noise:.1f} %), {readable(report.predicted, 's')} predicted "
        f"({_off(report.predicted, report.measured)})"
    )
    equal = "equal those of the" if report.outputs_equal else "DIFFER from those of the"
    exact = ", bit by bit" if report.difference == 0 else f", largest difference {report.difference:.2g}"
    yield f"outputs {equal} {report.reference}{exact if report.difference < 1e300 else ''}"


def _off(predicted: float, measured: float) -> str:
    return f"{100 * (predicted / measured - 1):+.1f} %" if measured > 0 else "-"
