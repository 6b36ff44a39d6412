"""Tables as CSV, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from dnnplan.reports.html.document import Document, Figure, Table
from dnnplan.reports.runs import Row

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    "suite",
    "kind",
    "instance",
    "instance_hash",
    "layers",
    "devices",
    "solver",
    "problem",
    "objective",
    "limits",
    "time_limit",
    "seed",
    "workers",
    "limit_memory",
    "status",
    "stop_reason",
    "value",
    "unit",
    "sense",
    "bound",
    "bound_name",
    "gap",
    "seconds",
    "peak_memory",
    "primal_integral",
    "valid",
    "target",
    "reached",
    "started_at",
    "attempts",
    "message",
)


def rows_csv(rows: Iterable[Row]) -> str:
    """All rows of a store, one a line, in SI units and with all digits."""
    return csv_text(COLUMNS, ([_value(row, name) for name in COLUMNS] for row in rows))


def numbers_csv(document: Document) -> str:
    """The numbers of the first chart of a report, or its first table; numbers in SI units with all digits."""
    blocks = [block for section in document.views[0].sections for block in section.blocks]
    tables = [block.variants[0].table for block in blocks if isinstance(block, Figure)]
    tables += [block for block in blocks if isinstance(block, Table)]
    if not tables:
        return ""
    table = tables[0]
    rows = (
        [
            cell.sort if column.number and cell.sort is not None else cell.text
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    )
    return csv_text([column.title for column in table.columns], rows)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV (RFC 4180); text that a spreadsheet would run as a formula has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_safe(column) for column in columns])
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def _value(row: Row, name: str) -> object:
    value = getattr(row, name)
    if name == "limits":
        return json.dumps(value, sort_keys=True) if value else ""
    return value


def _safe(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value
