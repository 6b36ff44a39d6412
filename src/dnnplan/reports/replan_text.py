"""A re-plan in a few lines: what happened, what it costs, what moves, and how long planning took."""

from __future__ import annotations

from dnnplan.instances.events import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    Event,
    LinkChanged,
    LinkLost,
    ModelAdded,
    ModelRemoved,
)
from dnnplan.reports.summary import proven
from dnnplan.reports.units import number, percent, readable
from dnnplan.solvers.replan import Replan, ReplanResult

MOST = 10
"""Layers and moves that are listed."""
REPAIRS = {
    "kept": "the plan as it was",
    "repaired": "layers without a device put elsewhere",
    "moved": "layers without a device put elsewhere, in another order",
    "rebuilt": "nothing of the old plan could stay",
}


def replan_lines(done: ReplanResult, startup: float | None = None) -> list[str]:
    """Lines for a terminal; `startup` in seconds."""
    report, result = done.replan, done.result
    unit, name = result.objective.unit, result.objective.name
    lines = [f"event     {event_text(event)}" for event in done.events]
    if report.old is not None:
        lines.append(f"before    {name} {readable(report.old, unit)}")
    if report.repaired is not None and report.repair is not None:
        what = REPAIRS[report.repair]
        lines.append(f"repaired  {name} {readable(report.repaired.objective, unit)}: {what}")
    if report.new is not None and report.repaired is not None:
        gain = 1 - report.new.objective / report.repaired.objective if report.repaired.objective else 0.0
        lines.append(f"now       {name} {readable(report.new.objective, unit)}, {percent(gain)} less")
    if result.bound is not None:
        lines.append(f"bound     {readable(result.bound, unit)}, gap {percent(result.gap)}")
    lines += _moves(report, unit)
    lines.append(f"proven    {proven(result)}")
    late = "" if report.in_time else ", LATE"
    start = "" if startup is None else f"; start-up {readable(startup, 's')}"
    lines.append(
        f"planned   in {readable(report.planning, 's')} of {readable(report.deadline, 's')}{late}{start}"
    )
    return lines


def _moves(report: Replan, unit: str | None) -> list[str]:
    if report.new is None:
        return []
    new = report.new
    lines = [
        f"moved     {len(report.moved)} layers; weights to bring: {readable(new.migration_bytes, 'bytes')} in "
        f"{readable(new.migration_seconds, 's')}, counted {number(report.weight)} times: "
        f"{readable(new.value, unit)} in all"
    ]
    for step in report.moved[:MOST]:
        lines.append(f"  {step.layer}: {step.source or 'new'} -> {step.target}")
    if len(report.moved) > MOST:
        lines.append(f"  ... and {len(report.moved) - MOST} more")
    return lines


def event_text(event: Event) -> str:
    """An event in words."""
    if isinstance(event, DeviceLost | LinkLost):
        what = event.device if isinstance(event, DeviceLost) else f"link {event.link}"
        return f"{what} is lost"
    if isinstance(event, DeviceThrottled):
        now = f"in mode {event.mode}" if event.mode is not None else f"at {percent(event.speed)} of its speed"
        return f"{event.device} runs {now}"
    if isinstance(event, LinkChanged):
        parts = []
        if event.bandwidth is not None:
            parts.append(readable(event.bandwidth, "bytes/s"))
        if event.factor is not None:
            parts.append(f"{percent(event.factor)} of its bandwidth")
        if event.latency is not None:
            parts.append(f"latency {readable(event.latency, 's')}")
        return f"link {event.link} has {', '.join(parts)}"
    return _task_text(event)


def _task_text(event: ModelAdded | ModelRemoved | BatchChanged) -> str:
    if isinstance(event, ModelRemoved):
        return f"task {event.task} is gone"
    if isinstance(event, BatchChanged):
        return f"task {event.task} has a batch of {event.batch}"
    task = event.task.name if event.task is not None else event.model.name if event.model is not None else ""
    return f"task {task} is new"
