"""`dnnplan bench`: run a suite of benchmarks into a store (in a source checkout)."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.bench_progress import shown
from dnnplan.cli.consoles import console, note
from dnnplan.instances.errors import InputError, MissingDependencyError

_SIZES = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def bench(
    *,
    suite: Annotated[str | None, typer.Argument(help="Name of the suite; without: list them.")] = None,
    store: Annotated[Path | None, typer.Option(help="SQLite file for the rows; made or continued.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Solves at once on this machine; default: 1.")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler, or `local`: start --jobs workers here."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0,1,2", help="Every case with each of them.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="The same, one at a time; repeatable.")] = None,
    limits: Annotated[
        str | None, typer.Option(metavar="10,60", help="Seconds a case; several: each. Default: the suite's.")
    ] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.0, help="The same, a single one.")] = None,
    objectives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="latency,energy", help="Each instead of the suite's; repeat it for weighted ones."
        ),
    ] = None,
    solvers: Annotated[str | None, typer.Option(metavar="A,B", help="These instead of the suite's.")] = None,
    workers: opt.Workers = None,
    memory_limit: Annotated[
        str | None, typer.Option(metavar="4GB", help="What a solve may hold before it is killed.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds after its limit until a solve is killed.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--again", help="Go on where a run ended, or run finished rows again.")
    ] = True,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD_STORE", help="Fail where rows are worse than in this store.")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Relative change that does not count.")] = 0.01,
) -> None:
    """Run what is missing of a suite; a run that was killed continues where it was."""
    _benchmarks()
    runner = importlib.import_module("benchmarks.runner")
    if suite is None:
        _list(runner)
        return
    at_once = jobs or 1
    threads = workers or max(1, opt.processors() // (1 if dask not in (None, "local") else at_once))
    sweep = importlib.import_module("benchmarks.sweep").Sweep(
        suite=suite,
        seeds=_seeds(seeds, seed),
        time_limits=(*numbers(limits, "--limits"), *(() if time_limit is None else (time_limit,))),
        objectives=split_objectives(objectives or ()),
        solvers=tuple(name.strip() for name in (solvers or "").split(",") if name.strip()),
        workers=threads,
        memory=None if memory_limit is None else size(memory_limit),
        grace=grace,
    )
    if dask is None and at_once * threads > opt.processors():
        note(
            f"{at_once} jobs of {threads} threads each share {opt.processors()} processors: times will suffer"
        )
    # Before hours of work: that the other store is one.
    earlier = None if compare is None else _earlier(compare, suite)
    path = store or Path("benchmarks/results") / f"{suite}.sqlite"
    out = console()
    with shown() as on_status:
        rows = runner.run_sweep(
            sweep,
            path,
            backend=_backend(dask, jobs, threads),
            again=not resume,
            on_row=lambda row: out.print(_line(row), soft_wrap=True),
            on_status=on_status,
        )
    note(f"{len(rows)} rows in {path}; a report: dnnplan report {path} --output report.html")
    broken = [row for row in rows if row.valid is False or row.status == "error"]
    if broken:
        note(f"{len(broken)} of them failed or broke a rule")
    worse = earlier is not None and _is_worse(rows, earlier, tolerance)
    if broken or worse:
        raise typer.Exit(1)


def numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Numbers between commas, none of them below 0."""
    found = []
    for word in filter(None, (part.strip() for part in (text or "").split(","))):
        try:
            value = float(word)
        except ValueError:
            raise InputError(f"{option}: {word!r} is not a number; expected for example 1,2,3") from None
        if not 0 <= value < float("inf"):
            raise InputError(f"{option}: {word} is out of range")
        found.append(value)
    return tuple(dict.fromkeys(found))


def _seeds(text: str | None, one_by_one: Sequence[int] | None) -> tuple[int, ...]:
    listed = numbers(text, "--seeds")
    if any(value != int(value) for value in listed):
        raise InputError(f"--seeds: {text!r}: seeds are whole numbers")
    return tuple(dict.fromkeys([*map(int, listed), *(one_by_one or ())])) or (0,)


def split_objectives(texts: Sequence[str]) -> tuple[str, ...]:
    """Objectives between commas; a text with weights is one objective.

    >>> split_objectives(["latency,energy", "latency=1,energy=0.2"])
    ('latency', 'energy', 'latency=1,energy=0.2')
    """
    parts = [part.strip() for text in texts for part in ([text] if "=" in text else text.split(","))]
    return tuple(dict.fromkeys(filter(None, parts)))


def size(text: str) -> int:
    """Bytes.

    >>> size("4GB"), size("512 MiB"), size("1.5g")
    (4000000000, 536870912, 1500000000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]i?)?b?\s*", text.lower())
    if not found or float(found[1]) == 0:
        raise InputError(f"{text!r} is not an amount of memory; expected for example 4GB or 512MiB")
    return int(float(found[1]) * _SIZES[found[2] or ""])


def _benchmarks() -> None:
    """Make the suites of the checkout importable: of the working directory, or of an editable install."""
    import dnnplan

    roots = [Path.cwd(), Path(dnnplan.__file__).resolve().parents[2]]
    for root in roots:
        if (root / "benchmarks" / "runner.py").is_file() and (root / "instances").is_dir():
            if str(root) not in sys.path:
                sys.path.insert(0, str(root))
            return
    raise MissingDependencyError(
        "benchmark suites are not part of the package: run `dnnplan bench` from the root of a source checkout"
    )


def _backend(dask: str | None, jobs: int | None, threads: int) -> Any:
    if dask is None:
        return importlib.import_module("benchmarks.executors").local_backend(jobs or 1)
    cluster = importlib.import_module("benchmarks.executors.dask_cluster")
    return cluster.dask_backend(dask, jobs=jobs, cores=threads)


def _earlier(store: Path, suite: str) -> list[Any]:
    found: list[Any] = importlib.import_module("benchmarks.regression").rows_of(store, suite)
    return found


def _is_worse(rows: Sequence[Any], earlier: Sequence[Any], tolerance: float) -> bool:
    regression = importlib.import_module("benchmarks.regression")
    found = regression.compare(rows, earlier, tolerance=tolerance)
    console().print(regression.table(found))
    note(found.summary())
    return bool(found.worse)


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
    what = " ".join(filter(None, (row.instance, row.solver, row.objective)))
    known = f"  bound {bound}  gap {percent(row.gap)}" if row.kind == "solve" else ""
    verdict = "" if row.valid is not False else "  BREAKS RULES"
    why = f"  {row.stop_reason}: {row.message}" if row.status == "error" else ""
    return f"{what:<48} {row.status:<10} {value:>12}{known}  {row.seconds:.2f} s{verdict}{why}"
