"""How time and gap grow with the layers of a case, with fitted exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dnnplan.reports.comparison import scaling
from dnnplan.reports.comparison.cases import Case
from dnnplan.reports.comparison.curves import seconds_to_near
from dnnplan.reports.comparison.kinds import Kind
from dnnplan.reports.comparison.scaling import Fit, Point
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import Styles, hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import percent, readable

Points = dict[str, list[Point]]


def scaling_figure(cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles) -> Figure | None:
    """Figures over layers on logarithmic axes; None: cases do not differ in their layers."""
    if len({case.layers for case in cases if case.layers > 0}) < 2:
        return None
    asked: tuple[tuple[str, Points, str], ...] = (
        ("time until it ended", {m: scaling.ending_points(cases, m) for m in kinds}, "seconds"),
        (
            "time until within 1 % of the best known",
            {m: scaling.reaching_points(cases, m, seconds_to_near) for m in kinds},
            "seconds",
        ),
        ("proven gap", {m: scaling.gap_points(cases, m) for m in kinds}, "gap"),
    )
    variants = [v for name, points, what in asked if (v := _variant(name, points, what, styles)) is not None]
    if not variants:
        return None
    return Figure(
        key="scaling",
        title="Growth with the number of layers",
        caption=(
            "One mark for each case, and a power law, layers to the power of an exponent, fitted by least squares on "
            "logarithms; the legend has the exponents with 95 % confidence intervals. Runs that a limit stopped "
            "are drawn faint and are not part of a fit; cases that were never within 1 % of the best known value, and "
            "gaps of 0, have no mark. So exponents of methods with many of them are too small."
        ),
        variants=variants,
        layout={"xaxis": {"type": "log", "title": "layers", "exponentformat": "none"}},
    )


def exponent_text(fit: Fit) -> str:
    """An exponent with its interval.

    >>> exponent_text(Fit(1.512, 1.2, 1.83, 1.0, 9))
    'exponent 1.51 (1.2 to 1.83)'
    """
    return f"exponent {fit.exponent:.3g} ({fit.low:.3g} to {fit.high:.3g})"


def _variant(name: str, points: Points, what: str, styles: Styles) -> Variant | None:
    traces: list[dict[str, Any]] = []
    rows: list[list[Cell]] = []
    for method, own in points.items():
        if not own:
            continue
        fit = scaling.fit_power(own)
        told = f"{label(method)}: {exponent_text(fit)}" if fit is not None else label(method)
        traces.append({**_marks(method, own, what, styles), "name": told})
        if fit is not None:
            traces.append({**_line(method, own, fit, styles), "name": told})
        rows += [_row(method, p, what, fit) for p in own]
    if not traces:
        return None
    columns = (
        Column("method"),
        Column("case"),
        Column("layers", True),
        Column(what, True),
        Column("stopped"),
        Column("fit"),
    )
    table = Table(title=name, caption="Every mark, and the fit of its method.", columns=columns, rows=rows)
    axis: dict[str, Any] = {"type": "log", "clock": what == "seconds"}
    if what == "gap":
        axis["tickformat"] = "~%"
    return Variant(
        name, traces, table, {"ytop": "time" if what == "seconds" else "gap to the bound", "yaxis": axis}
    )


def _marks(method: str, points: Sequence[Point], what: str, styles: Styles) -> dict[str, Any]:
    text = [
        hover(
            f"{method}: {p.name}",
            f"{p.layers} layers, {_figure(p.value, what)}",
            "stopped by its limit" if p.stopped else "",
        )
        for p in points
    ]
    marker = {**styles.marker(method, 8), "opacity": [0.35 if p.stopped else 1.0 for p in points]}
    return styles.trace(
        method,
        mode="markers",
        x=[p.layers for p in points],
        y=[max(p.value, 1e-9) for p in points],
        marker=marker,
        text=text,
    )


def _line(method: str, points: Sequence[Point], fit: Fit, styles: Styles) -> dict[str, Any]:
    used = [p.layers for p in points if not p.stopped]
    low, high = math.log(min(used)), math.log(max(used))
    x = [math.exp(low + (high - low) * k / 12) for k in range(13)]
    text = hover(method, exponent_text(fit), f"from {fit.cases} cases")
    return styles.trace(
        method,
        mode="lines",
        x=x,
        y=[fit.at(v) for v in x],
        line=styles.line(method),
        text=[text] * 13,
        showlegend=False,
    )


def _row(method: str, point: Point, what: str, fit: Fit | None) -> list[Cell]:
    return [
        Cell(shown(method)),
        Cell(shown(point.name)),
        Cell(str(point.layers), point.layers),
        Cell(_figure(point.value, what), point.value),
        Cell("yes" if point.stopped else ""),
        Cell("" if fit is None else exponent_text(fit)),
    ]


def _figure(value: float, what: str) -> str:
    return readable(value, "s") if what == "seconds" else percent(value)
