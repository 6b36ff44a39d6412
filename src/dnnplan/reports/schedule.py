"""What every picture of a plan is drawn from: rows for devices and links, with bars on them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import Literal

from dnnplan.costs import Evaluation
from dnnplan.costs.critical_path import compute_spans, job_name
from dnnplan.costs.explain import device_use, link_use
from dnnplan.costs.objectives import objective_name, objective_unit, objective_value
from dnnplan.instances import Result

MOST_LINKS = 12
"""Links that pictures show; platforms with a link for every pair of devices have many."""
UNNAMED_LINK = "transfers"
"""Row of transfers that take their time from a table and have no link."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A call or a transfer on its row.

    Parameters
    ----------
    name, detail
        The call or transfer identifier, and a short label for inside the bar.
    network
        Index into `Schedule.networks`; -1: none.
    start, end
        Seconds.
    compute
        Start and end of the part of a call in which it computes, seconds; the rest moves tensors.
    lane
        Bars of one row that run at the same time are on different lanes.
    index
        The call, or the transfer, in the evaluation.
    """

    name: str
    detail: str
    network: int
    start: float
    end: float
    compute: tuple[float, float]
    index: int
    lane: int = 0


@dataclass(kw_only=True)
class Row:
    """A device or a link: its bars in the order of their starts, and the part of the makespan it is busy."""

    name: str
    kind: Literal["device", "link"]
    share: float = 0.0
    lanes: int = 1
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Rows with bars, the names of the networks that colour them, and the figures of a title.

    `latency` in seconds; `value`, `bound` in `unit`; bound and gap are None where nothing is known.
    """

    name: str
    rows: tuple[Row, ...]
    networks: tuple[str, ...]
    latency: float
    objective: str = "latency"
    value: float | None = None
    bound: float | None = None
    gap: float | None = None
    unit: str | None = "s"

    @property
    def used_rows(self) -> tuple[Row, ...]:
        """All devices, and the links that something moves on."""
        return tuple(row for row in self.rows if row.kind == "device" or row.bars)

    @property
    def drawn_rows(self) -> tuple[Row, ...]:
        """All devices, and the busiest links: what a picture has room for."""
        links = sorted((row for row in self.used_rows if row.kind == "link"), key=lambda row: -row.share)
        drawn = {id(row) for row in links[:MOST_LINKS]}
        return tuple(row for row in self.used_rows if row.kind == "device" or id(row) in drawn)


def make_schedule(evaluation: Evaluation, result: Result | None = None) -> Schedule:
    """Collect rows and bars of a plan; `result` adds what is known about its quality."""
    problem, graph, times = evaluation.problem, evaluation.graph, evaluation.times
    names = [job_name(problem.jobs[job]) for job in graph.job]
    networks = tuple(dict.fromkeys(job_name(job) for job in problem.jobs))
    index = {name: i for i, name in enumerate(networks)}
    devices = [Row(name=use.name, kind="device", share=use.share) for use in device_use(evaluation)]
    links = [Row(name=use.name, kind="link", share=use.share) for use in link_use(evaluation)]
    spans = compute_spans(graph, times)
    bars: list[list[Bar]] = [[] for _ in devices]
    for c, d in enumerate(graph.device):
        name = evaluation.decisions.call_names[c]
        bars[d].append(
            Bar(
                name=name,
                detail=_short(name),
                network=index[names[c]],
                start=times.start[c],
                end=times.end[c],
                compute=spans[c],
                index=c,
            )
        )
    for row, own in zip(devices, bars, strict=True):
        _fill(row, own)
    _add_transfers(evaluation, links, [index[name] for name in names])
    known = result if result is not None and result.objective.value is not None else None
    terms = problem.stages[0]
    name = objective_name(problem.stages[:1])
    return Schedule(
        name=problem.instance.name,
        rows=(*devices, *links),
        networks=networks,
        latency=evaluation.cost.latency,
        objective=known.objective.name if known else name,
        value=known.objective.value if known else objective_value(terms, evaluation.cost),
        bound=known.bound if known else None,
        gap=known.gap if known else None,
        unit=known.objective.unit if known else objective_unit(terms),
    )


def _add_transfers(evaluation: Evaluation, links: list[Row], network: list[int]) -> None:
    problem, graph = evaluation.problem, evaluation.graph
    bars: dict[int, list[Bar]] = {}
    for i, t in enumerate(evaluation.times.transfers):
        if t.end <= t.start:
            continue
        channel = int(problem.routes.channel[t.source, t.target])
        name = t.name(graph)
        detail = _short(name.split(" to ")[0].split(" for ")[0])
        bar = Bar(
            name=name,
            detail=detail,
            network=network[t.call],
            start=t.start,
            end=t.end,
            compute=(t.start, t.end),
            index=i,
        )
        bars.setdefault(channel, []).append(bar)
    for channel, own in bars.items():
        if channel < 0:
            links.append(Row(name=UNNAMED_LINK, kind="link"))
        _fill(links[channel], own)


def _short(name: str) -> str:
    """A call without task and job."""
    parts = name.split("/", 2)
    return parts[2] if len(parts) == 3 else name


def _fill(row: Row, bars: list[Bar]) -> None:
    """Put bars on the lowest lane that is free."""
    free: list[tuple[float, int]] = []
    idle: list[int] = []
    for bar in sorted(bars, key=lambda b: (b.start, b.end, b.index)):
        while free and free[0][0] <= bar.start:
            heapq.heappush(idle, heapq.heappop(free)[1])
        lane = heapq.heappop(idle) if idle else len(free)
        heapq.heappush(free, (bar.end, lane))
        row.lanes = max(row.lanes, lane + 1)
        row.bars.append(replace(bar, lane=lane))
