"""Whole plans for a terminal: the task graph as a tree, when tasks end, and the Gantt chart of what is mapped."""

from __future__ import annotations

from rich.text import Text

from dnnplan.instances import Instance, Plan, Result
from dnnplan.reports.gantt_text import WIDTH, gantt_text
from dnnplan.reports.task_plan_text import task_graph_text
from dnnplan.reports.units import readable
from dnnplan.reports.whole_views import WholeViews, whole_views

NAMED = 12
"""Tasks that are named in the line that says when they end."""


def whole_plan_text(
    instance: Instance, plan: Plan, result: Result | None = None, *, width: int = WIDTH
) -> Text:
    """A whole plan in `width` columns.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    """
    views = whole_views(instance, plan, result)
    text = Text(no_wrap=True, overflow="crop")
    if views.graph is not None:
        unit = views.graph.costs.unit
        text.append(
            task_graph_text(views.graph, views.names, unit=unit, title="task graph, on the best device")
        )
        text.append("\n\n")
    text.append(order_line(views) + "\n\n")
    text.append_text(gantt_text(views.schedule, width=width))
    return text


def order_line(views: WholeViews) -> str:
    """The tasks in the order in which they end, and when."""
    ends = [f"{views.names[t]} {readable(views.ends[t], 's')}" for t in views.order[:NAMED]]
    more = f" and {len(views.order) - NAMED} more" if len(views.order) > NAMED else ""
    return f"tasks by their end: {', '.join(ends)}{more}"
