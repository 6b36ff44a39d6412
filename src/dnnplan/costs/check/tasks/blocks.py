"""What each block costs each task, read from the instance (docs/cost-model.md, 9)."""

from __future__ import annotations

from typing import NamedTuple

from dnnplan.costs.check.setting import forbidden
from dnnplan.instances import Device, Instance, InstanceError, Layer, Link, Problem, UnsupportedError
from dnnplan.instances.sections import Block


class Figures(NamedTuple):
    """Bytes of a block for one task, and its costs of computing and loading."""

    bytes: float
    compute: float
    load: float


class Place(NamedTuple):
    """Where tasks run: the device and the link of the host's weights; neither where there are several devices."""

    device: Device | None
    link: Link | None
    several: bool

    def require_one(self) -> None:
        """Refuse to work anything out for several devices."""
        if self.several:
            raise UnsupportedError("tasks run on one device: costs that are not given need a platform of one")


class Units:
    """Whether costs are given, in the unit of the instance, or worked out; zeros are alike in all units."""

    def __init__(self) -> None:
        self.given = self.derived = False

    def note(self, cost: float, *, given: bool) -> float:
        """Take one cost."""
        if cost:
            self.given |= given
            self.derived |= not given
        return cost

    def require_alike(self, unit: str | None, kind: str) -> None:
        """Refuse sums of costs in different units."""
        own = "J" if kind == "energy" else "s"
        if self.given and self.derived and unit != own:
            raise UnsupportedError(
                f"some costs of blocks are in {unit or 'no unit'}, others worked out in {own}"
            )


def read_blocks(instance: Instance, names: list[str], levels: int, kind: str) -> list[dict[str, Figures]]:
    """Figures of all blocks from the input on, by task; stem and head included where they are there.

    Raises
    ------
    InstanceError
        There are not as many blocks as branch points need.
    UnsupportedError
        Something is not given and cannot be worked out, or costs are of different units.
    """
    sharing = instance.sharing
    assert sharing is not None
    listed: list[Block | None] = [sharing.stem, *sharing.blocks, sharing.head]
    if all(block is None for block in listed) and any(task.blocks for task in instance.tasks):
        return _of_networks(instance, levels, kind)
    if not sharing.blocks:
        listed = [sharing.stem, *[Block(bytes=1, compute=1, load=0)] * levels, sharing.head]
    elif len(sharing.blocks) != levels:
        message = f"{len(sharing.blocks)} blocks for {levels} branch points"
        raise InstanceError(problems=[Problem("sharing.blocks", message)])
    place, units = _place(instance), Units()
    found = []
    for block in listed:
        if block is None:
            continue
        row = {}
        for name in names:
            own = block.costs.get(name)
            size = block.tasks.get(name, block.bytes)
            flops, compute, load = block.flops, block.compute, block.load
            if own is not None:
                size = size if own.bytes is None else own.bytes
                flops = flops if own.flops is None else own.flops
                compute = compute if own.compute is None else own.compute
                load = load if own.load is None else own.load
            computing = (
                _computing(instance, place, float(flops), float(size), kind)
                if compute is None
                else float(compute)
            )
            loading = _loading(place, float(size), kind) if load is None else float(load)
            row[name] = Figures(
                float(size),
                units.note(computing, given=compute is not None),
                units.note(loading, given=load is not None),
            )
        found.append(row)
    units.require_alike(sharing.unit, kind)
    return found


def _place(instance: Instance) -> Place:
    """The device, and the link through which the host's weights come to it or to its memory."""
    platform = instance.platform
    if platform is None or not platform.devices:
        return Place(None, None, several=False)
    if len(platform.devices) > 1 or platform.devices[0].count > 1:
        return Place(None, None, several=True)
    device = platform.devices[0]
    for link in platform.links:
        for a, b in ((link.source, link.target), (link.target, link.source)):
            if a == platform.host and b in (device.name, device.memory):
                if link.directed and a != link.source:
                    continue
                return Place(device, link, several=False)
    return Place(device, None, several=False)


def _bandwidth(instance: Instance, device: Device) -> float | None:
    assert instance.platform is not None
    for memory in instance.platform.memories:
        if memory.name == device.memory and memory.bandwidth is not None:
            return float(memory.bandwidth)
    return None


