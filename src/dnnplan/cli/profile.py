"""`dnnplan profile`: how long networks, their kernels and sampled operators take on this machine."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.instances.errors import InputError


def profile(
    *,
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="[MODEL...]", help="ONNX files to measure.")
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the table; measurements it has are not repeated."),
    ] = Path("profile"),
    threads: Annotated[str, typer.Option(metavar="N,...", help="Threads of the runtime.")] = "1",
    batch: Annotated[str, typer.Option(metavar="N,...", help="Samples that run together.")] = "1",
    utilisation: Annotated[
        str,
        typer.Option(metavar="U,...", help="Share of the time that a background load keeps the cores busy."),
    ] = "0",
    sample: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Measure sampled operators for so long, after the models."),
    ] = 0.0,
    cells: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Cells to sample from; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    seconds: Annotated[
        float, typer.Option(help="Wall-clock time for the runs of one model and setting.")
    ] = 1.0,
    json: opt.Json = False,
) -> None:
    """Measure ONNX networks with onnxruntime on the CPU, whole and by operator, into a table of Parquet files.

    A run that was stopped goes on where it was when it is started again. `dnnplan train` learns from the table.
    Exit codes: 0 done, 1 some measurements could not be made, 2 bad input.
    """
    from dnnplan.costs.profile.api import ProfileSummary, profile_networks, profile_samples
    from dnnplan.costs.profile.sampling import Ranges
    from dnnplan.costs.profile.setting import Effort, Setting
    from dnnplan.costs.profile.store import ProfileTable

    if not models and sample <= 0:
        raise InputError("nothing to measure: name ONNX files, or --sample SECONDS")
    settings = [
        Setting(int(t), int(b), u)
        for t, b, u in itertools.product(
            _numbers("--threads", threads, whole=True),
            _numbers("--batch", batch, whole=True),
            _numbers("--utilisation", utilisation),
        )
    ]
    table, parts = ProfileTable(output), []
    if models:
        effort = Effort(seconds=seconds)
        parts.append(profile_networks(models, table, settings, effort=effort, progress=note))
    if sample > 0:
        ranges = Ranges(cells=tuple(cells.split(","))) if cells else None
        parts.append(
            profile_samples(table, settings, seconds=sample, seed=seed, ranges=ranges, progress=note)
        )
    whole = ProfileSummary(
        sum(part.measured for part in parts),
        sum(part.kept for part in parts),
        tuple(text for part in parts for text in part.failed),
    )
    columns = table.read()
    if json:
        print_json(
            {
                "table": str(output),
                "measured": whole.measured,
                "kept": whole.kept,
                "failed": list(whole.failed),
                "rows": len(columns["key"]),
            }
        )
    else:
        _print_networks(columns, [path.stem for path in models or []])
        console().print(
            f"{whole.measured} measured, {whole.kept} there already; {len(columns['key'])} rows in {output}"
        )
    if whole.failed:
        raise typer.Exit(1)


def _numbers(option: str, text: str, *, whole: bool = False) -> list[float]:
    """The numbers of a list such as 1,2,4."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or (whole and any(number != int(number) for number in found if abs(number) < 1e9)):
        wanted = "whole numbers" if whole else "numbers"
        raise InputError(f"{option} {text!r}, expected {wanted} with commas between them, such as 1,2")
    if any(not abs(number) < 1e9 for number in found):
        raise InputError(f"{option} {text!r}: a number is too large")
    return found


def _print_networks(columns: dict[str, list[Any]], names: list[str]) -> None:
    from dnnplan.reports.tables import new_table

    rows = [
        at
        for at, scope in enumerate(columns["scope"])
        if scope == "network" and columns["network"][at] in names
    ]
    if not rows:
        return
    table = new_table(
        "network", ">threads", ">batch", ">utilisation", ">ms", ">10 %", ">90 %", ">kernels", ">runs"
    )
    for at in sorted(
        rows, key=lambda at: tuple(str(columns[c][at]) for c in ("network", "threads", "batch"))
    ):
        times = [f"{1e3 * columns[name][at]:.3f}" for name in ("seconds", "low", "high")]
        setting = [str(columns[name][at]) for name in ("threads", "batch", "utilisation")]
        table.add_row(
            str(columns["network"][at]),
            *setting,
            *times,
            str(columns["kernels"][at]),
            str(columns["runs"][at]),
        )
    console().print(table)
