"""`make demo-run`: two networks from ONNX files through plan, split, run, calibrate; predicted against measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.demo import WIDTH, command
from benchmarks.two_cores import Planned, assumed_instance, calibrated, materialised, planned
from dnnplan.deploy.calibrate.text import calibration_lines
from dnnplan.deploy.run import Outcome, run_folder
from dnnplan.deploy.run.priority import ahead_of_others
from dnnplan.deploy.run.text import run_lines, segments_table
from dnnplan.instances.files import write_instance, write_plan, write_text
from dnnplan.reports.gantt_text import gantt_text
from dnnplan.reports.schedule import make_schedule
from dnnplan.reports.tables import new_table
from dnnplan.reports.trace import trace_text
from dnnplan.reports.units import readable

NETWORKS = ("inception-v1", "squeezenet")
REPEATS = 40
TIMING = 15.0
"""Seconds of timing networks on the cores."""
SOLVING = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if the parts compute what the networks do."""
    return command(run, "benchmarks.demo_run", __doc__, "seconds for planning", arguments)


def run(folder: Path, seconds: float, out: Console) -> int:
    """Plan, split, run, calibrate, and once more; files go to `folder`."""
    out.print(f"1. Networks: {', '.join(NETWORKS)}, with seeded weights")
    files = materialised(NETWORKS, folder / "models")
    out.print("2. Planning on two cores whose speed is assumed, and splitting into parts:")
    first = planned(assumed_instance(files), files, folder / "first", seconds=seconds / 4)
    out.print(f"   {_size(first)}")
    out.print("3. Running the parts:")
    before = _run(first, files)
    _print_run(out, before)
    out.print(f"4. Calibrating: networks timed for about {TIMING:.0f} s, then planned again")
    found, second = calibrated(first, files, folder / "second", seconds=TIMING, solving=seconds)
    for line in calibration_lines(found.report):
        out.print(f"   {line}", soft_wrap=True)
    out.print(f"   {_size(second)}")
    out.print("5. Running the new plan:")
    after = _run(second, files)
    out.print(segments_table(after.report))
    _print_run(out, after)
    _print_table(out, before, after, found.report.best_alone)
    _write(folder, second, after)
    out.print(f"files in {folder}: first/, second/, calibrated.json, plan.json, trace.json")
    return 0 if before.report.outputs_equal and after.report.outputs_equal else 1


def _run(plan: Planned, files: Mapping[str, Path]) -> Outcome:
    with ahead_of_others(required=False):
        return run_folder(plan.folder, plan.places, repeats=REPEATS, models=files)


def _size(plan: Planned) -> str:
    manifest = plan.folder.manifest
    return (
        f"{len(manifest.segments)} parts, {len(manifest.transfers)} transfers, "
        f"predicted {readable(plan.predicted, 's')}"
    )


def _print_run(out: Console, outcome: Outcome) -> None:
    if outcome.evaluation is not None:
        out.print(gantt_text(make_schedule(outcome.evaluation), width=min(out.width, WIDTH)))
    for line in run_lines(outcome.report):
        out.print(line, soft_wrap=True)
    for warning in outcome.report.warnings:
        out.print(f"warning: {warning}", soft_wrap=True)


def _print_table(out: Console, before: Outcome, after: Outcome, alone: float) -> None:
    table = new_table("plan", ">predicted", ">measured", ">off by", ">A/A noise", "outputs")
    for name, outcome in (("assumed speeds", before), ("calibrated", after)):
        report = outcome.report
        table.add_row(
            name,
            readable(report.predicted, "s"),
            readable(report.measured, "s"),
            f"{100 * report.error:+.1f} %",
            f"{100 * report.latency.noise:.1f} %",
            "equal" if report.outputs_equal else "DIFFER",
        )
    table.add_row("one core (timed)", "", readable(alone, "s"), "", "", "")
    out.print(table)


def _write(folder: Path, plan: Planned, outcome: Outcome) -> None:
    write_instance(plan.instance, folder / "calibrated.json", overwrite=True)
    write_plan(plan.plan, folder / "plan.json", overwrite=True)
    if outcome.evaluation is not None:
        write_text(trace_text(outcome.evaluation), folder / "trace.json", overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
