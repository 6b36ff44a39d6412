"""What each block costs each task, read from the instance (docs/cost-model.md, 9)."""

from __future__ import annotations

from typing import NamedTuple

from dnnplan.instances import Device, Instance, Layer, Link
from dnnplan.instances.sections import Block


class Figures(NamedTuple):
    """Bytes of a block for one task, and its costs of computing and loading."""

    bytes: float
    compute: float
    load: float


def read_blocks(instance: Instance, names: list[str], levels: int, kind: str) -> list[dict[str, Figures]]:
    """Figures of all blocks from the input on, by task; stem and head included where they are there."""
    sharing = instance.sharing
    assert sharing is not None
    listed: list[Block | None] = [sharing.stem, *sharing.blocks, sharing.head]
    if all(block is None for block in listed) and any(task.blocks for task in instance.tasks):
        return _of_networks(instance, levels, kind)
    if not sharing.blocks:
        listed = [sharing.stem, *[Block(bytes=1, compute=1, load=0)] * levels, sharing.head]
    device, link = _device(instance)
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
            if compute is None:
                compute = _computing(instance, device, float(flops), float(size), kind)
            if load is None:
                load = _loading(link, float(size), kind)
            row[name] = Figures(float(size), float(compute), float(load))
        found.append(row)
    return found


def _device(instance: Instance) -> tuple[Device | None, Link | None]:
    """The device, and the link through which the host's weights come to it or to its memory."""
    platform = instance.platform
    if platform is None or not platform.devices:
        return None, None
    device = platform.devices[0]
    for link in platform.links:
        for a, b in ((link.source, link.target), (link.target, link.source)):
            if a == platform.host and b in (device.name, device.memory):
                if link.directed and a != link.source:
                    continue
                return device, link
    return device, None


def _bandwidth(instance: Instance, device: Device) -> float | None:
    assert instance.platform is not None
    for memory in instance.platform.memories:
        if memory.name == device.memory and memory.bandwidth is not None:
            return float(memory.bandwidth)
    return None


def _computing(instance: Instance, device: Device | None, flops: float, size: float, kind: str) -> float:
    if device is None:
        return 0.0
    rate = _bandwidth(instance, device)
    seconds = 0.0 if rate is None else size / rate
    if flops > 0:
        seconds = max(seconds, flops / (device.peak_flops["*"] * device.efficiency.get("*", 1.0)))
    seconds += device.overhead
    return seconds if kind == "time" else device.power.active * seconds


def _loading(link: Link | None, size: float, kind: str) -> float:
    if link is None or size == 0:
        return 0.0
    if kind == "energy":
        return link.energy_per_byte * size
    return link.latency + (0.0 if link.bandwidth is None else size / link.bandwidth)


def _of_networks(instance: Instance, levels: int, kind: str) -> list[dict[str, Figures]]:
    """Blocks of layers of the tasks' own networks: a stem, one behind each branch point, the rest as head."""
    device, link = _device(instance)
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
                load += _loading(link, float(layer.weight_bytes), kind)
                compute += _layer(
                    instance, device, model.name, model.dtype, layer, touched[name], task.batch, kind
                )
            found[b][task.name] = Figures(size, compute, load)
    return found


def _layer(
    instance: Instance,
    device: Device | None,
    model: str,
    dtype: str,
    layer: Layer,
    touched: float,
    batch: int,
    kind: str,
) -> float:
    """Seconds or joules of a layer (docs/cost-model.md, 2)."""
    assert device is not None
    row = instance.costs.latency.get(model, {}).get(layer.name)
    if row is not None:
        seconds = float(row[device.name])
    else:
        peak = device.peak_flops.get(dtype, device.peak_flops.get("*"))
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
