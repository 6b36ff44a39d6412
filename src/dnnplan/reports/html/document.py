"""What a report consists of, whatever it is written as: sections of words, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Tone = Literal["", "good", "bad", "weak"]


@dataclass(frozen=True)
class Cell:
    """Text, what it is sorted by (None: by the text), and how it is coloured."""

    text: str
    sort: float | None = None
    tone: Tone = ""


@dataclass(frozen=True)
class Column:
    """A column: `number` ones are set to the right."""

    title: str
    number: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text.

    Parameters
    ----------
    groups
        For each row what the choice of a view filters by; empty: nothing.
    long
        Whether it has a search box and pages.
    """

    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    groups: Sequence[str] = ()
    long: bool = False


@dataclass(frozen=True)
class Variant:
    """One of several things that a figure can show: traces and layout as Plotly has them, and their numbers."""

    name: str
    traces: Sequence[dict[str, Any]]
    table: Table
    layout: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with its caption in words; of its variants `start` is seen first.

    Colours are tokens: ``@c0`` to ``@c7``, ``@ink``, ``@muted``, ``@grid`` and others of the style sheet.
    """

    key: str
    title: str
    caption: str
    variants: Sequence[Variant]
    layout: dict[str, Any] = field(default_factory=dict)
    choice: str = "Show"
    start: int = 0


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Tile:
    """A number that matters, with what it is and a remark."""

    value: str
    label: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers beside each other."""

    tiles: Sequence[Tile]


Block = Words | Tiles | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class View:
    """Sections that are seen together; `group` is what tables of all views are filtered by, empty for everything."""

    name: str
    sections: Sequence[Section]
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report.

    Parameters
    ----------
    views
        At least one; a reader chooses between them.
    shared
        Sections below every view.
    facts
        Where it comes from: machine, date, versions.
    """

    title: str
    subtitle: str
    views: Sequence[View]
    shared: Sequence[Section] = ()
    facts: Sequence[tuple[str, str]] = ()
