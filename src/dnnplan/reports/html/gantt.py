"""The Gantt chart of a plan: bars of devices and links, the critical path, and memory below on the same axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from dnnplan.costs import Evaluation
from dnnplan.costs.explain import Step
from dnnplan.costs.residency import memory_levels
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import COLOURS, hover, label
from dnnplan.reports.schedule import Bar, Row, Schedule
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import percent, readable, scale_for

MOST_BARS = 4000
"""Bars that are drawn; of longer plans neighbours of one network are drawn as one."""
MOST_ROWS = 60
MOST_LABELS = 160
"""Bars up to which they have their names inside."""
MOST_MOMENTS = 1200
"""Steps of a memory profile that are drawn; of more the highest of each stretch."""
MOST_MEMORIES = 12
MANY_STEPS = 40
"""Steps of the critical path from which outlines are thin."""
_PATTERNS = ("", "/", ".", "x")
_MEMORY_PIXELS = 170
CRITICAL = "critical path"


@dataclass(frozen=True)
class _Lane:
    """Where a bar is drawn: the centre and the height of its lane."""

    centre: float
    height: float


def gantt_figure(schedule: Schedule, evaluation: Evaluation, path: Sequence[Step]) -> Figure:
    """The chart, with the steps of the critical path outlined."""
    rows = _drawn(schedule)
    rows, merged = _merged(rows)
    size, unit = scale_for(schedule.latency, "s")
    places, ticks, total = _layout(rows)
    names = {step.name for step in path if step.kind != "wait"}
    traces = _bars(schedule, rows, places, size, names)
    traces += _critical(rows, places, path, size)
    memory, capacities = _memory(evaluation, schedule.latency, size)
    chart = 34 if len(rows) <= 24 else 24
    above = int(46 + chart * total)
    below = _MEMORY_PIXELS if memory else 0
    split = below / (above + below)
    layout: dict[str, Any] = {
        "height": above + below + 50,
        "left": 30 + 7 * min(28, max(len(name) for _, name in ticks)),
        "xaxis": {
            "title": f"time ({unit})",
            "range": [0, schedule.latency / size * 1.004 or 1],
            "anchor": "y2" if memory else "y",
            "minallowed": 0,
        },
        "yaxis": {
            "tickvals": [centre for centre, _ in ticks],
            "ticktext": [name for _, name in ticks],
            "range": [total, 0],
            "fixedrange": True,
            "showgrid": False,
            "domain": [split + 0.06 if memory else 0, 1],
        },
    }
    if memory:
        layout["yaxis2"] = {
            "domain": [0, split - 0.02],
            "rangemode": "tozero",
            "fixedrange": True,
            "nticks": 4,
            "title": f"memory ({_memory_unit(evaluation)[1]})",
        }
    return Figure(
        key="gantt",
        title="Where and when: Gantt chart",
        caption=_caption(schedule, rows, merged, bool(memory), capacities),
        variants=[Variant("gantt", traces + memory, _table(schedule, rows, names))],
        layout=layout,
    )


def _caption(schedule: Schedule, rows: Sequence[Row], merged: bool, memory: bool, capacities: bool) -> str:
    text = (
        "Each row is a device or a link, each bar something that runs or moves there, in the colour of its "
        "network; the "
        f"whole takes {readable(schedule.latency, 's')}. Outlined bars are the critical path, the chain that "
        "ends last. "
    )
    if any(bar.compute != (bar.start, bar.end) for row in rows for bar in row.bars):
        text += "Paler parts of a bar move tensors while the device waits. "
    if memory:
        text += "Below, how full each memory is"
        text += "; dotted lines are what it can hold." if capacities else "."
    left = len(schedule.used_rows) - len(rows)
    if left > 0:
        text += f" The {left} least busy rows are left out."
    if merged:
        text += f" The plan has more than {MOST_BARS:,} bars, so neighbours of one network are drawn as one."
    return text + " Drag to zoom in, double-click to see everything."


def _drawn(schedule: Schedule) -> list[Row]:
    """Devices in their order and links by how busy they are, as many as there is room for."""
    devices = [row for row in schedule.used_rows if row.kind == "device"]
    links = sorted((row for row in schedule.used_rows if row.kind == "link"), key=lambda row: -row.share)
    if len(devices) > MOST_ROWS:
        busiest = {id(row) for row in sorted(devices, key=lambda row: -row.share)[:MOST_ROWS]}
        devices = [row for row in devices if id(row) in busiest]
    return [*devices, *links[: max(0, MOST_ROWS - len(devices))]]


def _merged(rows: Sequence[Row]) -> tuple[list[Row], bool]:
    """Rows with at most so many bars: the shorter a gap, the earlier it is closed."""
    count = sum(len(row.bars) for row in rows)
    if count <= MOST_BARS:
        return list(rows), False
    latest = max(bar.end for row in rows for bar in row.bars)
    gap = 0.0
    found = list(rows)
    while count > MOST_BARS and gap <= latest:
        found = [replace(row, bars=joined(row.bars, gap)) for row in rows]
        count = sum(len(row.bars) for row in found)
        gap = max(gap * 2, latest * 1e-5)
    return found, True


def joined(bars: Sequence[Bar], gap: float) -> list[Bar]:
    """Bars in the order of their starts, neighbours of one network and lane as one where the gap is not longer."""
    found: list[Bar] = []
    last: dict[int, int] = {}
    counts: list[int] = []
    for bar in bars:
        k = last.get(bar.lane)
        if k is None or found[k].network != bar.network or bar.start - found[k].end > gap:
            last[bar.lane] = len(found)
            counts.append(1)
            found.append(bar)
            continue
        counts[k] += 1
        first = found[k].name.split(" ... ")[0]
        found[k] = replace(
            found[k],
            name=f"{first} ... {bar.name}",
            detail=f"{counts[k]} bars",
            end=max(found[k].end, bar.end),
            compute=(found[k].start, max(found[k].end, bar.end)),
        )
    return found


def _layout(rows: Sequence[Row]) -> tuple[dict[tuple[int, int], _Lane], list[tuple[float, str]], float]:
    """Lanes by (row, lane), the ticks, and the height of all rows; devices are higher than links."""
    places: dict[tuple[int, int], _Lane] = {}
    ticks = []
    top = 0.1
    for r, row in enumerate(rows):
        height = 0.9 if row.kind == "device" else 0.5
        lanes = max(1, row.lanes)
        part = max(height / lanes, 0.22)
        for lane in range(lanes):
            places[r, lane] = _Lane(top + (lane + 0.5) * part, part * (0.94 if lanes == 1 else 0.86))
        name = f"{label(row.name, 22)} {percent(round(row.share, 2))}"
        ticks.append((top + lanes * part / 2, name))
        top += lanes * part + (0.14 if row.kind == "device" else 0.1)
    return places, ticks, top


def _bars(
    schedule: Schedule,
    rows: Sequence[Row],
    places: dict[tuple[int, int], _Lane],
    size: float,
    critical: set[str],
) -> list[dict[str, Any]]:
    """A trace of whole bars for each network, and one of what computes where a part of them moves tensors."""
    traces: list[dict[str, Any]] = []
    count = sum(len(row.bars) for row in rows)
    for network, name in enumerate(schedule.networks):
        own = [(r, row, bar) for r, row in enumerate(rows) for bar in row.bars if bar.network == network]
        if not own:
            continue
        own.sort(key=lambda entry: (entry[2].start, entry[0]))
        waits = any(bar.compute != (bar.start, bar.end) for _, _, bar in own)
        common: dict[str, Any] = {
            "type": "bar",
            "orientation": "h",
            "name": label(name),
            "legendgroup": f"n{network}",
            "y": [places[r, bar.lane].centre for r, _, bar in own],
            "width": [places[r, bar.lane].height for r, _, bar in own],
            "textposition": "none",
        }
        marker: dict[str, Any] = {"color": f"@c{network % COLOURS}", "line": {"width": 0.6, "color": "@card"}}
        pattern = _PATTERNS[network // COLOURS % len(_PATTERNS)]
        if pattern:
            marker["pattern"] = {"shape": pattern, "size": 6, "solidity": 0.35}
        faint = {**marker, "color": f"@c{network % COLOURS}/45"} if waits else marker
        whole: dict[str, Any] = {
            **common,
            "base": [bar.start / size for _, _, bar in own],
            "x": [(bar.end - bar.start) / size for _, _, bar in own],
            "hoverinfo": "text",
            "text": [_told(row, bar, name, bar.name in critical) for _, row, bar in own],
            "marker": faint,
        }
        if count <= MOST_LABELS and not waits:
            whole |= _inside(own)
        traces.append(whole)
        if waits:
            computes: dict[str, Any] = {
                **common,
                "base": [bar.compute[0] / size for _, _, bar in own],
                "x": [(bar.compute[1] - bar.compute[0]) / size for _, _, bar in own],
                "hoverinfo": "skip",
                "marker": marker,
                "showlegend": False,
            }
            traces.append(computes)
    return traces


def _inside(own: Sequence[tuple[int, Row, Bar]]) -> dict[str, Any]:
    """Names inside the bars of small plans."""
    return {
        "customdata": [label(bar.detail, 24) if row.kind == "device" else "" for _, row, bar in own],
        "texttemplate": "%{customdata}",
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "constraintext": "none",
        "insidetextfont": {"color": "@paper", "size": 11},
    }


def _told(row: Row, bar: Bar, network: str, critical: bool) -> str:
    seconds = bar.end - bar.start
    compute = bar.compute[1] - bar.compute[0]
    parts = "" if compute >= seconds * (1 - 1e-9) else f"computes {readable(compute, 's')} of it"
    return hover(
        f"{bar.name} on {row.name}",
        f"network {network}",
        f"{readable(bar.start, 's')} to {readable(bar.end, 's')}: {readable(seconds, 's')}",
        parts,
        "on the critical path" if critical else "",
    )


def _critical(
    rows: Sequence[Row], places: dict[tuple[int, int], _Lane], path: Sequence[Step], size: float
) -> list[dict[str, Any]]:
    """Outlines of the steps of the critical path, and thin lines from one to the next."""
    by_name: dict[str, tuple[int, int]] = {
        bar.name: (r, bar.lane) for r, row in enumerate(rows) for bar in row.bars
    }
    steps = [
        (step, places[by_name[step.name]]) for step in path if step.name in by_name and step.end > step.start
    ]
    if not steps:
        return []
    outline = {
        "type": "bar",
        "orientation": "h",
        "name": CRITICAL,
        "legendgroup": CRITICAL,
        "base": [step.start / size for step, _ in steps],
        "x": [(step.end - step.start) / size for step, _ in steps],
        "y": [lane.centre for _, lane in steps],
        "width": [lane.height for _, lane in steps],
        "marker": {
            "color": "@none",
            "line": {"width": 2.2 if len(steps) <= MANY_STEPS else 1.2, "color": "@critical"},
        },
        "hoverinfo": "text",
        "text": [
            hover(
                f"{step.name}, {step.where}",
                f"{readable(step.start, 's')} to {readable(step.end, 's')}",
                f"on the critical path; not earlier because: {step.reason}",
            )
            for step, _ in steps
        ],
        "textposition": "none",
    }
    x: list[float | None] = []
    y: list[float | None] = []
    for (_, lane), (after, later) in pairwise(steps):
        x += [after.start / size, after.start / size, None]
        y += [lane.centre, later.centre, None]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": CRITICAL,
        "legendgroup": CRITICAL,
        "showlegend": False,
        "hoverinfo": "skip",
        "x": x,
        "y": y,
        "line": {"color": "@critical", "width": 1.4, "dash": "dot"},
    }
    return [line, outline]


def _memory_unit(evaluation: Evaluation) -> tuple[float, str]:
    return scale_for(max(evaluation.cost.memory.values(), default=0.0), "bytes")


def _memory(evaluation: Evaluation, latency: float, size: float) -> tuple[list[dict[str, Any]], bool]:
    """Profiles of the fullest memories and what they can hold; the latter only where it is near."""
    peaks = evaluation.cost.memory
    names = evaluation.problem.memory_names
    fullest = sorted(
        (m for m, name in enumerate(names) if peaks.get(name, 0.0) > 0), key=lambda m: -peaks[names[m]]
    )
    drawn = fullest[:MOST_MEMORIES]
    if not drawn:
        return [], False
    scale, _ = _memory_unit(evaluation)
    levels = memory_levels(evaluation.graph, evaluation.times)
    highest = max(peaks[names[m]] for m in drawn)
    traces: list[dict[str, Any]] = []
    capacities = False
    for place, m in enumerate(drawn):
        moments, held = _thinned(*levels[m])
        capacity = float(evaluation.problem.capacity[m])
        colour = f"@c{(place + 4) % COLOURS}"
        common = {"type": "scatter", "yaxis": "y2", "legendgroup": f"m{m}", "mode": "lines"}
        share = f"{percent(peaks[names[m]] / capacity)} of it at most" if 0 < capacity < float("inf") else ""
        text = [
            hover(
                f"memory {names[m]}", f"from {readable(float(t), 's')}: {readable(float(b), 'bytes')}", share
            )
            for t, b in zip(moments, held, strict=True)
        ]
        traces.append(
            {
                **common,
                "name": label(names[m] if "memory" in names[m] else f"memory {names[m]}", 36),
                "x": [*(moments / size).tolist(), latency / size],
                "y": [*(held / scale).tolist(), float(held[-1]) / scale],
                "text": [*text, text[-1]],
                "hoverinfo": "text",
                "line": {"color": colour, "width": 1.8, "shape": "hv"},
                "fill": "tozeroy" if place == 0 else "none",
                "fillcolor": f"{colour}/12",
            }
        )
        if 0 < capacity <= 1.5 * highest:
            capacities = True
            limit = {"color": colour, "width": 1.4, "dash": "dot"}
            ends = {"x": [0, latency / size], "y": [capacity / scale] * 2}
            traces.append(
                {
                    **common,
                    **ends,
                    "name": label(names[m], 36),
                    "line": limit,
                    "hoverinfo": "skip",
                    "showlegend": False,
                }
            )
    return traces, capacities


def _thinned(moments: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most so many steps: of each stretch the highest, so that peaks stay."""
    if len(moments) <= MOST_MOMENTS:
        return moments, held
    edges = np.linspace(0, len(moments), MOST_MOMENTS, dtype=np.int64)
    kept = np.array([a + int(np.argmax(held[a:b])) for a, b in pairwise(edges.tolist())])
    return moments[kept], held[kept]


def _table(schedule: Schedule, rows: Sequence[Row], critical: set[str]) -> Table:
    cells = [
        [
            Cell(shown(row.name)),
            Cell(shown(bar.name)),
            Cell(shown(schedule.networks[bar.network]) if bar.network >= 0 else "-"),
            Cell(readable(bar.start, "s"), bar.start),
            Cell(readable(bar.end, "s"), bar.end),
            Cell(readable(bar.end - bar.start, "s"), bar.end - bar.start),
            Cell("critical" if bar.name in critical else ""),
        ]
        for row in rows
        for bar in row.bars
    ]
    columns = [Column("where"), Column("what"), Column("network")]
    columns += [Column(name, True) for name in ("start", "end", "takes")] + [Column("path")]
    return Table(title="Bars of the Gantt chart", caption="As drawn.", columns=columns, rows=cells)
