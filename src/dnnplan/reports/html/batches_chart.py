"""A serving plan as a chart: the batches of every device over time, and the latency of every sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dnnplan.costs.serving.evaluate import ServingTimes, serving_times
from dnnplan.costs.serving.offline import OfflineServing, offline_serving
from dnnplan.instances import Instance, Plan
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.style import COLOURS, hover, label
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import readable, scale_for

MOST_BATCHES = 4000
NAMED = 12

Decisions = Sequence[tuple[int, tuple[int, ...]]]


def serving_figures(
    instance: Instance, plan: Plan
) -> tuple[Figure, Figure, dict[str, tuple[float, str | None]]]:
    """Batches and latencies of a plan, and its measures with their units.

    Raises
    ------
    PlanError, InputError, UnsupportedError
        The plan does not fit the instance, or its samples are not all known.
    """
    view = offline_serving(instance)
    judged = view.judge(plan)
    times = serving_times(view.serving, view.samples, judged.decisions)
    measures = {name: (value, view.unit(name)) for name, value in judged.measures.items()}
    return _batches(view, judged.decisions, times), _latencies(view, times), measures


def _batches(view: OfflineServing, decisions: Decisions, times: ServingTimes) -> Figure:
    problem = view.serving
    used = sorted({int(problem.device[q]) for q, _ in decisions})
    place = {d: k for k, d in enumerate(used)}
    end = float(times.end.max(initial=0.0))
    size, unit = scale_for(end, "s")
    drawn = list(enumerate(decisions))[:MOST_BATCHES]
    largest = max((len(members) for _, members in decisions), default=1)
    traces, rows = [], []
    for q, stage in enumerate(problem.stages):
        own = [(k, members) for k, (stage_, members) in drawn if stage_ == q]
        if own:
            traces.append(_stage(stage, q, own, times, place[int(problem.device[q])], largest, size))
    for k, (q, members) in drawn:
        rows.append(
            [
                Cell(shown(problem.devices[int(problem.device[q])])),
                Cell(shown(problem.stages[q])),
                Cell(str(len(members)), len(members)),
                Cell(_named(members)),
                Cell(readable(float(times.start[k]), "s"), float(times.start[k])),
                Cell(readable(float(times.end[k]), "s"), float(times.end[k])),
            ]
        )
    left = len(decisions) - len(drawn)
    more = f" The first {MOST_BATCHES:,} of {len(decisions):,} batches are drawn." if left else ""
    columns = [
        Column("device"),
        Column("stage"),
        Column("samples", True),
        Column("which"),
        Column("start", True),
        Column("end", True),
    ]
    return Figure(
        key="batches",
        title="Batches over time",
        caption=(
            "Each bar is a batch on its device, as high as the number of its samples, in the colour of its stage."
            + more
        ),
        variants=[
            Variant(
                "batches", traces, Table(title="Batches", caption="As drawn.", columns=columns, rows=rows)
            )
        ],
        layout={
            "height": 120 + 110 * len(used),
            "left": 24 + 7 * min(22, max((len(problem.devices[d]) for d in used), default=4)),
            "xaxis": {"title": f"time ({unit})", "range": [0, end / size * 1.004 or 1], "minallowed": 0},
            "yaxis": {
                "tickvals": [k + 0.45 for k in range(len(used))],
                "ticktext": [label(problem.devices[d], 22) for d in used],
                "range": [len(used), -0.05],
                "fixedrange": True,
                "showgrid": False,
            },
        },
    )


def _stage(
    stage: str,
    q: int,
    own: Sequence[tuple[int, tuple[int, ...]]],
    times: ServingTimes,
    row: int,
    largest: int,
    size: float,
) -> dict[str, Any]:
    heights = [0.9 * len(members) / largest for _, members in own]
    return {
        "type": "bar",
        "orientation": "h",
        "name": label(stage),
        "legendgroup": f"q{q}",
        "base": [float(times.start[k]) / size for k, _ in own],
        "x": [float(times.end[k] - times.start[k]) / size for k, _ in own],
        "y": [row + 0.9 - height / 2 for height in heights],
        "width": heights,
        "marker": {"color": f"@c{q % COLOURS}", "line": {"width": 0.6, "color": "@card"}},
        "hoverinfo": "text",
        "textposition": "none",
        "text": [
            hover(
                f"{stage}: {len(members)} samples",
                f"{readable(float(times.start[k]), 's')} to {readable(float(times.end[k]), 's')}",
                f"samples {_named(members)}",
            )
            for k, members in own
        ],
    }


def _named(members: Sequence[int]) -> str:
    more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
    return ", ".join(map(str, members[:NAMED])) + more


def _latencies(view: OfflineServing, times: ServingTimes) -> Figure:
    latency = np.sort(times.completion - view.samples.arrival)
    size, unit = scale_for(float(latency.max(initial=0.0)), "s")
    count = len(latency)
    step = max(1, count // 1000)
    chosen = sorted({*range(0, count, step), count - 1}) if count else []
    share = [(k + 1) / count for k in chosen]
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "latency",
        "x": [float(latency[k]) / size for k in chosen],
        "y": share,
        "line": {"color": "@c0", "width": 2.2, "shape": "hv"},
        "hoverinfo": "text",
        "text": [
            hover(f"{s:.1%} of the samples", f"within {readable(float(latency[k]), 's')}")
            for k, s in zip(chosen, share, strict=True)
        ],
    }
    rows = [
        [Cell(f"{s:.1%}", s), Cell(readable(float(latency[k]), "s"), float(latency[k]))]
        for k, s in zip(chosen, share, strict=True)
    ]
    columns = [Column("share of samples", True), Column("within", True)]
    return Figure(
        key="latencies",
        title="Latency of the samples",
        caption=f"Which share of the {count:,} samples has left so long after its arrival.",
        variants=[
            Variant(
                "latency", [trace], Table(title="Latencies", caption="As drawn.", columns=columns, rows=rows)
            )
        ],
        layout={
            "ytop": "share of samples",
            "xaxis": {"title": f"latency ({unit})", "rangemode": "tozero"},
            "yaxis": {"range": [0, 1.04], "tickformat": ".0%"},
        },
    )
