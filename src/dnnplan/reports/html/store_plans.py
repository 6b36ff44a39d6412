"""The plans in a store: the best exact above the best heuristic one of a case, on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dnnplan.costs.explain import covered
from dnnplan.instances import Plan
from dnnplan.reports.comparison.cases import Case, Run
from dnnplan.reports.comparison.pairs import Pair, Side
from dnnplan.reports.html.document import Cell, Column, Figure, Table, Variant
from dnnplan.reports.html.gantt import joined
from dnnplan.reports.html.style import COLOURS, hover, label
from dnnplan.reports.schedule import Bar
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import percent, readable, scale_for

MOST_BARS, MOST_BARS_OF_CASE = 6000, 1000
"""Bars of all cases, and of one; of longer plans neighbours are drawn as one, and later cases are left out."""
MOST_DEVICES = 24


@dataclass(frozen=True)
class _Drawn:
    """A plan that is drawn: its method, and bars by device; the network of a bar is a number."""

    method: str
    value: str
    devices: dict[str, list[Bar]]


def plans_figure(pairs: Sequence[Pair]) -> Figure | None:
    """Gantt charts of one case, which the reader chooses; None: no row has a plan with times."""
    variants: list[Variant] = []
    budget, left = MOST_BARS, 0
    for pair in pairs:
        networks: dict[str, int] = {}
        drawn = [
            d for side in (pair.exact, pair.heuristic) if (d := _drawn(pair.case, side, networks)) is not None
        ]
        count = sum(len(bars) for d in drawn for bars in d.devices.values())
        if not count:
            continue
        if count > budget:
            left += 1
            continue
        budget -= count
        variants.append(_variant(pair.case, drawn, list(networks)))
    if not variants:
        return None
    more = f" {left} cases are left out, their plans are long." if left else ""
    return Figure(
        key="plans",
        title="Plans: exact above heuristic",
        caption=(
            "Where and when the calls of the best exact and of the best heuristic plan run, in the colours of their "
            "networks and on the same axis of time. `dnnplan report` of a single plan also has links, memories and the "
            "critical path." + more
        ),
        variants=variants,
        choice="Case",
        layout={"xaxis": {"minallowed": 0}},
    )


def _drawn(case: Case, side: Side | None, networks: dict[str, int]) -> _Drawn | None:
    """The best run of a side that has times."""
    runs = [
        r for r in (side.runs if side is not None else ()) if r.value is not None and _plan(r) is not None
    ]
    if not runs:
        return None
    sign = -1.0 if case.maximise else 1.0
    best = min(runs, key=lambda run: sign * (run.value or 0.0))
    plan = _plan(best)
    assert plan is not None
    devices: dict[str, list[Bar]] = {}
    for device, bar in _bars(plan, networks):
        devices.setdefault(device, []).append(bar)
    for bars in devices.values():
        bars.sort(key=lambda bar: (bar.start, bar.end))
    kept = sorted(devices, key=lambda name: -sum(bar.end - bar.start for bar in devices[name]))[:MOST_DEVICES]
    shorter = _shortened({name: devices[name] for name in sorted(kept)})
    return _Drawn(best.method, readable(best.value, case.unit), shorter)


def _plan(run: Run) -> Plan | None:
    """The plan of a row, if it says where and when."""
    plan = run.row.plan
    return plan if plan is not None and plan.times and plan.placement else None


def _bars(plan: Plan, networks: dict[str, int]) -> Iterator[tuple[str, Bar]]:
    for name, (start, end) in plan.times.items():
        layers = (plan.calls or {}).get(name, (name,))
        device = plan.placement.get(layers[0]) if layers else None
        if device is None or not 0 <= start <= end < float("inf"):
            continue
        network = networks.setdefault(name.split("/", 1)[0], len(networks))
        yield (
            device,
            Bar(name=name, detail="", network=network, start=start, end=end, compute=(start, end), index=0),
        )


def _shortened(devices: dict[str, list[Bar]]) -> dict[str, list[Bar]]:
    """At most so many bars: the shorter a gap, the earlier it is closed."""
    latest = max((bar.end for bars in devices.values() for bar in bars), default=0.0)
    found, gap = devices, 0.0
    while sum(map(len, found.values())) > MOST_BARS_OF_CASE / 2 and gap <= latest:
        found = {name: joined(bars, gap) for name, bars in devices.items()}
        gap = max(2 * gap, 1e-5 * latest)
    return found


def _variant(case: Case, drawn: Sequence[_Drawn], networks: Sequence[str]) -> Variant:
    latest = max(bar.end for d in drawn for bars in d.devices.values() for bar in bars)
    size, unit = scale_for(latest, "s")
    own: dict[int, list[tuple[float, str, str, Bar]]] = {}
    ticks, rows, top = [], [], 0.5
    for d in drawn:
        for device, bars in d.devices.items():
            ticks.append((top, f"{label(d.method, 16)}: {label(device, 16)}"))
            busy = covered((bar.start, bar.end) for bar in bars)
            rows.append(_row(d, device, bars, busy, latest))
            for bar in bars:
                own.setdefault(bar.network, []).append((top, d.method, device, bar))
            top += 1
        top += 0.6
    traces = [_trace(networks[k], k, own[k], size) for k in sorted(own)]
    columns = [Column("method"), Column("value", True), Column("device"), Column("bars", True)]
    columns += [Column(name, True) for name in ("busy", "of the time", "last end")]
    name = shown(f"{case.suite}: {case.name}" if case.suite else case.name)
    table = Table(title=f"Devices of {name}", caption="How busy each device is.", columns=columns, rows=rows)
    layout = {
        "height": int(90 + 30 * top),
        "left": 24 + 7 * max(len(tick) for _, tick in ticks),
        "xaxis": {"title": f"time ({unit})", "range": [0, latest / size * 1.004 or 1], "minallowed": 0},
        "yaxis": {
            "tickvals": [centre for centre, _ in ticks],
            "ticktext": [tick for _, tick in ticks],
            "range": [top - 0.5, -0.1],
            "fixedrange": True,
            "showgrid": False,
        },
    }
    return Variant(name, traces, table, layout)


def _row(d: _Drawn, device: str, bars: Sequence[Bar], busy: float, latest: float) -> list[Cell]:
    share = busy / latest if latest > 0 else 0.0
    last = max(bar.end for bar in bars)
    return [
        Cell(shown(d.method, 40)),
        Cell(d.value),
        Cell(shown(device)),
        Cell(str(len(bars)), len(bars)),
        Cell(readable(busy, "s"), busy),
        Cell(percent(share), share),
        Cell(readable(last, "s"), last),
    ]


def _trace(
    network: str, number: int, own: Sequence[tuple[float, str, str, Bar]], size: float
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": label(network),
        "legendgroup": f"n{number}",
        "base": [bar.start / size for *_, bar in own],
        "x": [(bar.end - bar.start) / size for *_, bar in own],
        "y": [centre for centre, *_ in own],
        "width": [0.82] * len(own),
        "marker": {"color": f"@c{number % COLOURS}", "line": {"width": 0.6, "color": "@card"}},
        "hoverinfo": "text",
        "textposition": "none",
        "text": [
            hover(
                f"{method}: {bar.name} on {device}",
                f"{readable(bar.start, 's')} to {readable(bar.end, 's')}: {readable(bar.end - bar.start, 's')}",
            )
            for _, method, device, bar in own
        ],
    }
