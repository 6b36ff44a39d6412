"""`dnnplan report`: a store of runs, a plan or a front as one page that works offline, as Markdown, or as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import note
from dnnplan.cli.plans import load_instance, read_any_plan
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.reports.html.document import Document
    from dnnplan.reports.runs import Row

Kind = Literal["html", "md", "csv"]
SUFFIXES: dict[str, Kind] = {".html": "html", ".htm": "html", ".md": "md", ".csv": "csv"}
STORES = (".sqlite", ".sqlite3", ".db")
"""What names of stores end in; a file that is there is known by its content."""
_SQLITE = b"SQLite format 3\x00"


def report(
    *,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="STORE|PLAN...",
            help="Store of `dnnplan bench` (or several), plan, result of `solve --json`, or front of --pareto.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .html, .md or .csv.", show_default=False)
    ],
    to: Annotated[
        Literal["html", "md", "csv"] | None,
        typer.Option("--to", help="What to write; default: by the suffix."),
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only the rows of one suite of a store.")] = None,
    instance: opt.InstanceName = None,
    platform: opt.PlatformName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    conditions: opt.Conditions = None,
    force: opt.Force = False,
) -> None:
    """Write a report: summary, tables with confidence intervals, charts that zoom; one file, works offline."""
    kind = _kind(output, to)
    opt.require_free(output, force=force)
    _require_stores(files)
    if all(map(_is_store, files)):
        _write_store(files, output, kind, suite, force=force)
        return
    if len(files) > 1:
        raise InputError(
            f"report takes several stores or one plan, got {len(files)} files: {', '.join(files)}"
        )
    if suite is not None:
        raise InputError(f"--suite is about stores; {files[0]} is not one")
    options = {"format": format, "select": select, **opt.parse_options(option)}
    reading = {"dims": opt.parse_dims(dim), "options": options, "changes": set_, "conditions": conditions}
    _write(_plan_document(files[0], instance, platform, reading), output, kind, force=force)


def _kind(output: Path, to: Kind | None) -> Kind:
    """What to write: as asked, else as the suffix says."""
    found = to or SUFFIXES.get(output.suffix.lower())
    if found is None:
        raise InputError(
            f"{output}: expected a name that ends in .html, .md or .csv, or --to html, md or csv"
        )
    return found


def _is_store(name: str) -> bool:
    """Whether a file is an SQLite file; whether that is a store is found when it is read."""
    if not Path(name).is_file():
        return False
    with Path(name).open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _require_stores(files: Sequence[str]) -> None:
    """Refuse names of stores that are not there: as plans they would be refused in other words."""
    for name in files:
        if Path(name).suffix.lower() in STORES and not Path(name).exists():
            raise InputError(f"{name}: no such file; a store is written by dnnplan bench SUITE --store FILE")


def _write_store(files: Sequence[str], output: Path, kind: Kind, suite: str | None, *, force: bool) -> None:
    from dnnplan.reports.html.store_document import rows_of_suite, store_document

    name = ", ".join(Path(file).name for file in files)
    rows = rows_of_suite([row for file in files for row in _rows(file)], name, suite)
    if kind == "csv":
        from dnnplan.reports.csv_text import rows_csv

        _save(rows_csv(rows), output, force=force)
    else:
        _write(store_document(rows, name=name), output, kind, force=force)


def _rows(name: str) -> list[Row]:
    from dnnplan.reports.runs import Store

    with Store(name, read_only=True) as store:
        return store.rows()


def _plan_document(
    name: str, instance: list[str] | None, platform: str | None, reading: dict[str, Any]
) -> Document:
    from dnnplan.reports.html.front_document import front_document, is_front
    from dnnplan.reports.html.plan_document import plan_document

    try:
        plan, result = read_any_plan(name)
    except InputError:
        tree = _json(name)
        if not is_front(tree):
            raise
        return front_document(tree, name=Path(name).name)
    whole = load_instance(instance, platform, name, carried=plan, **reading)
    return plan_document(whole, plan, result, name=Path(name).name)


def _json(name: str) -> Any:
    """The JSON value in a file; None: it is none."""
    from dnnplan.instances.files import read_bytes
    from dnnplan.instances.json_text import parse_json

    if name == "-":
        return None
    try:
        data, _, label = read_bytes(name)
        return parse_json(data, label)
    except InputError:
        return None


def _write(document: Document, output: Path, kind: Kind, *, force: bool) -> None:
    if kind == "html":
        from dnnplan.reports.html.page import page

        text = page(document)
    elif kind == "md":
        from dnnplan.reports.markdown import markdown

        text = markdown(document)
    else:
        from dnnplan.reports.csv_text import numbers_csv

        text = numbers_csv(document)
    _save(text, output, force=force)


def _save(text: str, output: Path, *, force: bool) -> None:
    from dnnplan.instances.files import write_text

    write_text(text, output, overwrite=force)
    note(f"report: {output} ({len(text.encode()) / 1e6:.1f} MB)")
