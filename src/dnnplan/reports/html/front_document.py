"""The report of a front: what `solve --pareto --json`, `plan --front --json` or `group --front --json` printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dnnplan.costs.objectives import UNITS
from dnnplan.instances.errors import FormatError, InputError
from dnnplan.reports.html.document import (
    Cell,
    Column,
    Document,
    Figure,
    Section,
    Table,
    Tile,
    Tiles,
    Variant,
    View,
    Words,
)
from dnnplan.reports.html.style import hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.tables import MEASURE_UNITS
from dnnplan.reports.units import percent, readable, scale_for

MOST_POINTS = 5000


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a front: both values, whether it is proven, and its gap and bound in the first (None: unknown)."""

    first: float
    second: float
    proven: bool
    gap: float | None
    bound: float | None
    solver: str


def is_front(tree: Any) -> bool:
    """Whether a JSON value is a front."""
    return isinstance(tree, dict) and isinstance(tree.get("front"), list)


def front_document(tree: Mapping[str, Any], *, name: str = "") -> Document:
    """The report of a front.

    Raises
    ------
    FormatError
        It is not one.
    InputError
        It has no points.
    """
    names, points = read_front(tree, name)
    chosen = tree.get("chosen")
    knee = chosen if isinstance(chosen, int) and 0 <= chosen < len(points) else None
    proven = sum(p.proven for p in points)
    first, second = (shown(n.replace("_", " "), 40) for n in names)
    tiles = [
        Tile(str(len(points)), "points", "none of them is beaten in both"),
        Tile(
            f"{proven} of {len(points)}",
            "proven",
            "nothing beats them",
            "good" if proven == len(points) else "",
        ),
        *(
            Tile(
                f"{readable(min(own), _unit(n))} to {readable(max(own), _unit(n))}",
                shown(n.replace("_", " "), 40),
            )
            for n, own in zip(names, ([p.first for p in points], [p.second for p in points]), strict=True)
        ),
    ]
    words = f"{len(points)} plans between the least {first} and the least {second}, each with less of one and more "
    words += "of the other."
    if knee is not None:
        at = points[knee]
        words += (
            " At the knee, where a little of one costs most of the other, they are "
            f"{readable(at.first, _unit(names[0]))} and "
            f"{readable(at.second, _unit(names[1]))}."
        )
    section = Section("Summary", [Tiles(tiles), Words(words, lead=True)])
    curve = Section("Trade-off", [front_figure(points, names, knee)])
    title = f"Trade-off of {first} and {second}"
    return Document(title=title, subtitle=shown(name), views=[View("Front", [section, curve])])


def read_front(tree: Mapping[str, Any], name: str = "") -> tuple[tuple[str, str], list[Point]]:
    """The names of the two values, and the points by the first.

    Raises
    ------
    FormatError
        Not a front.
    InputError
        A front without points.
    """
    rows = tree.get("front")
    label_ = name or "front"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError("front: expected a list of objects", source=label_)
    if not rows:
        raise InputError(f"{label_}: a front without points")
    if len(rows) > MOST_POINTS:
        raise InputError(f"{label_}: a front of {len(rows)} points, expected at most {MOST_POINTS}")
    names = _names(tree, rows[0], label_)
    return names, [_point(row, names, f"{label_}: front[{k}]") for k, row in enumerate(rows)]


def _names(tree: Mapping[str, Any], row: Mapping[str, Any], name: str) -> tuple[str, str]:
    given = tree.get("objectives")
    if isinstance(given, list) and len(given) == 2 and all(isinstance(n, str) for n in given):
        return given[0], given[1]
    values = row.get("values", row.get("measures"))
    if isinstance(values, dict):
        # `group --front` trades variety for one of these.
        for other in ("size", "execution_cost"):
            if other in values and "variety" in values:
                return other, "variety"
    raise FormatError("objectives: expected two names, as `solve --pareto --json` prints them", source=name)


def _point(row: Mapping[str, Any], names: tuple[str, str], where: str) -> Point:
    values = row.get("values", row.get("measures"))
    if not isinstance(values, dict):
        raise FormatError("expected values by name", source=f"{where}.values")
    first, second = (_number(values.get(n), f"{where}.values.{n}") for n in names)
    gap, bound = row.get("gap"), row.get("bound")
    objective = row.get("objective")
    minimised = objective.get("name") if isinstance(objective, dict) else None
    own = isinstance(minimised, str) and minimised.split(">")[0] == names[0]
    return Point(
        first=first,
        second=second,
        proven=row.get("status") == "optimal" or row.get("proven") is True,
        gap=_finite(gap),
        bound=_finite(bound) if own else None,
        solver=str(row.get("solver", "")),
    )


