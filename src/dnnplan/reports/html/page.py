"""A report as one HTML page: no request leaves it, and only the scripts that were put in can run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from dnnplan.reports.html.document import (
    Block,
    Cell,
    Document,
    Figure,
    Section,
    Table,
    Tile,
    Tiles,
    View,
    Words,
)
from dnnplan.reports.html.markup import Html, joined, json_block, tag
from dnnplan.reports.html.plotly_bundle import plotly_source

SCRIPTS = ("data.js", "theme.js", "tables.js", "figures.js", "main.js")
STYLES = ("page.css",)
MOST_STATIC = 100
"""Rows of a table that are written as HTML; those beyond become elements when they are asked for."""
_STYLE_OF_MAPS = re.compile(r"""if\(!document\.getElementById\(["']([0-9a-f]{64})["']\)\)""")
_HINT = (
    "With the keyboard: arrows go from point to point, + and − zoom, Shift with arrows moves, 0 shows all."
)


def page(document: Document) -> str:
    """The whole file.

    Raises
    ------
    MissingDependencyError
        Plotly is not installed (extra ``report``).
    """
    style, scripts = _asset(*STYLES), (plotly_source(), _asset(*SCRIPTS))
    body = joined(
        tag("a", "Skip to the report", class_="skip", href="#report"),
        _bar(document),
        _head(document),
        tag(
            "noscript",
            tag(
                "p",
                f"Charts, search, sorting and rows beyond {MOST_STATIC} need JavaScript; words and tables do not.",
                class_="noscript",
            ),
        ),
        _Writer().content(document),
        _foot(document),
        *(tag("template", id=name) for name in _style_of_maps(scripts[0])),
        *(Html(f"<script>{text}</script>") for text in scripts),
    )
    head = joined(
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy(style, scripts)}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer">'),
        Html('<link rel="icon" href="data:,">'),
        tag("title", document.title),
        Html(f"<style>{style}</style>"),
    )
    return f"<!DOCTYPE html>\n{tag('html', tag('head', head), tag('body', body), lang='en')}\n"


def policy(style: str, scripts: tuple[str, ...]) -> str:
    """What the page may do: run these scripts, use this style, show pictures that it made itself; nothing else.

    Plotly adds an empty style element and fills it through the object model, hence the hash of nothing; and it
    writes attributes of style, which can neither run code nor fetch anything here.
    """
    allowed = " ".join(_hash(text) for text in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src-elem {_hash(style)} {_hash('')}; "
        "style-src-attr 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _style_of_maps(plotly: str) -> list[str]:
    """Ids of style sheets that Plotly adds for maps unless they are there; no map is drawn here."""
    return list(dict.fromkeys(_STYLE_OF_MAPS.findall(plotly)))


@cache
def _asset(*names: str) -> str:
    folder = files("dnnplan.reports.html") / "assets"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _bar(document: Document) -> Html:
    views = (tag("option", v.name, value=k) for k, v in enumerate(document.views))
    choice = tag(
        "label",
        tag("span", "Suite", class_="unseen"),
        # Browsers would remember the choice when the page is loaded again, and show the first view with it.
        tag("select", *views, id="view", autocomplete="off"),
        hidden=True,
    )
    button = tag("button", "Dark", type="button", id="theme", hidden=True)
    nav = tag("nav", id="sections", aria_label="Sections")
    return tag("div", nav, tag("div", choice, button, class_="side"), class_="bar")


def _head(document: Document) -> Html:
    return tag("header", tag("h1", document.title), tag("p", document.subtitle), class_="top")


def _foot(document: Document) -> Html:
    facts = [part for name, text in document.facts for part in (tag("dt", name), tag("dd", text))]
    made = tag("p", "Made by dnnplan report. This file loads nothing from elsewhere.")
    return tag("footer", tag("dl", *facts) if facts else "", made)


class _Writer:
    """Writes sections; ids are numbered through the whole page."""

    def __init__(self) -> None:
        self._count = 0

    def content(self, document: Document) -> Html:
        """All views but the first are hidden until they are chosen."""
        views = [self._view(view, hidden=k > 0) for k, view in enumerate(document.views)]
        shared = tag("div", *(self._section(s) for s in document.shared), data_shared=True)
        return tag("main", *views, shared, id="report", tabindex="-1")

    def _view(self, view: View, *, hidden: bool) -> Html:
        sections = (self._section(section) for section in view.sections)
        return tag("div", *sections, data_view=view.name, data_group=view.group, hidden=hidden)

    def _id(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._count}"

    def _section(self, section: Section) -> Html:
        name = self._id("section")
        blocks = (self._block(block) for block in section.blocks)
        return tag("section", tag("h2", section.title, id=name), *blocks, aria_labelledby=name)

    def _block(self, block: Block) -> Html:
        if isinstance(block, Words):
            return tag("p", block.text, class_="lead" if block.lead else None)
        if isinstance(block, Tiles):
            return tag("dl", *(_tile(tile) for tile in block.tiles), class_="tiles")
        return self._table(block) if isinstance(block, Table) else self._figure(block)

    def _table(self, table: Table) -> Html:
        heads = (
            tag("th", c.title, scope="col", class_="number" if c.number else None) for c in table.columns
        )
        groups: Sequence[str | None] = table.groups or [None] * len(table.rows)
        rows = list(zip(table.rows, groups, strict=True))
        written = [
            tag(
                "tr",
                *(_cell(cell, c.number) for cell, c in zip(row, table.columns, strict=True)),
                data_group=group,
            )
            for row, group in rows[:MOST_STATIC]
        ]
        rest = [
            {"cells": [_packed(cell) for cell in row], "group": group or ""}
            for row, group in rows[MOST_STATIC:]
        ]
        inner = tag(
            "table",
            tag("caption", table.title, class_="unseen"),
            tag("thead", tag("tr", *heads)),
            tag("tbody", *written),
        )
        return tag(
            "div",
            tag("h3", table.title),
            tag("p", table.caption, class_="about"),
            tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=table.title),
            json_block(rest, class_="rest") if rest else "",
            class_="table long" if table.long else "table",
            data_title=table.title,
            data_total=len(rows),
        )

    def _figure(self, figure: Figure) -> Html:
        name = self._id(figure.key)
        caption = tag(
            "figcaption",
            tag("h3", figure.title, id=f"{name}-title"),
            tag("p", figure.caption, id=f"{name}-caption"),
        )
        chart = tag(
            "div",
            class_="chart",
            tabindex="0",
            role="application",
            aria_roledescription="chart",
            aria_labelledby=f"{name}-title",
            aria_describedby=f"{name}-caption {name}-spoken",
        )
        spoken = tag("p", class_="spoken", id=f"{name}-spoken", aria_live="polite", data_hint=_HINT)
        numbers = tag(
            "details", tag("summary", f"Numbers of this figure: {figure.title}"), tag("div", class_="numbers")
        )
        return tag(
            "figure",
            caption,
            tag(
                "div",
                tag("ul", class_="keys", aria_label=f"Legend of {figure.title}"),
                tag("div", class_="tools"),
                class_="head",
            ),
            chart,
            spoken,
            numbers,
            json_block(figure_tree(figure), class_="spec"),
            id=name,
            data_figure=figure.key,
        )


def figure_tree(figure: Figure) -> dict[str, Any]:
    """A figure as the scripts read it."""
    return {
        "key": figure.key,
        "title": figure.title,
        "choice": figure.choice,
        "start": figure.start,
        "layout": figure.layout,
        "variants": [
            {
                "name": v.name,
                "traces": _rounded(list(v.traces)),
                "layout": v.layout,
                "table": _numbers(v.table),
            }
            for v in figure.variants
        ],
    }


def _numbers(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "columns": [[c.title, c.number] for c in table.columns],
        "rows": [
            [c.text if c.sort is None else [c.text, _rounded(c.sort)] for c in row] for row in table.rows
        ],
    }


def _rounded(value: Any) -> Any:
    """Numbers with ten digits: nobody sees more, and files stay small. What is not finite is left out."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.10g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value]


def _packed(cell: Cell) -> Any:
    """A cell as the scripts read it."""
    if cell.sort is None and not cell.tone:
        return cell.text
    return [cell.text, _rounded(cell.sort), cell.tone]


def _cell(cell: Cell, number: bool) -> Html:
    classes = " ".join(filter(None, ("number" if number else "", cell.tone)))
    sort = None if cell.sort is None or not abs(cell.sort) < float("inf") else f"{cell.sort:.10g}"
    return tag("td", cell.text, class_=classes or None, data_v=sort)


def _tile(tile: Tile) -> Html:
    value = tag("dd", tile.value, class_=f"value {tile.tone}".rstrip())
    note = tag("dd", tile.note, class_="note") if tile.note else ""
    return tag("div", tag("dt", tile.label), value, note, class_="tile")
