"""Tables for the terminal: instances, results, explanations, solvers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from dnnplan.costs import MappingProblem
from dnnplan.costs.explain import Explanation, Step
from dnnplan.instances import Device, Instance, Model, Platform, Result
from dnnplan.reports.units import percent, readable

MEASURE_UNITS = {"size": "bytes", "energy": "J"}
"""Units of measures of task graphs that do not depend on the instance."""


def new_table(*columns: str, title: str | None = None) -> Table:
    """A plain table; columns that start with ``>`` are aligned to the right."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def models_table(instance: Instance) -> Table:
    """The networks: layers, tensors, work and weights of one sample."""
    table = new_table("model", ">layers", ">tensors", ">FLOP", ">weights", "type", title="Models")
    for model in instance.models:
        table.add_row(
            model.name,
            str(len(model.layers)),
            str(len(model.tensors)),
            readable(sum(layer.flops for layer in model.layers), "FLOP"),
            readable(sum(layer.weight_bytes for layer in model.layers), "bytes"),
            model.dtype,
        )
    return table


def tasks_table(instance: Instance) -> Table:
    """The tasks, where the instance lists them."""
    table = new_table("task", "model", ">batch", ">release", ">period", ">deadline", ">weight", title="Tasks")
    for task in instance.tasks:
        table.add_row(
            task.name,
            task.model,
            str(task.batch),
            readable(task.release, "s"),
            readable(task.period, "s"),
            readable(task.deadline, "s"),
            f"{task.weight:g}",
        )
    return table


def devices_table(platform: Platform, problem: MappingProblem | None = None) -> Table:
    """The devices; with a problem, how many layers each can run and is fastest for."""
    columns = ["device", "kind", ">peak", "memory", ">size", ">bandwidth", ">overhead"]
    table = new_table(
        *columns, *([">can run", ">fastest for"] if problem is not None else []), title="Devices"
    )
    memories = {memory.name: memory for memory in platform.memories}
    fits = _fits(platform, problem) if problem is not None else {}
    for device in platform.devices:
        memory = memories.get(device.memory or "")
        table.add_row(
            device.name if device.count == 1 else f"{device.name} x {device.count}",
            device.kind,
            _peak(device),
            device.memory or "-",
            readable(memory.bytes if memory else None, "bytes"),
            readable(memory.bandwidth if memory else None, "bytes/s"),
            readable(device.overhead, "s"),
            *fits.get(device.name, ()),
        )
    return table


def _peak(device: Device) -> str:
    """The highest of its peak rates, and for which type."""
    if not device.peak_flops:
        return "-"
    dtype = max(device.peak_flops, key=lambda name: (device.peak_flops[name], name))
    return readable(device.peak_flops[dtype], "FLOP/s") + ("" if dtype == "*" else f" {dtype}")


def _fits(platform: Platform, problem: MappingProblem) -> dict[str, tuple[str, str]]:
    """Layers that a device can run, and those that no other runs faster, as text by device."""
    import numpy as np

    finite = np.isfinite(problem.duration)
    best = problem.duration <= problem.duration.min(axis=1, keepdims=True, initial=np.inf)
    result: dict[str, tuple[str, str]] = {}
    column = 0
    for device in platform.devices:
        can = int(finite[:, column].sum())
        result[device.name] = (f"{can} of {problem.n}", str(int((best & finite)[:, column].sum())))
        column += device.count
    return result


def links_table(platform: Platform) -> Table:
    """The links."""
    table = new_table("link", "between", ">bandwidth", ">latency", ">energy", title="Links")
    for link in platform.links:
        arrow = "->" if link.directed else "--"
        energy = readable(link.energy_per_byte, "J")
        table.add_row(
            link.name,
            f"{link.source} {arrow} {link.target}",
            readable(link.bandwidth, "bytes/s") if link.bandwidth is not None else "unlimited",
            readable(link.latency, "s"),
            f"{energy}/B",
        )
    return table


