"""A whole plan as one picture: the task graph, and below it the Gantt chart of what is mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dnnplan.instances import Instance, Plan, Result
from dnnplan.reports.gantt_figure import (
    _literal,
    chart_height,
    colour,
    draw_chart,
    draw_legend,
    title,
    write_figure,
)
from dnnplan.reports.task_plan_figure import ROW, draw_task_graph
from dnnplan.reports.whole_views import WholeViews, whole_views

WIDTH = 11.0
"""Inches."""


def write_whole_plan(
    instance: Instance,
    plan: Plan,
    path: str | Path,
    result: Result | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Draw a whole plan; errors are those of `write_gantt`, and `PlanError` where it does not fit the instance."""
    views = whole_views(instance, plan, result)
    write_figure(lambda: _draw(views), path, overwrite=overwrite)


def _draw(views: WholeViews) -> Any:
    from matplotlib.figure import Figure

    below = chart_height(views.schedule)
    above = 0.9 + ROW * len(views.names) if views.graph is not None else 0.0
    figure = Figure(figsize=(WIDTH, above + below), layout="constrained")
    if views.graph is not None:
        top, bottom = figure.subplots(2, 1, height_ratios=[above, below])
        tree = f"{len(views.graph.nodes)} nodes, costs on the best device"
        colours = {group: colour(network) for group, network in views.networks.items()}
        draw_task_graph(top, views.graph, views.names, views.order, views.graph.costs.unit, colours)
        top.set_title(f"task graph: {tree}", loc="left", fontsize=10)
        bottom.set_title("where and when it runs", loc="left", fontsize=10)
    else:
        bottom = figure.add_subplot()
    draw_chart(bottom, views.schedule)
    draw_legend(figure, views.schedule)
    figure.suptitle(_literal(title(views.schedule)), fontsize=11.5, fontweight="bold", x=0.01, ha="left")
    return figure
