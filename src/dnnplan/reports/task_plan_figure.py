"""Plans of grouping and ordering as pictures: task graphs as trees, orders as timelines, affinity as heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.sharing.graph import TaskGraph
from dnnplan.instances import Instance, Plan, UnsupportedError
from dnnplan.reports.gantt_figure import PALETTE, write_figure
from dnnplan.reports.task_views import TaskViews, task_views
from dnnplan.reports.units import readable, scale_for

WIDTH, ROW = 9.0, 0.42
"""Inches: of a picture, and of a task in it."""
LOAD, COMPUTE, NODE = PALETTE[1], PALETTE[0], "#dcebf5"
LIGHT = 0.25
"""Opacity of nodes with colours of their own."""
LONGEST_NAME = 22
SHOWN_VALUES = 12
"""Tasks up to which heat maps have their values printed."""


def write_task_plan(instance: Instance, plan: Plan, path: str | Path, *, overwrite: bool = False) -> None:
    """Draw the task graph, the order, or one above the other; the suffix of the file says how.

    Raises
    ------
    UnsupportedError
        Another suffix than .png, .svg, .pdf, or a choice of networks, which has no picture.
    MissingDependencyError
        matplotlib is not installed (extra ``plot``).
    FileExistsError
        The file exists and `overwrite` is not set.
    """
    views = task_views(instance, plan)
    if views.graph is None and views.ordering is None:
        raise UnsupportedError("a choice of networks has no picture; `dnnplan show` lists them")
    write_figure(lambda: _draw(views), path, overwrite=overwrite)


def _draw(views: TaskViews) -> Any:
    from matplotlib.figure import Figure

    parts = (views.graph is not None) + (views.ordering is not None)
    rows = len(views.names)
    figure = Figure(figsize=(WIDTH, parts * (1.1 + ROW * rows)), layout="constrained")
    axes = figure.subplots(parts, 1, squeeze=False)[:, 0]
    if views.graph is not None:
        draw_task_graph(axes[0], views.graph, views.names, views.order, views.unit)
    if views.ordering is not None:
        draw_order(axes[-1], views.ordering, views.order)
    return figure


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def draw_task_graph(
    axes: Any,
    graph: TaskGraph,
    names: tuple[str, ...],
    order: tuple[int, ...],
    unit: str | None,
    colours: Mapping[tuple[int, ...], str] | None = None,
) -> None:
    """Blocks from left to right; a node is as high as its tasks, which stand in their order, or depth first.

    `colours` are those of nodes by their tasks; they are drawn lighter.
    """
    from matplotlib.patches import FancyBboxPatch

    keys = np.asarray(graph.node).T.tolist()
    depth_first = sorted(range(len(names)), key=lambda t: keys[t])
    tidy = order if order and _contiguous(graph, order) else depth_first
    place = {task: row for row, task in enumerate(tidy)}
    cost = graph.of_nodes(graph.costs.compute) + graph.of_nodes(graph.costs.load)
    size = graph.of_nodes(graph.costs.bytes)
    for v, (b, group) in enumerate(graph.nodes):
        top, low = min(place[t] for t in group), max(place[t] for t in group)
        own = None if colours is None else colours.get(group)
        box = FancyBboxPatch(
            (b + 0.06, top - 0.36),
            0.88,
            low - top + 0.72,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=NODE if own is None else (own, LIGHT),
            edgecolor=own or PALETTE[0],
            linewidth=0.9,
        )
        axes.add_patch(box)
        text = f"{readable(float(size[v]), 'bytes')}\n{readable(float(cost[v]), unit)}"
        one = f"{readable(float(size[v]), 'bytes')}, {readable(float(cost[v]), unit)}"
        axes.text(
            b + 0.5, (top + low) / 2, text if low > top else one, ha="center", va="center", fontsize=7.5
        )
    blocks = len(graph.costs.bytes)
    axes.set_xlim(0, blocks)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [short(names[t]) for t in tidy])
    axes.set_xticks([b + 0.5 for b in range(blocks)], [_block_name(graph, b) for b in range(blocks)])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"task graph: {len(graph.nodes)} nodes, {readable(graph.size, 'bytes')}", loc="left")


def _contiguous(graph: TaskGraph, order: tuple[int, ...]) -> bool:
    """Whether the tasks of every node stand side by side in an order."""
    place = {task: p for p, task in enumerate(order)}
    return all(
        max(place[t] for t in group) - min(place[t] for t in group) == len(group) - 1
        for _, group in graph.nodes
    )


def _block_name(graph: TaskGraph, block: int) -> str:
    level = graph.costs.level(block)
    if level is None:
        return "stem" if block == 0 and graph.costs.stem else "head"
    return f"block {level + 1}"


def draw_order(axes: Any, problem: OrderingProblem, order: tuple[int, ...]) -> None:
    """Tasks from top to bottom in their order, each with what it loads and computes; what it shares is not there."""
    steps = problem.steps(order)
    total = sum(cost for _, _, cost in steps)
    size, unit = scale_for(total, problem.unit_of_cost)
    now = 0.0
    for row, (before, task, cost) in enumerate(steps):
        load = _load_of(problem, before, task)
        bars = [(load, LOAD, "load"), (cost - load, COMPUTE, "compute")]
        for length, colour, label in bars:
            if length > 0:
                axes.barh(row, length / size, left=now / size, color=colour, height=0.66, label=label)
                now += length
        axes.text(now / size, row, f" {readable(cost, problem.unit_of_cost)}", va="center", fontsize=7.5)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [short(problem.tasks[t]) for t in order])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.1 * total / size if total > 0 else 1)
    axes.set_xlabel(unit or "cost")
    what = "a period" if problem.closed else "in all"
    expected = (
        ""
        if problem.is_plain
        else f"; {readable(problem.cost(order), problem.unit_of_cost)} as memory and chance have it"
    )
    axes.set_title(f"order: {readable(total, problem.unit_of_cost)} {what}{expected}", loc="left")
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    if problem.graph is not None and first:
        axes.legend(first.values(), first.keys(), loc="lower left", frameon=False)


def _load_of(problem: OrderingProblem, before: int | None, task: int) -> float:
    """The part of a step that loads; 0 where costs are given as a whole."""
    graph = problem.graph
    if graph is None or problem.tools is not None:
        return 0.0
    if before is not None:
        return float(graph.below_shared(graph.costs.load)[before, task])
    ordering = problem.instance.ordering
    warm = ordering is not None and ordering.start == "warm"
    return 0.0 if warm else float(graph.whole(graph.costs.load)[task])


def write_affinity(instance: Instance, path: str | Path, *, overwrite: bool = False) -> None:
    """Draw the affinity of the tasks as heat maps, one for each branch point; errors are those of `write_task_plan`."""
    sharing = instance.sharing
    if sharing is None or not sharing.affinity:
        raise UnsupportedError("the instance has no affinity to draw")
    names = [short(task.name) for task in instance.effective_tasks()]
    affinity = np.array(sharing.affinity, dtype=float)
    points = list(sharing.branch_points) or [f"branch point {d}" for d in range(len(affinity))]
    write_figure(lambda: _draw_affinity(affinity, names, points), path, overwrite=overwrite)


def _draw_affinity(affinity: np.ndarray, names: list[str], points: list[str]) -> Any:
    from matplotlib.figure import Figure

    columns = 2 if len(affinity) == 4 else min(3, len(affinity))
    rows = -(-len(affinity) // columns)
    side = max(2.6, 0.34 * len(names))
    figure = Figure(figsize=(columns * side + 1.2, rows * side + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    image: Any = None
    for number, axes in enumerate(panels):
        if number >= len(affinity):
            axes.set_axis_off()
            continue
        image = axes.imshow(affinity[number], vmin=min(0.0, float(affinity.min())), vmax=1.0, cmap="viridis")
        axes.set_title(short(points[number]), fontsize=9)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names if number % columns == 0 else [], fontsize=7)
        axes.tick_params(length=0)
        if len(names) <= SHOWN_VALUES:
            for i in range(len(names)):
                for j in range(len(names)):
                    value = float(affinity[number, i, j])
                    colour = "black" if value > 0.55 else "white"
                    axes.text(
                        j,
                        i,
                        f"{value:.2f}".removeprefix("0"),
                        ha="center",
                        va="center",
                        fontsize=5.5,
                        color=colour,
                    )
    figure.colorbar(image, ax=panels.tolist(), shrink=0.8, label="affinity")
    return figure
