"""Writing device-placement files: a CPU that is the host, and identical accelerators with a memory each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dnnplan.instances.atomic import write_text
from dnnplan.instances.formats.expressible import (
    Number,
    layer_times,
    refuse_feature,
    require_bare,
    require_execution,
    transfer_seconds,
    whole_platform,
)
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import print_json
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Platform
from dnnplan.instances.sections import Limits
from dnnplan.instances.wording import show

NAME = "dnn-partitioning"
_EXECUTION: dict[str, str | bool] = {
    "staging": "host",
    "overlap": False,
    "contention": "none",
    "memory": "static",
    "weights": "resident",
}


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write a device-placement problem: objective `max_load`, or `latency` with one call on each device.

    Nodes have numbers in this format; the names of layers are kept as names.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    platform = whole_platform(instance, NAME)
    if instance.objective == "latency":
        require_bare(instance, NAME, limits=Limits(calls_per_device=1))
    else:
        require_bare(instance, NAME, objective="max_load")
    require_execution(platform, NAME, _EXECUTION)
    cpu, accelerators = _devices(platform)
    if len(instance.models) > 1 or len(instance.effective_tasks()) > 1:
        refuse_feature(NAME, "several models or tasks")
    model = instance.models[0]
    numbers = _numbers(model)
    tree = {
        "maxSizePerFPGA": _bytes(platform, accelerators),
        "maxFPGAs": len(accelerators),
        "maxCPUs": 1 if instance.objective == "max_load" else 2,
        "nodes": _nodes(instance, model, numbers, (cpu, accelerators)),
        "edges": _edges(instance, model, numbers, (cpu, accelerators)),
    }
    write_text(print_json(tree), path, overwrite=overwrite)


def _devices(platform: Platform) -> tuple[Device, list[Device]]:
    """The CPU, and the accelerators."""
    cpu = next((device for device in platform.devices if device.name == platform.host), None)
    if cpu is None:
        refuse_feature(NAME, "a host that is not a device")
    accelerators = [device for device in platform.devices if device is not cpu]
    if cpu.slots != "unlimited":
        refuse_feature(NAME, f"device {show(cpu.name)}, the host, without unlimited slots")
    for device in platform.devices:
        if device.count > 1:
            refuse_feature(NAME, f"copies of device {show(device.name)} that share a memory")
    for device in accelerators:
        if device.slots != 1:
            refuse_feature(NAME, f"slots of device {show(device.name)}")
    return cpu, accelerators


def _bytes(platform: Platform, accelerators: list[Device]) -> Number:
    """The memory of every accelerator; that of the CPU has no limit."""
    sizes = {memory.name: memory.bytes for memory in platform.memories}
    used = [device.memory for device in platform.devices if device.memory is not None]
    host = next(device for device in platform.devices if device.name == platform.host)
    if host.memory is not None and sizes[host.memory] is not None:
        refuse_feature(NAME, f"a limit on the memory of device {show(host.name)}")
    if len(set(used)) < len(used):
        refuse_feature(NAME, "a memory that devices share")
    found = {sizes[d.memory] if d.memory is not None else None for d in accelerators}
    if None in found or len(found) > 1:
        refuse_feature(NAME, "accelerators without one size of memory")
    if any(device.weight_fraction != 1 for device in accelerators):
        refuse_feature(NAME, "weight_fraction")
    return next((size for size in found if size is not None), 0)


def _numbers(model: Model) -> dict[str, int]:
    """Numbers of the layers: their names where all are such numbers."""
    names = [layer.name for layer in model.layers]
    if all(name.isdecimal() and len(name) < 10 and str(int(name)) == name for name in names):
        return {name: int(name) for name in names}
    return {name: i for i, name in enumerate(names)}


def _nodes(
    instance: Instance, model: Model, numbers: dict[str, int], devices: tuple[Device, list[Device]]
) -> list[dict[str, Any]]:
    cpu, accelerators = devices
    classes = {name: color for color, group in enumerate(model.colocate) for name in group}
    colors = _colors(model, classes)
    nodes = []
    for layer, row in zip(model.layers, layer_times(instance, model, NAME).values(), strict=True):
        times = {row.get(device.name) for device in accelerators}
        if cpu.name not in row or len(times) > 1:
            refuse_feature(
                NAME, f"layer {show(layer.name)}: it must run on the host, and alike on all accelerators"
            )
        time = next(iter(times), None)
        node: dict[str, Any] = {
            "id": numbers[layer.name],
            **_description(layer, numbers[layer.name]),
            "supportedOnFpga": time is not None,
            "cpuLatency": row[cpu.name],
            "fpgaLatency": time if time is not None else 0,
            "isBackwardNode": layer.attributes.get("backward") is True,
            "size": layer.weight_bytes,
        }
        if layer.name in colors:
            node["colorClass"] = colors[layer.name]
        nodes.append(node)
    return nodes


def _description(layer: Layer, number: int) -> dict[str, Any]:
    """Members for people: the name that a file gave or the layer has, and the number of its group of nodes."""
    name, group = layer.attributes.get("name"), layer.attributes.get("layer")
    found: dict[str, Any] = {"name": name} if isinstance(name, str) else {}
    if not found and layer.name != str(number):
        found["name"] = layer.name
    return found | ({"layerId": group} if isinstance(group, int) else {})


def _colors(model: Model, classes: dict[str, int]) -> dict[str, int]:
    """Number of the class of each layer that is in one; overlapping groups would be one class."""
    if sum(map(len, model.colocate)) > len(classes):
        refuse_feature(NAME, f"a layer of model {show(model.name)} in two groups of colocated layers")
    return classes


def _edges(
    instance: Instance, model: Model, numbers: dict[str, int], devices: tuple[Device, list[Device]]
) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = []
    seen: set[str] = set()
    for tensor in model.tensors:
        if tensor.source is None or tensor.output:
            refuse_feature(NAME, f"tensor {show(tensor.name)}, an input or output of the model")
        if not tensor.targets:
            continue
        if tensor.source in seen:
            refuse_feature(NAME, f"several tensors that layer {show(tensor.source)} writes")
        seen.add(tensor.source)
        cost = _cost(instance, model, tensor, devices)
        for target in dict.fromkeys(tensor.targets):
            size = tensor.read_bytes.get(target, tensor.bytes)
            ends = {"sourceId": numbers[tensor.source], "destId": numbers[target]}
            edges.append({**ends, "cost": cost, "size": size})
    return edges


def _cost(instance: Instance, model: Model, tensor: Tensor, devices: tuple[Device, list[Device]]) -> Number:
    cpu, accelerators = devices
    ends = [(a, b) for d in accelerators for a, b in ((cpu.name, d.name), (d.name, cpu.name))]
    costs = {transfer_seconds(instance, model, tensor, pair, NAME) for pair in ends}
    by_table = tensor.name in instance.costs.transfer.get(model.name, {})
    if len(costs) > 1 or (tensor.read_bytes and not by_table):
        refuse_feature(NAME, f"different times to move tensor {show(tensor.name)}")
    return next(iter(costs), 0)
