"""A figure for one case at a time: value and bound of every run while it went on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnnplan.reports.comparison.cases import Case, Run
from dnnplan.reports.comparison.curves import SOONEST
from dnnplan.reports.comparison.kinds import Kind
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import Styles, hover
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import readable, scale_for

MOST_POINTS = 40
"""Improvements of a run that are drawn; of more a part, the first and the last among them."""
MOST_CASES = 300

Point = tuple[float, float | None, float | None]


def runs_figure(cases: Sequence[Case], kinds: Mapping[str, Kind], styles: Styles) -> Figure | None:
    """The runs of one case, which the reader chooses; None: no run has a plan."""
    known = [case for case in cases if case.best is not None]
    told = [case for case in known if any(len(run.history) > 1 for run in case.runs)]
    drawn = (told or known)[:MOST_CASES]
    if not drawn:
        return None
    left = len(known) - len(drawn)
    more = (
        f" {left} cases in which nothing changed, or beyond the first {MOST_CASES}, are left out."
        if left
        else ""
    )
    return Figure(
        key="runs",
        title="One case: value and bound over time",
        caption=(
            "The best plan of every run so far (upper lines) and what it had proven that no plan can beat (thin "
            "lines); "
            "where the two meet, the plan is proven optimal. Exact solvers are solid, heuristics dashed."
            + more
        ),
        variants=[_variant(case, kinds, styles) for case in drawn],
        choice="Case",
        layout={"xaxis": {"type": "log", "title": "time since the start", "clock": True}},
        start=max(range(len(drawn)), key=lambda k: sum(len(run.history) for run in drawn[k].runs)),
    )


def _variant(case: Case, kinds: Mapping[str, Kind], styles: Styles) -> Variant:
    size, unit = scale_for(abs(case.best or 0.0), case.unit)
    traces, rows = [], []
    for run in sorted(case.runs, key=lambda run: list(kinds).index(run.method)):
        points = _points(run)
        traces += _lines(case, run, points, size, styles)
        rows += [
            [
                Cell(shown(run.method)),
                Cell(str(run.row.seed), run.row.seed),
                Cell(readable(s, "s"), s),
                Cell(readable(value, case.unit), value),
                Cell(readable(bound, case.unit), bound),
            ]
            for s, value, bound in points
        ]
    columns = [Column("method"), *(Column(name, True) for name in ("seed", "after", "value", "bound"))]
    name = shown(case.name if not case.suite else f"{case.suite}: {case.name}")
    table = Table(title=name, caption="Improvements, as drawn.", columns=columns, rows=rows)
    what = case.objective or "objective"
    layout: dict[str, Any] = {"ytop": shown(f"{what} ({unit})" if unit else what, 60)}
    values = [y for trace in traces for y in trace["y"]]
    if values and max(values) - min(values) < 0.02 * max(map(abs, values)):
        # Values that differ in the last digits only are drawn as the same.
        layout["yaxis"] = {
            "range": [min(values) - 0.05 * abs(min(values)), max(values) + 0.05 * abs(max(values))]
        }
    return Variant(name, traces, table, layout)


def _points(run: Run) -> list[Point]:
    """The improvements of a run, and its end."""
    points: list[Point] = [(max(s, SOONEST), value, bound) for s, value, bound in run.history]
    if len(points) > MOST_POINTS:
        step = (len(points) - 1) / (MOST_POINTS - 1)
        points = [points[round(k * step)] for k in range(MOST_POINTS)]
    last = (max([run.seconds, SOONEST, *(s for s, _, _ in points[-1:])]), run.value, run.bound)
    return [*points, last]


def _lines(
    case: Case, run: Run, points: Sequence[Point], size: float, styles: Styles
) -> list[dict[str, Any]]:
    traces = []
    for which, name in ((1, "value"), (2, "bound")):
        own = [(p[0], float(p[which])) for p in points if p[which] is not None]  # type: ignore[arg-type]
        if not own:
            continue
        seed = f", seed {run.row.seed}" if len(case.of(run.method)) > 1 else ""
        text = [
            hover(f"{run.method}{seed}", f"{name} {readable(y, case.unit)}", f"after {readable(x, 's')}")
            for x, y in own
        ]
        line = styles.line(run.method)
        if which == 2:
            line = {**line, "width": 1.1}
        traces.append(
            styles.trace(
                run.method,
                mode="lines+markers",
                x=[x for x, _ in own],
                y=[y / size for _, y in own],
                line={**line, "shape": "hv"},
                marker=styles.marker(run.method, 6 if which == 1 else 3),
                text=text,
                showlegend=which == 1,
                opacity=1 if which == 1 else 0.75,
            )
        )
    return traces
