"""`dnnplan run`: execute a split plan, and compare it with its prediction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import chart_width, console, error_console, note, print_json
from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.deploy.run import Folder as OpenFolder
    from dnnplan.deploy.run import Outcome

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `dnnplan split` wrote.")]
Cores = Annotated[
    list[str] | None,
    typer.Option(
        "--cores", metavar="DEVICE=0,1", help="Cores of a device; default: an even split. Repeatable."
    ),
]
Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", metavar="DEVICE=NAME", help="Execution provider of a device. Repeatable."),
]
ShareCores = Annotated[bool, typer.Option("--share-cores", help="Devices may have cores in common.")]
Models = Annotated[
    list[Path] | None,
    typer.Option("--models", metavar="FILE|FOLDER", help="Where the original ONNX files are. Repeatable."),
]
RealTime = Annotated[
    bool,
    typer.Option(
        "--real-time", help="Go before other processes (Linux, as root), on a machine that is not idle."
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Seconds after which a pass, or an original model, is given up.")
]


def run(
    *,
    folder: Folder,
    repeats: Annotated[int, typer.Option(min=1, help="Passes that are measured.")] = 50,
    cores: Cores = None,
    provider: Providers = None,
    share_cores: ShareCores = False,
    models: Models = None,
    inputs: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Inputs by name; others are made up.")
    ] = None,
    timeout: Timeout = 60.0,
    real_time: RealTime = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write the measured pass as a trace for ui.perfetto.dev, .json.")
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Execute the parts of a split plan with onnxruntime, one worker a device, and compare with the prediction.

    Where there is no accelerator, sets of cores stand for the devices.

    Exit codes: 0 done, 1 a part failed or outputs differ, 2 bad input, 130 interrupted.
    """
    from dnnplan.costs.profile.setting import available_cores
    from dnnplan.deploy.run import open_folder, parse_cores, run_folder, seats
    from dnnplan.deploy.run.inputs import read_inputs
    from dnnplan.deploy.run.priority import ahead_of_others

    opt.require_free(trace, force=force, suffixes=(".json",))
    opened = open_folder(folder)
    if trace is not None and opened.evaluation is None:
        raise InputError("--trace needs instance.json and plan.json beside the manifest", source=str(folder))
    names = assignments(provider, "--provider", "DEVICE=NAME")
    devices = opened.manifest.devices
    # A first look at a plan for a larger machine is worth a warning, not a refusal.
    shared = share_cores or (not cores and len(available_cores()) < len(devices))
    places = seats(devices, parse_cores(cores), names, share=shared)
    given = None if inputs is None else read_inputs(inputs)
    found_models = originals(opened, models)
    with exits_of_runs(), ahead_of_others(real_time):
        outcome = run_folder(
            opened,
            places,
            repeats=repeats,
            inputs=given,
            models=found_models,
            timeout=timeout,
            shared=shared,
            progress=note,
        )
    if trace is not None:
        _write_trace(outcome, trace, force=force)
    if json:
        print_json(msgspec.to_builtins(outcome.report))
    else:
        print_outcome(outcome)
    if not outcome.report.outputs_equal:
        raise typer.Exit(exits.FAILED)


@contextmanager
def exits_of_runs() -> Iterator[None]:
    """A part that fails, or hangs, is a failure of what is run, and not of its input: exit code 1."""
    from dnnplan.deploy.run import RunError

    try:
        yield
    except RunError as error:
        error_console().print(f"error: {error}", markup=False, highlight=False, soft_wrap=True, style="red")
        raise typer.Exit(exits.FAILED) from error


def print_outcome(outcome: Outcome) -> None:
    """Tables, a chart of the median pass, what was found, and warnings."""
    from dnnplan.deploy.run.text import devices_table, run_lines, segments_table
    from dnnplan.reports.gantt_text import gantt_text
    from dnnplan.reports.schedule import make_schedule

    out, report = console(), outcome.report
    out.print(segments_table(report))
    out.print(devices_table(report))
    if outcome.evaluation is not None:
        out.print()
        out.print(gantt_text(make_schedule(outcome.evaluation), width=chart_width(out)), soft_wrap=True)
    for line in run_lines(report):
        out.print(line, soft_wrap=True)
    for warning in report.warnings:
        note(f"warning: {warning}")


def _write_trace(outcome: Outcome, path: Path, *, force: bool) -> None:
    from dnnplan.instances.files import write_text
    from dnnplan.reports.trace import trace_text

    assert outcome.evaluation is not None  # `run` has asked for it
    write_text(trace_text(outcome.evaluation), path, overwrite=force)
    note(f"trace: {path}")


def originals(opened: OpenFolder, given: list[Path] | None) -> dict[str, Path] | None:
    """The original ONNX file of each model, as given or as the plan carries them; None where nobody knows them.

    Raises
    ------
    InputError
        Files are given, but not of every model.
    """
    from dnnplan.deploy.sources import model_files
    from dnnplan.instances import Instance, Model

    # Those of the manifest: after a task graph was applied the instance has one network made of several.
    models = tuple(Model(name=entry.name, source=entry.file) for entry in opened.manifest.models)
    try:
        return model_files(opened.plan, Instance(models=models), given or ())
    except InputError:
        if given:
            raise
        return None
