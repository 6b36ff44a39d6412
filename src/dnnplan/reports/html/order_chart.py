"""The order of tasks as a chart: what each step loads and computes after the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import readable, scale_for

MOST_NAMES = 40
"""Tasks up to which every one is named beside the chart."""


def order_figure(problem: OrderingProblem, order: Sequence[int]) -> Figure:
    """Steps from top to bottom, each beginning where the one before ended."""
    steps = list(problem.steps(tuple(order)))
    unit = problem.unit_of_cost
    total = sum(cost for _, _, cost in steps)
    size, scaled = scale_for(total, unit)
    starts, now = [], 0.0
    for _, _, cost in steps:
        starts.append(now)
        now += cost
    names = [label(problem.tasks[t], 24) for _, t, _ in steps]
    trace: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "name": "step",
        "base": [start / size for start in starts],
        "x": [cost / size for _, _, cost in steps],
        "y": list(range(len(steps))),
        "width": [0.72] * len(steps),
        "marker": {"color": "@c0"},
        "hoverinfo": "text",
        "textposition": "none",
        "text": [
            _told(problem, step, k, start) for k, (step, start) in enumerate(zip(steps, starts, strict=True))
        ],
    }
    what = "a period" if problem.closed else "in all"
    expected = (
        ""
        if problem.is_plain
        else f" As memory and chance have it, it is {readable(problem.cost(tuple(order)), unit)}."
    )
    few = len(steps) <= MOST_NAMES
    ticks = (
        {"tickvals": list(range(len(steps))), "ticktext": names} if few else {"title": "place in the order"}
    )
    return Figure(
        key="order",
        title="Order of the tasks",
        caption=(
            f"From top to bottom; a bar is as long as what a task costs right after the one above it: "
            f"{readable(total, unit)} {what}.{expected}"
        ),
        variants=[Variant("order", [trace], _table(problem, steps))],
        layout={
            "height": 110 + (26 * len(steps) if few else 500),
            "left": 24 + 7 * min(24, max((len(problem.tasks[t]) for _, t, _ in steps), default=4))
            if few
            else 60,
            "xaxis": {"title": f"cost so far{f' ({scaled})' if scaled else ''}", "rangemode": "tozero"},
            "yaxis": {**ticks, "range": [len(steps) - 0.4, -0.6], "showgrid": False, "fixedrange": few},
        },
    )


Step = tuple[int | None, int, float]


def _told(problem: OrderingProblem, step: Step, place: int, start: float) -> str:
    before, task, cost = step
    unit = problem.unit_of_cost
    after = "at the start" if before is None else f"after {problem.tasks[before]}"
    return hover(
        f"{place + 1}: {problem.tasks[task]}",
        f"{readable(cost, unit)} {after}",
        f"{readable(start + cost, unit)} so far",
    )


def _table(problem: OrderingProblem, steps: Sequence[Step]) -> Table:
    unit = problem.unit_of_cost
    rows, now = [], 0.0
    for place, (before, task, cost) in enumerate(steps, start=1):
        now += cost
        rows.append(
            [
                Cell(str(place), place),
                Cell(shown(problem.tasks[task])),
                Cell("(start)" if before is None else shown(problem.tasks[before])),
                Cell(readable(cost, unit), cost),
                Cell(readable(now, unit), now),
            ]
        )
    columns = [
        Column("place", True),
        Column("task"),
        Column("after"),
        Column("cost", True),
        Column("so far", True),
    ]
    return Table(title="Steps of the order", caption="One after the other.", columns=columns, rows=rows)