def _computing(instance: Instance, place: Place, flops: float, size: float, kind: str) -> float:
    place.require_one()
    device = place.device
    if device is None:
        if flops > 0:
            raise UnsupportedError("blocks have FLOP and there is no platform to run them on")
        return 0.0
    rate = _bandwidth(instance, device)
    seconds = 0.0 if rate is None else size / rate
    if flops > 0:
        if "*" not in device.peak_flops:
            raise UnsupportedError(
                f"device {device.name} has no rate for blocks of any type (peak_flops '*')"
            )
        seconds = max(seconds, flops / (device.peak_flops["*"] * device.efficiency.get("*", 1.0)))
    seconds += device.overhead
    return seconds if kind == "time" else device.power.active * seconds


def _loading(place: Place, size: float, kind: str) -> float:
    if size == 0:
        return 0.0
    place.require_one()
    link = place.link
    if link is None:
        return 0.0
    if kind == "energy":
        return link.energy_per_byte * size
    return link.latency + (0.0 if link.bandwidth is None else size / link.bandwidth)


def _of_networks(instance: Instance, levels: int, kind: str) -> list[dict[str, Figures]]:
    """Blocks of layers of the tasks' own networks: a stem, one behind each branch point, the rest as head."""
    place = _place(instance)
    place.require_one()
    if place.device is None:
        raise UnsupportedError("tasks have blocks of layers and there is no platform to run them on")
    for task in instance.effective_tasks():
        if len(task.blocks) <= levels:
            message = (
                f"task {task.name} has {len(task.blocks)}, expected a stem and one behind each branch point"
            )
            raise InstanceError(problems=[Problem("tasks.blocks", message)])
    models = {model.name: model for model in instance.models}
    found: list[dict[str, Figures]] = [{} for _ in range(levels + 2)]
    for task in instance.effective_tasks():
        model = models[task.model]
        touched = {layer.name: 0.0 for layer in model.layers}
        for tensor in model.tensors:
            if tensor.source is not None:
                touched[tensor.source] += tensor.bytes
            for target in set(tensor.targets):
                touched[target] += tensor.read_bytes.get(target, tensor.bytes)
        layers = {layer.name: layer for layer in model.layers}
        for b in range(levels + 2):
            chosen = task.blocks[b : b + 1] if b <= levels else task.blocks[b:]
            size = compute = load = 0.0
            for name in (name for block in chosen for name in block):
                layer = layers[name]
                size += layer.weight_bytes
                load += _loading(place, float(layer.weight_bytes), kind)
                compute += _layer(
                    instance, place.device, model.name, model.dtype, layer, touched[name], task.batch, kind
                )
            found[b][task.name] = Figures(size, compute, load)
    return found


def _layer(
    instance: Instance,
    device: Device,
    model: str,
    dtype: str,
    layer: Layer,
    touched: float,
    batch: int,
    kind: str,
) -> float:
    """Seconds or joules of a layer (docs/cost-model.md, 2)."""
    row = instance.costs.latency.get(model, {}).get(layer.name)
    peak = device.peak_flops.get(dtype, device.peak_flops.get("*"))
    timed = layer.flops == 0 or peak is not None if row is None else device.name in row
    allowed = device.operators is None or layer.op in device.operators
    names = (device.name, device.name)
    if not (timed and allowed) or (layer.devices is not None and forbidden(layer.devices, names)):
        raise UnsupportedError(f"device {device.name} cannot run layer {model}/{layer.name}")
    if row is not None:
        seconds = float(row[device.name])
    else:
        efficiency = device.efficiency.get(layer.op, device.efficiency.get("*", 1.0))
        seconds = 0.0 if layer.flops == 0 or peak is None else batch * layer.flops / (peak * efficiency)
        rate = _bandwidth(instance, device)
        if rate is not None:
            seconds = max(seconds, (layer.weight_bytes + batch * touched) / rate)
        seconds += device.overhead
    if kind == "time":
        return seconds
    joules = instance.costs.energy.get(model, {}).get(layer.name)
    return device.power.active * seconds if joules is None else float(joules.get(device.name, 0.0))