def layers_table(model: Model, problem: MappingProblem | None = None) -> Table:
    """The layers of a model; with a problem, their seconds on every device."""
    devices = problem.devices if problem is not None else ()
    table = new_table(
        "layer",
        "operator",
        ">FLOP",
        ">weights",
        *(f">{name}" for name in devices),
        title=f"Layers of {model.name}",
    )
    rows = _durations(model, problem) if problem is not None else {}
    for layer in model.layers:
        flops, weights = readable(layer.flops, "FLOP"), readable(layer.weight_bytes, "bytes")
        table.add_row(layer.name, layer.op, flops, weights, *rows.get(layer.name, ()))
    return table


def _durations(model: Model, problem: MappingProblem) -> dict[str, list[str]]:
    """Seconds on every device, as text by layer: those of the first task that uses the model."""
    weights = [problem.weights[w] for w in problem.weight_of.tolist()]
    rows: dict[str, list[str]] = {}
    for i, weight in enumerate(weights):
        owner, _, layer = weight.partition("/")
        if owner == model.name and layer not in rows:
            seconds = problem.duration[i].tolist()
            rows[layer] = [readable(s, "s") if s < float("inf") else "-" for s in seconds]
    return rows


def comparison_table(rows: Sequence[tuple[Instance, Result]], *, several: bool) -> Table:
    """Results side by side; `several`: with the name of the instance in front.

    The objective has a column of its own where it is not one of those that are always shown: latency, energy and
    traffic of mappings, and the measures of task graphs and orders.
    """
    figures = _figures([result for _, result in rows])
    first = ["instance"] if several else []
    other = [f">{name}" for name in dict.fromkeys(r.objective.name for _, r in rows) if name not in figures]
    own = [">objective"] if len(other) > 1 else other
    table = new_table(
        *first, "solver", "status", *own, *(f">{name}" for name in figures), ">bound", ">gap", ">time"
    )
    for instance, result in rows:
        unit = result.objective.unit
        table.add_row(
            *([instance.name] if several else []),
            result.solver,
            result.status,
            *([readable(result.objective.value, unit)] if own else []),
            *(readable(_figure(result, name), figures[name]) for name in figures),
            readable(result.bound, unit),
            percent(result.gap),
            f"{result.runtime:.2f} s",
        )
    return table


def _figures(results: Sequence[Result]) -> dict[str, str | None]:
    """Names and units of the figures that are always shown."""
    names = dict.fromkeys(name for result in results for name in result.measures)
    if not names or any(result.cost is not None for result in results):
        return {"latency": "s", "energy": "J", "traffic": "bytes"}
    units = {result.objective.name: result.objective.unit for result in results}
    return {name: units.get(name, MEASURE_UNITS.get(name)) for name in names}


def _figure(result: Result, name: str) -> float | None:
    if result.cost is not None:
        return getattr(result.cost, name, None)
    return result.measures.get(name)


def path_table(path: Iterable[Step], *, most: int) -> Table:
    """The critical path; the longest `most` steps of it where it is longer."""
    steps = list(path)
    shown = sorted(sorted(range(len(steps)), key=lambda i: steps[i].start - steps[i].end)[:most])
    title = (
        "Critical path" if len(steps) <= most else f"Critical path: the longest {most} of {len(steps)} steps"
    )
    table = new_table(">start", ">takes", "what", "where", "not earlier because", title=title)
    for i in shown:
        step = steps[i]
        what = step.name if step.kind == "call" else f"{step.kind}: {step.name}"
        table.add_row(
            readable(step.start, "s"), readable(step.end - step.start, "s"), what, step.where, step.reason
        )
    return table


def use_table(explanation: Explanation) -> Table:
    """How busy devices and links are."""
    table = new_table("name", "kind", ">busy", ">of the time", title="Utilisation")
    for use in (*explanation.devices, *(link for link in explanation.links if link.busy > 0)):
        table.add_row(use.name, use.kind, readable(use.busy, "s"), percent(use.share))
    return table


def what_if_table(explanation: Explanation) -> Table:
    """What the same decisions would take on a changed platform."""
    table = new_table("with the same decisions and", ">latency", ">gain", title="What if")
    for entry in explanation.what_if:
        if entry.gain > 0:
            table.add_row(entry.change, readable(entry.latency, "s"), percent(entry.gain))
    return table
