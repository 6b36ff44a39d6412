"""A plan as trace events that Perfetto and Chrome's ``about:tracing`` open.

Format: Google, "Trace Event Format" (JSON object form). Devices and links are two processes, each row is a
thread; what runs at the same time on one row gets further threads. Arrows lead from the call that makes a
tensor, over its transfers, to the calls that read it. Times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dnnplan.costs import Evaluation
from dnnplan.instances import Result
from dnnplan.reports.schedule import Bar, Row, Schedule, make_schedule

DEVICES, LINKS = 1, 2
Event = dict[str, Any]
Place = tuple[int, int, float, float]
"""Process, thread, start and end (seconds) of a slice."""


def trace_text(evaluation: Evaluation, result: Result | None = None) -> str:
    """The trace of a plan as JSON text; the same plan gives the same text."""
    schedule = make_schedule(evaluation, result)
    events = list(trace_events(evaluation, schedule))
    summary = {"instance": schedule.name, "latency_seconds": schedule.latency}
    tree = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": summary}
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")) + "\n"


def trace_events(evaluation: Evaluation, schedule: Schedule) -> Iterator[Event]:
    """All events: names of processes and threads, slices, and arrows."""
    yield _name("process_name", DEVICES, 0, "devices")
    yield _name("process_name", LINKS, 0, "links")
    calls: dict[int, Place] = {}
    moves: dict[int, Place] = {}
    thread = 0
    for row in schedule.used_rows:
        process = DEVICES if row.kind == "device" else LINKS
        for lane in range(row.lanes):
            label = row.name if lane == 0 else f"{row.name} ({lane + 1})"
            yield _name("thread_name", process, thread + lane, label)
            sort = {"sort_index": thread + lane}
            yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread + lane, "args": sort}
        for bar in row.bars:
            place = (process, thread + bar.lane, bar.start, bar.end)
            (calls if row.kind == "device" else moves)[bar.index] = place
            yield _slice(evaluation, schedule, row, bar, place)
        thread += row.lanes
    yield from _arrows(evaluation, calls, moves)


def _name(kind: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def _slice(evaluation: Evaluation, schedule: Schedule, row: Row, bar: Bar, place: Place) -> Event:
    network = schedule.networks[bar.network] if bar.network >= 0 else ""
    details = _call_details(evaluation, bar) if row.kind == "device" else _transfer_details(evaluation, bar)
    return {
        "ph": "X",
        "name": bar.detail,
        "cat": network,
        "pid": place[0],
        "tid": place[1],
        "ts": bar.start * 1e6,
        "dur": (bar.end - bar.start) * 1e6,
        "args": {"network": network, **details},
    }


def _call_details(evaluation: Evaluation, bar: Bar) -> dict[str, Any]:
    graph, problem = evaluation.graph, evaluation.problem
    layers = [problem.layers[i] for i in graph.decisions.calls[bar.index]]
    inputs = sum(graph.read_bytes(k, bar.index) for k in graph.inputs[bar.index])
    details: dict[str, Any] = {
        "layers": layers,
        "compute_us": (bar.compute[1] - bar.compute[0]) * 1e6,
        "input_bytes": inputs,
        "output_bytes": sum(float(problem.size[k]) for k in graph.produced[bar.index]),
    }
    if graph.load_bytes[bar.index] > 0:
        details["loaded_weight_bytes"] = graph.load_bytes[bar.index]
    return details


def _transfer_details(evaluation: Evaluation, bar: Bar) -> dict[str, Any]:
    transfer = evaluation.times.transfers[bar.index]
    ends = (*evaluation.problem.devices, "host")
    return {
        "transfer": bar.name,
        "kind": transfer.kind,
        "bytes": transfer.bytes,
        "from": ends[transfer.source],
        "to": ends[transfer.target],
    }


def _arrows(evaluation: Evaluation, calls: dict[int, Place], moves: dict[int, Place]) -> Iterator[Event]:
    """One flow for each tensor and reader: producer, its transfers in the order of time, reader."""
    graph, problem = evaluation.graph, evaluation.problem
    by_tensor: dict[int, list[int]] = {}
    for i in sorted(moves, key=lambda i: moves[i][2]):
        by_tensor.setdefault(evaluation.times.transfers[i].tensor, []).append(i)
    flow = 0
    for k, producer in enumerate(graph.producer):
        for reader in graph.reader_calls[k]:
            between = [i for i in by_tensor.get(k, ()) if _leads_to(evaluation, i, reader)]
            stops = [moves[i] for i in between]
            if producer >= 0:
                stops.insert(0, calls[producer])
            stops.append(calls[reader])
            if len(stops) < 2:
                continue
            flow += 1
            yield from _flow(flow, problem.tensors[k], stops)


def _leads_to(evaluation: Evaluation, index: int, reader: int) -> bool:
    """Whether a transfer is on the way of its tensor to a call."""
    t, device = evaluation.times.transfers[index], evaluation.graph.device[reader]
    if t.kind == "write":
        return t.end <= evaluation.times.start[reader]
    if t.kind == "read" and t.call != reader and (t.tensor, device) not in evaluation.decisions.kept:
        return False
    return t.target == device and t.end <= evaluation.times.end[reader]


def _flow(flow: int, tensor: str, stops: list[Place]) -> Iterator[Event]:
    """The events of one arrow; each binds to the slice that encloses its moment."""
    moments = [(start + end) / 2 for _, _, start, end in stops]
    # Without overlap transfers lie inside the slices of their calls: the arrow must still go forward.
    begin, end = stops[0][2:]
    moments[0] = max(begin, min(begin + (end - begin) * 0.999, stops[1][2]))
    moments[-1] = max(stops[-1][2], moments[-2])
    for position, (process, thread, _, _) in enumerate(stops):
        first, last = position == 0, position == len(stops) - 1
        event: Event = {
            "ph": "s" if first else ("f" if last else "t"),
            "id": flow,
            "name": tensor,
            "cat": "tensor",
            "pid": process,
            "tid": thread,
            "ts": moments[position] * 1e6,
        }
        yield event | ({"bp": "e"} if last else {})
