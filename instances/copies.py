"""Taking a device with several copies apart into devices of their own, with the same meaning and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from dnnplan.instances.instance import Instance
from dnnplan.instances.model import DeviceRule, Layer, Model
from dnnplan.instances.platform import Link, Platform
from dnnplan.instances.sections import Costs

V = TypeVar("V")


def split_copies(instance: Instance, name: str) -> Instance:
    """The instance with ``name.0``, ``name.1``, ... as devices of their own.

    Links, rules, tables and the host that name the device name all its copies instead; an entry of a table
    for a copy still wins. Plans keep their meaning, since copies are called the same.

    Examples
    --------
    >>> from dnnplan.instances import Device, Platform
    >>> pair = Instance(platform=Platform(devices=(Device(name="npu", count=2),)))
    >>> [device.name for device in split_copies(pair, "npu").platform.devices]
    ['npu.0', 'npu.1']
    """
    platform = instance.platform
    device = None if platform is None else next((d for d in platform.devices if d.name == name), None)
    if platform is None or device is None or device.count == 1:
        return instance
    names = tuple(f"{name}.{number}" for number in range(device.count))
    devices = []
    for other in platform.devices:
        devices += [replace(device, name=n, count=1) for n in names] if other is device else [other]
    return replace(
        instance,
        platform=replace(platform, devices=tuple(devices), links=_links(platform, name, names)),
        models=tuple(_model(model, name, names) for model in instance.models),
        costs=_costs(instance.costs, name, names),
    )


def _links(platform: Platform, name: str, names: Sequence[str]) -> tuple[Link, ...]:
    """Links between copies, where one named the device; a link that names a copy wins."""
    taken = {
        pair for link in platform.links if name not in (link.source, link.target) for pair in _pairs(link)
    }
    links: list[Link] = []
    for link in platform.links:
        if name not in (link.source, link.target):
            links.append(link)
            continue
        for a in names if link.source == name else (link.source,):
            for b in names if link.target == name else (link.target,):
                one = replace(link, source=a, target=b)
                if a != b and not taken.intersection(_pairs(one)):
                    taken.update(_pairs(one))
                    links.append(one)
    return tuple(links)


def _pairs(link: Link) -> set[tuple[str, str]]:
    """The ordered pairs of ends that a link joins."""
    forth = (link.source, link.target)
    return {forth} if link.directed else {forth, forth[::-1]}


def _model(model: Model, name: str, names: tuple[str, ...]) -> Model:
    if all(layer.devices is None for layer in model.layers):
        return model
    return replace(model, layers=tuple(_layer(layer, name, names) for layer in model.layers))


def _layer(layer: Layer, name: str, names: tuple[str, ...]) -> Layer:
    rule = layer.devices
    if rule is None:
        return layer

    def expanded(listed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for one in listed for n in (names if one == name else (one,))))

    allow = None if rule.allow is None else expanded(rule.allow)
    fix = rule.fix
    if fix == name:  # on any of its copies
        allow, fix = names if allow is None else tuple(n for n in names if n in allow), None
    return replace(layer, devices=DeviceRule(allow=allow, forbid=expanded(rule.forbid), fix=fix))


def _costs(costs: Costs, name: str, names: tuple[str, ...]) -> Costs:
    def rows(table: Mapping[str, Mapping[str, Mapping[str, V]]]) -> dict[str, dict[str, dict[str, V]]]:
        return {
            model: {layer: _expanded(row, name, names) for layer, row in layers.items()}
            for model, layers in table.items()
        }

    transfer = {
        model: {
            tensor: {a: _expanded(row, name, names) for a, row in _by_source(ends, name, names).items()}
            for tensor, ends in tensors.items()
        }
        for model, tensors in costs.transfer.items()
    }
    return replace(
        costs,
        latency=rows(costs.latency),
        energy=rows(costs.energy),
        transfer=transfer,
        batch_latency=_stages(costs.batch_latency, name, names),
        batch_energy=_stages(costs.batch_energy, name, names),
        stage_switch=_stages(costs.stage_switch, name, names),
    )


def _stages(table: Mapping[str, V], name: str, names: tuple[str, ...]) -> dict[str, V]:
    """A table by stage with ``stage@device`` for every copy; an entry that names a copy wins."""
    whole = {key: row for key, row in table.items() if key.endswith(f"@{name}")}
    if not whole:
        return dict(table)
    copied = {f"{key.removesuffix(name)}{copy}": row for key, row in whole.items() for copy in names}
    return copied | {key: row for key, row in table.items() if key not in whole}


def _by_source(
    ends: Mapping[str, Mapping[str, V]], name: str, names: tuple[str, ...]
) -> dict[str, Mapping[str, V]]:
    """Transfer times by source, where the rows of the device and of a copy of it are one row."""
    if name not in ends:
        return dict(ends)
    rows: dict[str, Mapping[str, V]] = {n: {**ends[name], **ends.get(n, {})} for n in names}
    return {**{key: row for key, row in ends.items() if key != name}, **rows}


def _expanded(row: Mapping[str, V], name: str, names: tuple[str, ...]) -> dict[str, V]:
    """A row by device with an entry for every copy; an entry that names a copy wins."""
    if name not in row:
        return dict(row)
    return {**dict.fromkeys(names, row[name]), **{key: value for key, value in row.items() if key != name}}
