"""A report as Markdown: the words and tables; of charts the captions and their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dnnplan.reports.html.document import Block, Document, Figure, Section, Table, Tiles, Words

MOST_ROWS = 60
"""Rows of the numbers of a chart that are written; tables of the report are written whole."""


def markdown(document: Document) -> str:
    """The text of a report; of several views the first, which has everything."""
    lines = [f"# {_plain(document.title)}", "", _plain(document.subtitle), ""]
    lines += [f"- {_plain(name)}: {_plain(text)}" for name, text in document.facts]
    for section in (*document.views[0].sections, *document.shared):
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {_plain(section.title)}")
    for block in section.blocks:
        yield ""
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Words):
        yield _plain(block.text)
    elif isinstance(block, Tiles):
        for tile in block.tiles:
            note = f" ({_plain(tile.note)})" if tile.note else ""
            yield f"- **{_plain(tile.value)}** {_plain(tile.label)}{note}"
    elif isinstance(block, Figure):
        yield from _figure(block)
    else:
        yield from _titled(block, block.rows)


def _figure(figure: Figure) -> Iterator[str]:
    yield from (f"### {_plain(figure.title)}", "", _plain(figure.caption))
    for variant in figure.variants[:3]:
        rows = variant.table.rows
        more = f" (the first {MOST_ROWS} of {len(rows)} rows)" if len(rows) > MOST_ROWS else ""
        if len(figure.variants) > 1:
            yield from ("", f"**{_plain(variant.name)}**{more}")
        yield ""
        yield from _rows(variant.table, rows[:MOST_ROWS])


def _titled(table: Table, rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield from (f"### {_plain(table.title)}", "", _plain(table.caption), "")
    yield from _rows(table, rows)


def _rows(table: Table, rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(_plain(column.title) or " " for column in table.columns) + " |"
    yield "|" + "|".join("---:" if column.number else "---" for column in table.columns) + "|"
    for row in rows:
        yield "| " + " | ".join(_plain(getattr(cell, "text", "")) for cell in row) + " |"


_ESCAPES = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;"} | {character: f"\\{character}" for character in "\\`*_[]|#~$"}
)


def _plain(text: str) -> str:
    """Text that Markdown takes as it is: no markup, no HTML, no address that becomes a link; one line."""
    one = " ".join(str(text).split()).translate(_ESCAPES)
    return re.sub(r"(?<=www)\.", r"\.", one.replace("://", r":\/\/"), flags=re.IGNORECASE)
