"""Plans of grouping and ordering for a terminal: task graphs as trees, orders as tables, chosen networks as lists."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.sharing.graph import TaskGraph
from dnnplan.instances import Instance, Plan
from dnnplan.reports.tables import new_table
from dnnplan.reports.task_views import TaskViews, task_views
from dnnplan.reports.units import readable

if TYPE_CHECKING:
    from rich.table import Table

NAMED = 6
"""Tasks of a node whose names are written out."""


def task_plan_text(instance: Instance, plan: Plan, *, width: int = 100) -> str:
    """A plan of grouping, ordering or both as text.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    """
    views = task_views(instance, plan)
    parts = []
    if views.chosen is not None:
        parts.append(_chosen_text(instance, views))
    if views.graph is not None:
        parts.append(task_graph_text(views.graph, views.names, unit=views.unit))
    if views.ordering is not None:
        parts.append(_printed(order_table(views.ordering, views.order), width))
    return "\n\n".join(parts)


def task_graph_text(
    graph: TaskGraph, names: tuple[str, ...], *, unit: str | None, title: str = "task graph"
) -> str:
    """The task graph as a tree: a line for each node, with its bytes and its costs."""
    size = graph.of_nodes(graph.costs.bytes)
    cost = graph.of_nodes(graph.costs.compute), graph.of_nodes(graph.costs.load)
    nodes = list(enumerate(graph.nodes))
    lines = []

    def label(v: int, group: tuple[int, ...]) -> str:
        shown = ", ".join(names[t] for t in group[:NAMED])
        more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
        figures = [readable(float(size[v]), "bytes")]
        figures += [
            f"{what} {readable(float(c[v]), unit)}" for what, c in zip(("compute", "load"), cost, strict=True)
        ]
        return f"{shown}{more}   ({', '.join(figures)})"

    def branch(block: int, parent: tuple[int, ...], lead: str) -> None:
        children = [(v, group) for v, (b, group) in nodes if b == block and set(group) <= set(parent)]
        for number, (v, group) in enumerate(children):
            last = number == len(children) - 1
            lines.append(f"{lead}{'└─' if last else '├─'} {label(v, group)}")
            branch(block + 1, group, lead + ("   " if last else "│  "))

    everyone = tuple(range(len(names)))
    lines.append(f"{title}: {len(nodes)} nodes, {readable(graph.size, 'bytes')}")
    branch(0, everyone, "")
    return "\n".join(lines)


def order_table(problem: OrderingProblem, order: tuple[int, ...]) -> Table:
    """The order step by step; with conditions each task with its probability, and the cost of a step if both run."""
    unit = problem.unit_of_cost
    sometimes = problem.scenarios is not None
    columns = [
        ">",
        "task",
        "after",
        ">cost",
        *([] if sometimes else [">so far"]),
        *([">runs"] if sometimes else []),
    ]
    table = new_table(*columns, title="order")
    chance = None
    if problem.scenarios is not None:
        chance = problem.scenarios.probability @ problem.scenarios.runs
    total = 0.0
    for place, (before, task, cost) in enumerate(problem.steps(order)):
        total += cost
        after = "(start)" if before is None else problem.tasks[before]
        tail = [f"{float(chance[task]):.3g}"] if chance is not None else [readable(total, unit)]
        table.add_row(str(place + 1), problem.tasks[task], after, readable(cost, unit), *tail)
    whole = problem.cost(order)
    what = "expected" if sometimes else "a period" if problem.closed else "in all"
    if problem.tools is not None:
        table.add_row("", "loads of what memory does not keep", "", readable(whole - total, unit), "")
    table.add_row("", what, "", readable(whole, unit), "")
    return table


def _chosen_text(instance: Instance, views: TaskViews) -> str:
    assert views.chosen is not None
    assert instance.sharing is not None
    table = new_table("network", "serves", ">cost", title="chosen networks")
    for number in views.chosen:
        candidate = instance.sharing.candidates[number]
        table.add_row(str(number), ", ".join(candidate.tasks), f"{candidate.cost:g}")
    return _printed(table, 100)


def _printed(table: Table, width: int) -> str:
    from rich.console import Console

    out = StringIO()
    Console(file=out, width=width, highlight=False, markup=False, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
