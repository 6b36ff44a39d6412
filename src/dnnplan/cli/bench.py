"""`dnnplan bench`: run a suite of benchmarks into a store (in a source checkout)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note
from dnnplan.instances.errors import MissingDependencyError


def bench(
    *,
    suite: Annotated[str | None, typer.Argument(help="Name of the suite; without: list them.")] = None,
    store: Annotated[Path | None, typer.Option(help="SQLite file for the rows; made or continued.")] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds a case; default: the suite's.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed; repeat it for several.")] = None,
    workers: opt.Workers = None,
    again: Annotated[bool, typer.Option("--again", help="Run finished rows again.")] = False,
) -> None:
    """Run what is missing of a suite; a run that was killed continues where it was."""
    runner = _runner()
    if suite is None:
        _list(runner)
        return
    out = console()
    path = store or Path("benchmarks/results") / f"{suite}.sqlite"
    rows = runner.run_suite(
        suite,
        path,
        time_limit=time_limit,
        seeds=tuple(seed or (0,)),
        workers=workers or opt.processors(),
        again=again,
        on_row=lambda row: out.print(_line(row), soft_wrap=True),
    )
    note(f"{len(rows)} rows in {path}; a report: python -m benchmarks.report {path}")
    broken = [row for row in rows if row.valid is False or row.status == "error"]
    if broken:
        note(f"{len(broken)} of them failed or broke a rule")
        raise typer.Exit(1)


def _runner() -> ModuleType:
    """The runner of the checkout: of the working directory, or of an editable install."""
    import dnnplan

    roots = [Path.cwd(), Path(dnnplan.__file__).resolve().parents[2]]
    for root in roots:
        if (root / "benchmarks" / "runner.py").is_file() and (root / "instances").is_dir():
            if str(root) not in sys.path:
                sys.path.insert(0, str(root))
            return importlib.import_module("benchmarks.runner")
    raise MissingDependencyError(
        "benchmark suites are not part of the package: run `dnnplan bench` from the root of a source checkout"
    )


def _list(runner: ModuleType) -> None:
    from dnnplan.reports.tables import new_table

    table = new_table("suite", "what")
    for name, what in runner.list_suites().items():
        table.add_row(name, what)
    console().print(table)


def _line(row: Any) -> str:
    """One finished row."""
    from dnnplan.reports.units import percent, readable

    value, bound = readable(row.value, row.unit), readable(row.bound, row.unit)
    what = f"{row.instance} {row.solver}".rstrip()
    known = f"  bound {bound}  gap {percent(row.gap)}" if row.kind == "solve" else ""
    verdict = "" if row.valid is not False else "  BREAKS RULES"
    return f"{what:<48} {row.status:<10} {value:>12}{known}  {row.seconds:.2f} s{verdict}"
