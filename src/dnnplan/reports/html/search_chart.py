"""How a result was found: its value and its bound while the solver ran."""

from __future__ import annotations

from dnnplan.instances import Result
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import hover
from dnnplan.reports.units import readable, scale_for

SOONEST = 1e-4
MOST_POINTS = 2000


def search_figure(result: Result) -> Figure | None:
    """Value and bound over time; None: nothing ever improved."""
    objective = result.objective
    if objective.value is None or len(result.history) < 2:
        return None
    size, unit = scale_for(objective.value, objective.unit)
    points = [(max(s, SOONEST), value, bound) for s, value, bound in result.history[-MOST_POINTS:]]
    points.append((max(result.runtime, points[-1][0]), objective.value, result.bound))
    traces = []
    for which, name, colour, dash in ((1, "best plan", "@c0", "solid"), (2, "bound", "@c1", "dash")):
        own = [(p[0], v) for p in points if (v := p[which]) is not None]
        if own:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "legendgroup": name,
                    "x": [x for x, _ in own],
                    "y": [y / size for _, y in own],
                    "line": {"color": colour, "width": 2.2, "shape": "hv", "dash": dash},
                    "marker": {"color": colour, "size": 6, "symbol": "circle" if which == 1 else "diamond"},
                    "hoverinfo": "text",
                    "text": [
                        hover(f"{name} {readable(y, objective.unit)}", f"after {readable(x, 's')}")
                        for x, y in own
                    ],
                }
            )
    rows = [
        [
            Cell(readable(s, "s"), s),
            Cell(readable(value, objective.unit), value),
            Cell(readable(bound, objective.unit), bound),
        ]
        for s, value, bound in points
    ]
    columns = [Column("after", True), Column("best plan", True), Column("bound", True)]
    what = "more" if objective.sense == "max" else "less"
    return Figure(
        key="search",
        title="How it was found",
        caption=f"The best plan so far, and the bound: no plan has {what}. Where they meet, the plan is optimal.",
        variants=[
            Variant(
                "search", traces, Table(title="Improvements", caption="As drawn.", columns=columns, rows=rows)
            )
        ],
        layout={
            "ytop": f"{objective.name} ({unit})" if unit else objective.name,
            "xaxis": {"type": "log", "title": "time since the start", "clock": True},
        },
    )
