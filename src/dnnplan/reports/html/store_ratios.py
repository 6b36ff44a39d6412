"""Figures that compare values: every method with the best known plans, and heuristic with exact case by case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.reports.comparison.intervals import Interval
from dnnplan.reports.comparison.methods import Method
from dnnplan.reports.comparison.pairs import Pair
from dnnplan.reports.comparison.words import change, interval_words
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import Styles, hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import number, readable


def share_worse(ratio: float) -> float:
    """A ratio as percent above 1."""
    return (ratio - 1) * 100


def forest_figure(methods: Sequence[Method], styles: Styles) -> Figure | None:
    """Geometric means with their intervals; None: no method has a plan."""
    known = [m for m in methods if m.ratio is not None]
    if not known:
        return None
    known = sorted(known, key=lambda m: m.ratio.mean if m.ratio else 0.0, reverse=True)
    traces = [_mean(m, m.ratio, styles) for m in known if m.ratio is not None]
    rows = [
        [
            Cell(shown(m.name)),
            Cell(m.kind),
            Cell(change(m.ratio.mean), m.ratio.mean),
            Cell(ends(m.ratio), m.ratio.low),
            Cell(f"{m.ratio.cases} of {m.cases}", m.ratio.cases),
        ]
        for m in reversed(known)
        if m.ratio is not None
    ]
    farthest = max([1e-3, *(share_worse(m.ratio.high or m.ratio.mean) for m in known if m.ratio is not None)])
    columns = (
        Column("method"),
        Column("kind"),
        Column("worse than the best known", True),
        Column("95 % confidence", True),
        Column("cases with a plan", True),
    )
    table = Table(title="Distance from the best known plans", caption="As drawn.", columns=columns, rows=rows)
    return Figure(
        key="means",
        title="Distance from the best known plans",
        caption=(
            "How much worse a method is than the best plan that any run found: geometric mean over the cases in "
            "which it "
            "found one, with a 95 % confidence interval (bootstrap over cases, BCa). Filled marks are exact solvers."
        ),
        variants=[Variant("means", traces, table)],
        layout={
            "height": 130 + 34 * len(known),
            "legend": False,
            "left": 40 + 7 * min(28, max(len(m.name) for m in known)),
            "xaxis": {
                "title": "percent worse (0: as good as the best known)",
                "range": [-0.03 * farthest, 1.06 * farthest],
                "zeroline": True,
            },
            "yaxis": {"type": "category", "showgrid": False, "fixedrange": True},
        },
    )


def _mean(method: Method, ratio: Interval, styles: Styles) -> dict[str, Any]:
    x = share_worse(ratio.mean)
    error: dict[str, Any] = {}
    if ratio.low is not None and ratio.high is not None:
        error = {
            "error_x": {
                "type": "data",
                "symmetric": False,
                "array": [share_worse(ratio.high) - x],
                "arrayminus": [x - share_worse(ratio.low)],
                "color": styles.colour(method.name),
                "thickness": 2,
                "width": 5,
            }
        }
    text = [hover(method.name, f"{change(ratio.mean)}{interval_words(ratio)}", f"{ratio.cases} cases")]
    trace = styles.trace(
        method.name, mode="markers", marker=styles.marker(method.name, 11), text=text, **error
    )
    return {**trace, "x": [x], "y": [label(method.name, 28)], "visible": True}


def ends(ratio: Interval) -> str:
    """The ends of an interval."""
    if ratio.low is None or ratio.high is None:
        return "-"
    return f"{change(ratio.low)} to {change(ratio.high)}"


def pairs_figure(pairs: Sequence[Pair]) -> Figure | None:
    """The best heuristic against the best exact plan, the worst case first; None: no case has both."""
    both = [p for p in pairs if p.ratio is not None]
    if not both:
        return None
    both.sort(key=lambda p: -p.ratio.mean if p.ratio else 0.0)
    groups = (
        ("exact plan proven optimal", [p for p in both if p.exact is not None and p.exact.proven], "circle"),
        ("exact plan not proven", [p for p in both if p.exact is None or not p.exact.proven], "diamond-open"),
    )
    place = {id(p): k for k, p in enumerate(both, start=1)}
    traces = [
        _dots(name, own, [place[id(p)] for p in own], symbol, f"@c{k}")
        for k, (name, own, symbol) in enumerate(groups)
        if own
    ]
    columns = (
        Column("place", True),
        Column("case"),
        Column("heuristic worse by", True),
        Column("95 % confidence", True),
    )
    rows = [
        [
            Cell(str(place[id(p)]), place[id(p)]),
            Cell(shown(p.case.name)),
            Cell(change(p.ratio.mean), p.ratio.mean),
            Cell(ends(p.ratio)),
        ]
        for p in both
        if p.ratio is not None
    ]
    table = Table(
        title="Heuristic against exact, case by case", caption="As drawn.", columns=columns, rows=rows
    )
    return Figure(
        key="pairs",
        title="Heuristic against exact, case by case",
        caption=(
            "One mark for each case, the worst for heuristics first: how much worse its best heuristic plan is "
            "than its "
            "best exact one. Below the line the heuristic is better, which happens where the exact solver ran out of "
            "time. Whiskers are 95 % confidence intervals over seeds, where there are several."
        ),
        variants=[Variant("pairs", traces, table)],
        layout={
            "ytop": "percent worse than exact",
            "xaxis": {
                "title": "cases, by that distance",
                "range": [0.3, len(both) + 0.7],
                "showgrid": False,
                "tickformat": "d",
            },
            "yaxis": {"zeroline": True},
        },
    )


def _dots(
    name: str, pairs: Sequence[Pair], places: Sequence[int], symbol: str, colour: str
) -> dict[str, Any]:
    y = [share_worse(p.ratio.mean) if p.ratio else 0.0 for p in pairs]
    above = [0.0 if p.ratio is None or p.ratio.high is None else share_worse(p.ratio.high) for p in pairs]
    below = [0.0 if p.ratio is None or p.ratio.low is None else share_worse(p.ratio.low) for p in pairs]
    seeds = any(p.ratio is not None and p.ratio.high is not None for p in pairs)
    error = {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - at) if high else 0.0 for high, at in zip(above, y, strict=True)],
        "arrayminus": [
            max(0.0, at - low) if high else 0.0 for low, high, at in zip(below, above, y, strict=True)
        ],
        "color": f"{colour}/50",
        "thickness": 1.4,
        "width": 0,
    }
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "x": list(places),
        "y": y,
        "marker": {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.8, "color": colour}},
        "hoverinfo": "text",
        "text": [_told(p) for p in pairs],
        **({"error_y": error} if seeds else {}),
    }


def _told(pair: Pair) -> str:
    unit = pair.case.unit
    lines = [pair.case.name]
    for kind, side in (("exact", pair.exact), ("heuristic", pair.heuristic)):
        if side is not None:
            proof = ", proven" if side.proven else ""
            lines.append(
                f"{kind} {side.method}: {readable(side.value, unit)} in {readable(side.seconds, 's')}{proof}"
            )
    if pair.ratio is not None:
        lines.append(f"{change(pair.ratio.mean)}{interval_words(pair.ratio)}")
    return hover(*lines)


def ratio_text(ratio: float) -> str:
    """A ratio with four digits.

    >>> ratio_text(1.0321)
    '1.032'
    """
    return number(float(f"{ratio:.4g}"))
