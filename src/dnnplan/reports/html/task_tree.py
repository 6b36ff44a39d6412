"""A task graph as a chart: blocks from left to right, each node as high as the tasks that share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dnnplan.costs.sharing.graph import TaskGraph
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import COLOURS, hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import readable

NAMED = 8
Group = tuple[int, ...]


def tree_figure(
    graph: TaskGraph,
    names: Sequence[str],
    order: Sequence[int],
    unit: str | None,
    networks: Mapping[Group, int] | None = None,
) -> Figure:
    """The tree; `networks` gives nodes the colours that their tasks have in the Gantt chart."""
    place = {task: row for row, task in enumerate(tidy_order(graph, order, len(names)))}
    shared = [(v, b, group) for v, (b, group) in enumerate(graph.nodes) if len(group) > 1]
    alone = [(v, b, group) for v, (b, group) in enumerate(graph.nodes) if len(group) == 1]
    figures = _Figures(graph, names, unit)
    traces = [
        _boxes(title, own, place, figures, networks, colour)
        for title, own, colour in (
            ("shared by several tasks", shared, "@c0/75"),
            ("of one task", alone, "@c7/55"),
        )
        if own
    ]
    blocks = len(graph.costs.bytes)
    return Figure(
        key="tree",
        title="Task graph",
        caption=(
            "The networks from left to right, block by block; a box is a block that runs once for the tasks "
            "beside it, and "
            f"boxes part where tasks stop sharing. {len(graph.nodes)} nodes with "
            f"{readable(graph.size, 'bytes')}; without "
            f"sharing it would be {blocks * len(names)} nodes."
        ),
        variants=[Variant("tree", traces, _table(figures))],
        layout={
            "height": int(90 + 34 * len(names)),
            "legend": networks is None,
            "left": 24 + 7 * min(24, max(map(len, names))),
            "xaxis": {
                "tickvals": [b + 0.5 for b in range(blocks)],
                "ticktext": [block_name(graph, b) for b in range(blocks)],
                "range": [0, blocks],
                "showgrid": False,
                "side": "bottom",
            },
            "yaxis": {
                "tickvals": list(range(len(names))),
                "ticktext": [label(names[t], 24) for t in sorted(place, key=lambda t: place[t])],
                "range": [len(names) - 0.45, -0.55],
                "showgrid": False,
                "fixedrange": True,
            },
        },
    )


class _Figures:
    """Bytes and costs of nodes, in words."""

    def __init__(self, graph: TaskGraph, names: Sequence[str], unit: str | None) -> None:
        self.graph, self.names, self.unit = graph, names, unit
        self.bytes = graph.of_nodes(graph.costs.bytes)
        self.compute = graph.of_nodes(graph.costs.compute)
        self.load = graph.of_nodes(graph.costs.load)

    def tasks(self, group: Group) -> str:
        """The tasks of a node."""
        more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
        return ", ".join(shown(self.names[t], 40) for t in group[:NAMED]) + more

    def told(self, v: int, block: int, group: Group) -> str:
        """What is seen over a node."""
        return hover(
            f"{block_name(self.graph, block)}: {self.tasks(group)}",
            f"{readable(float(self.bytes[v]), 'bytes')}",
            f"compute {readable(float(self.compute[v]), self.unit)}, load {readable(float(self.load[v]), self.unit)}",
        )


def _boxes(
    title: str,
    nodes: Sequence[tuple[int, int, Group]],
    place: Mapping[int, int],
    figures: _Figures,
    networks: Mapping[Group, int] | None,
    colour: str,
) -> dict[str, Any]:
    spans = [(min(place[t] for t in group), max(place[t] for t in group)) for _, _, group in nodes]
    own = [
        f"@c{networks[group] % COLOURS}/75" if networks is not None and group in networks else colour
        for _, _, group in nodes
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": title,
        "legendgroup": title,
        "base": [b + 0.04 for _, b, _ in nodes],
        "x": [0.92] * len(nodes),
        "y": [(low + high) / 2 for low, high in spans],
        "width": [high - low + 0.8 for low, high in spans],
        "marker": {"color": own if networks is not None else colour, "line": {"width": 1, "color": "@card"}},
        "hoverinfo": "text",
        "text": [figures.told(v, b, group) for v, b, group in nodes],
        "customdata": [readable(float(figures.bytes[v]), "bytes") for v, _, _ in nodes],
        "texttemplate": "%{customdata}",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {"color": "@ink", "size": 11},
        "constraintext": "both",
    }


def tidy_order(graph: TaskGraph, order: Sequence[int], count: int) -> list[int]:
    """Tasks from top to bottom: in their order where that keeps the tasks of every node together, else depth first."""
    keys = np.asarray(graph.node).T.tolist()
    if len(order) == count:
        place = {task: p for p, task in enumerate(order)}
        spans = ((max(place[t] for t in g) - min(place[t] for t in g), len(g)) for _, g in graph.nodes)
        if all(span == size - 1 for span, size in spans):
            return list(order)
    return sorted(range(count), key=lambda t: keys[t])


def block_name(graph: TaskGraph, block: int) -> str:
    """A block in words."""
    level = graph.costs.level(block)
    if level is None:
        return "stem" if block == 0 and graph.costs.stem else "head"
    return f"block {level + 1}"


def _table(figures: _Figures) -> Table:
    rows = [
        [
            Cell(block_name(figures.graph, b), b),
            Cell(figures.tasks(group)),
            Cell(str(len(group)), len(group)),
            Cell(readable(float(figures.bytes[v]), "bytes"), float(figures.bytes[v])),
            Cell(readable(float(figures.compute[v]), figures.unit), float(figures.compute[v])),
            Cell(readable(float(figures.load[v]), figures.unit), float(figures.load[v])),
        ]
        for v, (b, group) in enumerate(figures.graph.nodes)
    ]
    columns = [
        Column("block"),
        Column("tasks"),
        *(Column(n, True) for n in ("number of tasks", "size", "compute", "load")),
    ]
    return Table(title="Nodes of the task graph", caption="Block by block.", columns=columns, rows=rows)
