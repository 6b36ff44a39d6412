"""Devices that are lost or throttled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from dnnplan.instances.copies import split_copies
from dnnplan.instances.errors import InfeasibleError, InputError, Problem
from dnnplan.instances.events.present import platform_of, share, with_share
from dnnplan.instances.events.records import DeviceLost, DeviceThrottled
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import DeviceRule, Layer, Model
from dnnplan.instances.platform import Device
from dnnplan.instances.sections import Costs
from dnnplan.instances.validation.names import device_names
from dnnplan.instances.wording import show, unknown

V = TypeVar("V")
Table = dict[str, dict[str, dict[str, float]]]


def lose_device(instance: Instance, event: DeviceLost) -> Instance:
    """The instance without a device.

    Its links go, its entries in tables, and its name in the rules of layers. A row of a table that is left empty
    stays: that layer has nowhere to run.
    """
    whole = _split(instance, event.device)
    platform = platform_of(whole)
    lost = _find(whole, event.device)
    names = set(device_names(replace(platform, devices=(lost,))))
    devices = tuple(device for device in platform.devices if device is not lost)
    if not devices:
        raise InfeasibleError(f"device {show(event.device)} was the last one: nothing can run any more")
    if platform.host in names:
        raise InfeasibleError(
            f"device {show(event.device)} is the host: no input and no output can be reached any more"
        )
    links = tuple(link for link in platform.links if not names & {link.source, link.target})
    return replace(
        whole,
        platform=replace(platform, devices=devices, links=links),
        models=tuple(_without_device(model, names, event.device) for model in whole.models),
        costs=_costs_without(whole.costs, names),
    )


def throttle(instance: Instance, event: DeviceThrottled) -> Instance:
    """The instance with a device at another share of its nominal speed and power.

    Peak rates and entries of latency tables scale with the speed, active power with the power, entries of energy tables
    with power / speed. Memory bandwidth and the overhead of a layer stay as they are.
    """
    whole = _split(instance, event.device)
    device = _find(whole, event.device)
    speed, power = _asked(device, event)
    faster = speed / share(whole, "speed", device.name)
    stronger = power / share(whole, "power", device.name)
    whole = with_share(whole, "speed", device.name, speed)
    whole = with_share(whole, "power", device.name, power)
    if faster == stronger == 1:
        return whole
    slowed = replace(
        device,
        peak_flops={kind: rate * faster for kind, rate in device.peak_flops.items()},
        power=replace(device.power, active=device.power.active * stronger),
    )
    platform = platform_of(whole)
    devices = tuple(slowed if one is device else one for one in platform.devices)
    names = set(device_names(replace(platform, devices=(device,))))
    costs = whole.costs
    return replace(
        whole,
        platform=replace(platform, devices=devices),
        costs=replace(
            costs,
            latency=_scaled(costs.latency, names, 1 / faster),
            energy=_scaled(costs.energy, names, stronger / faster),
        ),
    )


def _asked(device: Device, event: DeviceThrottled) -> tuple[float, float]:
    """Speed and power that an event asks for."""
    if (event.speed is None) == (event.mode is None):
        raise InputError(problems=[Problem("speed", "expected either a speed or a mode")])
    if event.speed is not None:
        return float(event.speed), float(event.power or 1.0)
    modes = {mode.name: mode for mode in device.modes}
    if event.mode not in modes:
        what = unknown(f"mode of {device.name}", str(event.mode), set(modes))
        raise InputError(problems=[Problem("mode", what)])
    mode = modes[event.mode]
    return float(mode.speed), float(event.power or mode.power)


def _split(instance: Instance, name: str) -> Instance:
    """The instance with a device taken apart into copies, where the name is that of one of them."""
    names = device_names(platform_of(instance))
    if name not in names:
        raise InputError(problems=[Problem("device", unknown("device", name, set(names)))])
    return instance if names[name] == name else split_copies(instance, names[name])


def _find(instance: Instance, name: str) -> Device:
    return next(device for device in platform_of(instance).devices if device.name == name)


def _without_device(model: Model, names: set[str], device: str) -> Model:
    if all(layer.devices is None for layer in model.layers):
        return model
    return replace(model, layers=tuple(_rule(layer, names, device, model.name) for layer in model.layers))


def _rule(layer: Layer, names: set[str], device: str, model: str) -> Layer:
    rule = layer.devices
    if rule is None:
        return layer
    allow = None if rule.allow is None else tuple(name for name in rule.allow if name not in names)
    if rule.fix in names or (allow == () != rule.allow):
        raise InfeasibleError(
            f"layer {show(layer.name)} of model {show(model)} may only run on device {show(device)}, which is lost"
        )
    forbid = tuple(name for name in rule.forbid if name not in names)
    kept = (
        None
        if allow is None and not forbid and rule.fix is None
        else DeviceRule(allow=allow, forbid=forbid, fix=rule.fix)
    )
    return replace(layer, devices=kept)


def _costs_without(costs: Costs, names: set[str]) -> Costs:
    def rows(table: Table) -> Table:
        return {
            model: {layer: _others(row, names) for layer, row in layers.items()}
            for model, layers in table.items()
        }

    transfer = {
        model: {
            tensor: {a: _others(row, names) for a, row in ends.items() if a not in names}
            for tensor, ends in tensors.items()
        }
        for model, tensors in costs.transfer.items()
    }
    return replace(costs, latency=rows(costs.latency), energy=rows(costs.energy), transfer=transfer)


def _others(row: Mapping[str, V], names: set[str]) -> dict[str, V]:
    return {key: value for key, value in row.items() if key not in names}


def _scaled(table: Table, names: set[str], factor: float) -> Table:
    """The table with the entries of some devices times a factor."""
    return {
        model: {
            layer: {name: value * factor if name in names else value for name, value in row.items()}
            for layer, row in layers.items()
        }
        for model, layers in table.items()
    }
