"""Figures over all cases of a store: performance profiles, cactus plot, gap over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dnnplan.reports.comparison import curves
from dnnplan.reports.comparison.cases import Case
from dnnplan.reports.comparison.curves import Clock, Curve
from dnnplan.reports.comparison.kinds import Kind
from dnnplan.reports.comparison.methods import case_ratios
from dnnplan.reports.comparison.words import change, counted
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import Styles, hover
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import number, percent, readable

LARGEST_RATIO = 1e3
"""Where the axis of a profile ends; what is beyond counts as failed there."""
CLOCKS: tuple[tuple[str, Clock], ...] = (
    ("proven", curves.seconds_to_proof),
    ("within 1 % of the best known", curves.seconds_to_near),
)
_QUALITY = (
    "Performance profiles (Dolan and Moré). A point says for which share of the cases a method is at most so many "
    "times worse than the best known plan: higher is better, the left end is how often it is the best, the right end "
    "how often it found a plan at all."
)
_TIME = (
    " The profiles of time compare seconds in the same way with the fastest method of each case; a case that a method "
    "did not solve counts as never."
)


def profile_figure(cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles) -> Figure | None:
    """Profiles of the objective and of time; None: nothing was solved."""
    ratios = {"value of the plan": {m: case_ratios(cases, m) for m in kinds}}
    for name, clock in CLOCKS:
        ratios[f"time until {name}"] = {m: curves.time_ratios(cases, m, clock) for m in kinds}
    variants = [_profile_variant(name, own, styles) for name, own in ratios.items()]
    known = [variant for variant in variants if variant is not None]
    if not known:
        return None
    return Figure(
        key="profiles",
        title="Performance profiles",
        caption=_QUALITY + _TIME + different_cases(cases, kinds),
        variants=known,
        choice="Compare by",
        layout={"ytop": "share of cases", "yaxis": {"range": [-0.02, 1.04], "tickformat": ".0%"}},
    )


def different_cases(cases: Sequence[Case], kinds: Mapping[str, Kind]) -> str:
    """A warning where methods were not run on the same cases."""
    counts = {m: sum(bool(case.of(m)) for case in cases) for m in kinds}
    if all(count == len(cases) for count in counts.values()):
        return ""
    return (
        " Not all methods were run on the same cases here, and each is counted over its own: choose a suite to compare "
        "like with like."
    )


def _profile_variant(name: str, ratios: Mapping[str, list[float]], styles: Styles) -> Variant | None:
    profiles = {m: curves.profile(own) for m, own in ratios.items() if own}
    drawn = [x for own in profiles.values() for x in own.x if x <= LARGEST_RATIO]
    if not drawn:
        return None
    end = max(1.05, max(drawn) ** 1.06)
    traces, rows = [], []
    for method, own in profiles.items():
        count = len(ratios[method])
        traces.append(_steps(method, own, end, styles, count))
        rows += [
            [
                Cell(shown(method)),
                Cell(number(float(f"{x:.6g}")), x),
                Cell(percent(y), y),
                Cell(f"{round(y * count)} of {count}", y),
            ]
            for x, y in zip(own.x, own.y, strict=True)
        ]
    columns = (
        Column("method"),
        Column("at most times worse", True),
        Column("share of cases", True),
        Column("cases", True),
    )
    table = Table(title=f"Profile of {name}", caption="Every step of the curves.", columns=columns, rows=rows)
    worse = "worse than the best known plan" if name.startswith("value") else "slower than the fastest method"
    layout = {
        "xaxis": {
            "type": "log",
            "range": [-0.004 * math.log10(end) - 1e-5, math.log10(end)],
            "title": f"times {worse}",
        }
    }
    return Variant(name, traces, table, layout)


def _steps(method: str, own: Curve, end: float, styles: Styles, count: int) -> dict[str, Any]:
    """The steps up to the end of the axis."""
    points = [(x, y) for x, y in zip(own.x, own.y, strict=True) if x <= end]
    if points and points[0][0] > 1:
        points.insert(0, (1.0, 0.0))
    points = points or [(1.0, 0.0)]
    text = [
        hover(
            method,
            f"{percent(y)} of {counted(count, 'case')}",
            f"at most {change(x)} worse" if x < 2 else f"at most {number(x)} times",
        )
        for x, y in points
    ]
    points.append((end, points[-1][1]))
    text.append(hover(method, f"{percent(points[-1][1])} of {counted(count, 'case')} in the end"))
    return styles.trace(
        method,
        mode="lines",
        x=[x for x, _ in points],
        y=[y for _, y in points],
        line={**styles.line(method), "shape": "hv"},
        text=text,
    )


def cactus_figure(cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles) -> Figure | None:
    """Cases solved over the time that each may take; None: nothing was solved."""
    variants = [
        v for name, clock in CLOCKS if (v := _cactus_variant(name, clock, cases, kinds, styles)) is not None
    ]
    if not variants:
        return None
    return Figure(
        key="cactus",
        title="Cactus plot",
        caption=(
            "How many cases a method solves if each may take so long: a curve further to the right solves more, "
            "a lower "
            "one is faster. The same number of cases need not be the same cases."
        ),
        variants=variants,
        choice="Solved means",
        layout={
            "ytop": "time for each case",
            "xaxis": {
                "title": "cases solved",
                "rangemode": "tozero",
                **({"dtick": 1} if len(cases) <= 15 else {}),
            },
            "yaxis": {"type": "log", "clock": True},
        },
    )


def _cactus_variant(
    name: str, clock: Clock, cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles
) -> Variant | None:
    traces, rows = [], []
    for method in kinds:
        times = curves.times_of(cases, method, clock)
        own = curves.cactus(times)
        if not own.x:
            continue
        text = [
            hover(method, f"{counted(int(x), 'case')} of {len(times)}", f"within {readable(y, 's')} each")
            for x, y in zip(own.x, own.y, strict=True)
        ]
        traces.append(
            styles.trace(
                method,
                mode="lines+markers",
                x=own.x,
                y=own.y,
                line=styles.line(method),
                marker=styles.marker(method, 6),
                text=text,
            )
        )
        rows += [
            [Cell(shown(method)), Cell(str(int(x)), x), Cell(readable(y, "s"), y)]
            for x, y in zip(own.x, own.y, strict=True)
        ]
    if not traces:
        return None
    columns = (Column("method"), Column("cases solved", True), Column("each within", True))
    return Variant(
        name,
        traces,
        Table(title=f"Cases {name}", caption="Every point of the curves.", columns=columns, rows=rows),
    )


def gap_figure(cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles) -> Figure | None:
    """The primal gap of every method over time; None: no run has a plan."""
    moments = curves.moments_of(cases)
    found = {
        m: band for m in kinds if moments and (band := curves.gap_over_time(cases, m, moments)) is not None
    }
    if not found:
        return None
    traces, rows = [], []
    for method, band in found.items():
        text = [
            hover(
                method,
                f"after {readable(x, 's')}",
                f"gap {percent(mid)} in the middle",
                f"half of the cases: {percent(low)} to {percent(high)}",
            )
            for x, low, mid, high in zip(*band, strict=True)
        ]
        traces += list(_band(method, band, styles))
        traces.append(
            styles.trace(
                method,
                mode="lines",
                x=band.x,
                y=band.middle,
                line={**styles.line(method), "shape": "hv"},
                text=text,
            )
        )
        rows += [
            [Cell(shown(method)), Cell(readable(x, "s"), x), *(Cell(percent(y), y) for y in (mid, low, high))]
            for x, low, mid, high in zip(*band, strict=True)
        ]
    columns = [
        Column("method"),
        *(Column(name, True) for name in ("after", "median gap", "lower quartile", "upper quartile")),
    ]
    table = Table(title="Gap over time", caption="Every moment of the curves.", columns=columns, rows=rows)
    return Figure(
        key="gap-over-time",
        title="Gap over time",
        caption=(
            "How far plans are from the best known ones while solvers run (primal gap: distance by the larger "
            "of the two "
            "values; 100 % while there is no plan). Lines are medians over the cases, bands hold the middle half."
        ),
        variants=[Variant("gap", traces, table)],
        layout={
            "ytop": "gap to the best known plan",
            "xaxis": {"type": "log", "title": "time since the start", "clock": True},
            "yaxis": {"tickformat": "~%", "rangemode": "tozero"},
        },
    )


def _band(method: str, band: curves.Band, styles: Styles) -> Iterator[dict[str, Any]]:
    """The area between the quartiles."""
    common = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False}
    yield styles.trace(method, x=band.x, y=band.low, **common)
    yield styles.trace(
        method, x=band.x, y=band.high, fill="tonexty", fillcolor=f"{styles.colour(method)}/14", **common
    )
