"""The instance as the runner is: measured times of layers, and links as copies between cores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs import MappingProblem
from dnnplan.deploy.calibrate.fit import Fit
from dnnplan.instances import Device, Instance, Link, Model, Platform
from dnnplan.instances.platform import Execution
from dnnplan.instances.sections import Costs

KEY = "calibration"
"""Where instances and platforms say how they were calibrated."""
RUNNER = Execution(staging="direct", overlap=False, contention="none", memory="none", weights="resident")
"""How the runner executes: the worker that reads a tensor copies it, and all weights are in memory."""
Table = Mapping[str, Mapping[str, Mapping[str, float]]]


def calibrated_instance(
    problem: MappingProblem, times: Table, found: Fit, notes: Mapping[str, Any]
) -> Instance:
    """The instance with measured times, on the platform as the runner executes on it.

    Parameters
    ----------
    problem
        The view of the instance before; where it could not place a layer, it still cannot.
    times
        Seconds by model, layer and device.
    notes
        Written to the extensions of instance and platform.
    """
    instance = problem.instance
    assert instance.platform is not None
    allowed = _allowed(problem)
    latency: dict[str, dict[str, dict[str, float]]] = {}
    for model in instance.models:
        if model.name not in times:
            continue
        first = first_layer(model)
        latency[model.name] = {
            layer.name: {
                device: found.scale * times[model.name][layer.name][device]
                + found.call * (layer.name == first)
                for device in allowed[model.name, layer.name]
            }
            for layer in model.layers
        }
    platform = calibrated_platform(instance, problem.devices, latency, found, notes)
    costs = Costs(latency=latency, energy=instance.costs.energy)
    extensions = {**instance.extensions, KEY: dict(notes)}
    return replace(instance, platform=platform, costs=costs, extensions=extensions)


def first_layer(model: Model) -> str:
    """The layer that pays for the one call that every network needs: the first that reads an input."""
    targets = {name for tensor in model.tensors if tensor.source is None for name in tensor.targets}
    return next((layer.name for layer in model.layers if layer.name in targets), model.layers[0].name)


def _allowed(problem: MappingProblem) -> dict[tuple[str, str], list[str]]:
    """The devices that can run each layer."""
    models = {task.name: task.model for task in problem.instance.effective_tasks()}
    found: dict[tuple[str, str], list[str]] = {}
    for key, row in zip(problem.layers, np.isfinite(problem.duration), strict=True):
        task, _, layer = key.split("/", 2)
        devices = [device for device, can in zip(problem.devices, row, strict=True) if can]
        found[models[task], layer] = devices
    return found


def devices_for_all(problem: MappingProblem) -> list[str]:
    """The devices that can run every layer; all devices where none can.

    What stands in for a device here may run more than the device: its time alone counts for nothing then.
    """
    able = [name for at, name in enumerate(problem.devices) if np.isfinite(problem.duration[:, at]).all()]
    return able or list(problem.devices)


def calibrated_platform(
    instance: Instance, devices: Sequence[str], latency: Table, found: Fit, notes: Mapping[str, Any]
) -> Platform:
    """The platform with rates of the devices that reproduce the measured times as a whole, and links as copies.

    The rates are for other networks: where there is a table of times, it wins.
    """
    platform = instance.platform
    assert platform is not None
    links = [
        Link(
            name=f"copy {a} {b}",
            source=a,
            target=b,
            bandwidth=found.link_bandwidth,
            latency=found.link_latency,
        )
        for a, b in combinations(devices, 2)
    ]
    ours = set(devices)
    links += [link for link in platform.links if not {link.source, link.target} <= ours]
    own = tuple(_device(device, instance.models, latency, _copies(device)) for device in platform.devices)
    extensions = {**platform.extensions, KEY: dict(notes)}
    return replace(
        platform, devices=own, links=tuple(links), host=None, execution=RUNNER, extensions=extensions
    )


def _copies(device: Device) -> list[str]:
    return [device.name] if device.count == 1 else [f"{device.name}.{at}" for at in range(device.count)]


def _device(device: Device, models: Iterable[Model], latency: Table, names: Sequence[str]) -> Device:
    """A device with the rate of each operator: its work over its time, of the copies together."""
    work: dict[str, float] = {}
    spent: dict[str, float] = {}
    for model in models:
        for layer in model.layers:
            row = latency.get(model.name, {}).get(layer.name, {})
            seconds = sum(row.get(name, 0.0) for name in names)
            if layer.flops > 0 and seconds > 0:
                count = sum(name in row for name in names)
                work[layer.op] = work.get(layer.op, 0.0) + count * float(layer.flops)
                spent[layer.op] = spent.get(layer.op, 0.0) + seconds
    if not work:
        return device
    rates = {op: work[op] / spent[op] for op in work}
    peak = max(rates.values())
    efficiency: dict[str, float] = {op: min(1.0, rate / peak) for op, rate in sorted(rates.items())}
    efficiency["*"] = min(1.0, sum(work.values()) / sum(spent.values()) / peak)
    return replace(device, peak_flops={"*": peak}, efficiency=efficiency, overhead=0)