def _number(value: Any, where: str) -> float:
    number = None if isinstance(value, bool) else _finite(value)
    if number is None:
        raise FormatError("expected a finite number", source=where)
    return number


def _finite(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _unit(name: str) -> str | None:
    return UNITS.get(name, MEASURE_UNITS.get(name))


def front_figure(points: Sequence[Point], names: tuple[str, str], knee: int | None) -> Figure:
    """The curve, with a line from each point down to its bound."""
    units = _unit(names[0]), _unit(names[1])
    (w, wide), (h, high) = (
        scale_for(max(abs(v) for v in own), unit)
        for own, unit in zip(([p.first for p in points], [p.second for p in points]), units, strict=True)
    )
    order = sorted(range(len(points)), key=lambda k: points[k].first)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [points[k].first / w for k in order],
            "y": [points[k].second / h for k in order],
            "line": {"color": "@c0/60", "width": 1.6, "shape": "hv"},
            "hoverinfo": "skip",
            "name": "nothing better below",
            "legendgroup": "curve",
        }
    ]
    gaps = [p for p in points if p.bound is not None and p.bound < p.first * (1 - 1e-4)]
    if gaps:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [v for p in gaps for v in ((p.bound or 0.0) / w, p.first / w, None)],
                "y": [v for p in gaps for v in (p.second / h, p.second / h, None)],
                "line": {"color": "@muted", "width": 1.4, "dash": "dot"},
                "hoverinfo": "skip",
                "name": "down to the bound",
                "legendgroup": "bound",
            }
        )
    for proven, name, symbol in ((True, "proven", "circle"), (False, "best found", "diamond-open")):
        own = [points[k] for k in order if points[k].proven is proven]
        if own:
            traces.append(_marks(own, name, symbol, names, (w, h)))
    if knee is not None:
        at = points[knee]
        marker = {
            "symbol": "circle-open",
            "size": 20,
            "color": "@critical",
            "line": {"width": 2.4, "color": "@critical"},
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [at.first / w],
                "y": [at.second / h],
                "marker": marker,
                "name": "knee",
                "legendgroup": "knee",
                "hoverinfo": "text",
                "text": [_told(at, names, "the knee")],
            }
        )
    axes = [
        label(n.replace("_", " ") + (f" ({u})" if u else ""), 60)
        for n, u in ((names[0], wide), (names[1], high))
    ]
    return Figure(
        key="front",
        title="Trade-off curve",
        caption=(
            "Each mark is a plan that no other one beats in both figures. Dotted lines reach down to what no "
            "plan with that "
            "limit can be below: where there is none, the plan is proven."
        ),
        variants=[Variant("front", traces, _table(points, names, knee))],
        layout={
            "ytop": shown(names[1].replace("_", " ") + (f" ({high})" if high else ""), 60),
            "xaxis": {"title": axes[0]},
            "height": 440,
        },
    )


def _marks(
    own: Sequence[Point], name: str, symbol: str, names: tuple[str, str], sizes: tuple[float, float]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [p.first / sizes[0] for p in own],
        "y": [p.second / sizes[1] for p in own],
        "marker": {"symbol": symbol, "size": 9, "color": "@c0", "line": {"width": 1.8, "color": "@c0"}},
        "name": name,
        "legendgroup": name,
        "hoverinfo": "text",
        "text": [_told(p, names, name) for p in own],
    }


def _told(p: Point, names: tuple[str, str], name: str) -> str:
    gap = f"gap {percent(p.gap)}" if p.gap is not None else ""
    return hover(
        f"{names[0]} {readable(p.first, _unit(names[0]))}",
        f"{names[1]} {readable(p.second, _unit(names[1]))}",
        name,
        gap,
    )


def _table(points: Sequence[Point], names: tuple[str, str], knee: int | None) -> Table:
    rows = [
        [
            Cell(readable(p.first, _unit(names[0])), p.first),
            Cell(readable(p.second, _unit(names[1])), p.second),
            Cell("proven" if p.proven else "best found"),
            Cell(percent(p.gap), p.gap),
            Cell(shown(p.solver, 40)),
            Cell("knee" if k == knee else ""),
        ]
        for k, p in enumerate(points)
    ]
    columns = [
        *(Column(shown(n.replace("_", " "), 40), True) for n in names),
        Column("state"),
        Column("gap", True),
        Column("solver"),
        Column(""),
    ]
    return Table(title="Points of the front", caption="As drawn.", columns=columns, rows=rows)
