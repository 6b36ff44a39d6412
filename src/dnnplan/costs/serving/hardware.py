"""The devices that stages run on: their names, and which of them a stage takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnnplan.costs.analytic import AnalyticModel, model_from
from dnnplan.costs.compute import may_run
from dnnplan.costs.routes import Routes, device_copies, resolve_routes
from dnnplan.costs.serving.stages import Stage
from dnnplan.instances import Device, InputError, Instance, Memory, Model, Platform
from dnnplan.instances.wording import Report, at, show

NO_PLATFORM = Platform(devices=(Device(name="device"),))
"""Stands for a platform where all costs are in tables: one device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ServingDevice:
    """One device, or one of its copies.

    `bandwidth` is that of its memory in bytes/s, by its analytic model or the platform; None: not known.
    """

    name: str
    record: Device
    analytic: AnalyticModel | None
    bandwidth: float | None

    @property
    def names(self) -> tuple[str, ...]:
        """What tables may call it, the most specific name first."""
        return tuple(dict.fromkeys((self.name, self.record.name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Hardware:
    """All devices, copies apart, and the routes between them."""

    devices: tuple[ServingDevice, ...]
    routes: Routes


def hardware_of(instance: Instance, report: Report) -> Hardware:
    """The devices of an instance; what is wrong with their analytic models is reported."""
    platform = instance.platform if instance.platform is not None else NO_PLATFORM
    memories = {memory.name: memory for memory in platform.memories}
    devices: list[ServingDevice] = []
    for index, device in enumerate(platform.devices):
        path = at(at(at("platform", "devices"), index), "analytic")
        analytic = _analytic(device, path, report)
        bandwidth = _bandwidth(analytic, memories.get(device.memory or ""))
        devices += [
            ServingDevice(name=name, record=device, analytic=analytic, bandwidth=bandwidth)
            for name in device_copies(device)
        ]
    return Hardware(devices=tuple(devices), routes=resolve_routes(platform))


def _analytic(device: Device, path: str, report: Report) -> AnalyticModel | None:
    if device.analytic is None:
        return None
    try:
        return model_from(device.analytic)
    except InputError as error:
        for problem in error.problems:
            report.add(f"{path}.{problem.path}" if problem.path else path, problem.message)
        return None


def _bandwidth(analytic: AnalyticModel | None, memory: Memory | None) -> float | None:
    own = getattr(analytic, "bandwidth", None)
    return own if own is not None or memory is None else memory.bandwidth


def device_of(model: Model, stage: Stage, devices: Sequence[ServingDevice], path: str, report: Report) -> int:
    """The first device that rules (`Layer.devices`) and operators let run every layer of a stage."""
    for d, device in enumerate(devices):
        if all(may_run(model.layers[i], device.record, device.name) for i in stage.layers):
            return d
    fixed = {rule.fix for i in stage.layers if (rule := model.layers[i].devices) and rule.fix is not None}
    why = f"its layers are fixed to {', '.join(map(show, sorted(fixed)))}" if len(fixed) > 1 else "none may"
    report.add(path, f"stage {show(stage.name)}: {why}, expected one device that may run all of its layers")
    return 0
