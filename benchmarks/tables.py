"""Rows as tables: on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent, readable

if TYPE_CHECKING:
    from rich.table import Table

Column = tuple[str, Callable[[Row], str]]
MEBIBYTE = 2**20


COLUMNS: tuple[Column, ...] = (
    ("instance", lambda r: r.instance),
    ("layers", lambda r: str(r.layers)),
    ("solver", lambda r: r.solver),
    ("seed", lambda r: str(r.seed)),
    ("limit", lambda r: readable(r.time_limit, "s")),
    ("status", lambda r: r.status),
    ("value", lambda r: readable(r.value, r.unit)),
    ("bound", lambda r: readable(r.bound, r.unit)),
    ("gap", lambda r: percent(r.gap)),
    ("seconds", lambda r: f"{r.seconds:.2f}"),
    ("MiB", lambda r: "" if r.peak_memory is None else f"{r.peak_memory / MEBIBYTE:.0f}"),
    ("check", lambda r: {None: "", True: "valid", False: "BROKEN"}[r.valid]),
)
TIMING_COLUMNS: tuple[Column, ...] = (
    ("timing", lambda r: r.instance),
    ("median", lambda r: readable(r.value, r.unit)),
    ("target", lambda r: readable(r.target, r.unit)),
    ("reached", lambda r: {None: "", True: "yes", False: "no"}[r.reached]),
    ("note", lambda r: r.message),
)


def summary_tables(rows: Iterable[Row]) -> list[Table]:
    """Tables for a terminal: solvers on instances, and timings; empty ones are left out."""
    from rich.table import Table

    tables = []
    for title, columns, chosen in _split(rows):
        table = Table(title=title)
        for index, (name, _) in enumerate(columns):
            table.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
        for row in chosen:
            table.add_row(*(text(row) for _, text in columns))
        tables.append(table)
    return tables


def summary_markdown(rows: Iterable[Row]) -> str:
    """The same tables in Markdown."""
    parts = []
    for title, columns, chosen in _split(rows):
        body = [[text(row) for _, text in columns] for row in chosen]
        parts.append(f"### {title}\n\n{markdown_table([name for name, _ in columns], body)}")
    return "\n".join(parts)


def markdown_table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *body]
    return "".join("| " + " | ".join(_cell(text) for text in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _split(rows: Iterable[Row]) -> list[tuple[str, tuple[Column, ...], list[Row]]]:
    found = list(rows)
    sections = (
        ("Solvers", COLUMNS, [r for r in found if r.kind == "solve"]),
        ("Timings", TIMING_COLUMNS, [r for r in found if r.kind == "measure"]),
    )
    return [section for section in sections if section[2]]
