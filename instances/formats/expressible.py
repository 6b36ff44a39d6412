"""What the writers of foreign formats share: an instance as a bare graph, or the feature that forbids it.

The formats hold less than an instance. A writer refuses whatever changes the value of a plan under the
objective and has no place in the format; what does not (names of operators, power under the objective latency,
inputs and outputs where there is no host) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

from dnnplan.instances.errors import InstanceError, UnsupportedError
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Link, Platform
from dnnplan.instances.sections import Limits
from dnnplan.instances.wording import show

Number = int | float
Edges = dict[tuple[str, str], Number]
PLAIN: dict[str, str | bool] = {"staging": "direct", "overlap": True, "contention": "none", "memory": "none"}
"""Execution of task graphs; without a host the setting of weights means nothing."""


def refuse_feature(format: str, feature: str) -> NoReturn:
    """Raise: the format has no place for a feature of the instance."""
    raise UnsupportedError(f"format '{format}' cannot express {feature}")


def whole_platform(instance: Instance, format: str) -> Platform:
    """The platform; every foreign format needs devices and models."""
    if instance.platform is None or not instance.platform.devices or not instance.models:
        raise InstanceError(f"format '{format}' needs a platform with devices and at least one model")
    return instance.platform


def require_bare(
    instance: Instance, format: str, *, objective: str = "latency", limits: Limits | None = None
) -> None:
    """Refuse what no foreign format has a place for."""
    if instance.objective != objective:
        refuse_feature(format, f"the objective {instance.objective}, only {objective}")
    for name in Limits.__struct_fields__:
        found, wanted = getattr(instance.limits, name), getattr(limits or Limits(), name)
        if found != wanted:
            refuse_feature(format, f"limits.{name} {show(found)}, only {show(wanted)}")
    for section in ("precedences", "ordering", "sharing", "workload"):
        if getattr(instance, section) not in ((), None):
            refuse_feature(format, f"the section {section}")
    for task in instance.effective_tasks():
        for name, usual in (("batch", 1), ("release", 0), ("deadline", None), ("period", None)):
            if getattr(task, name) != usual:
                refuse_feature(format, f"{name} of task {show(task.name)}")


def require_execution(platform: Platform, format: str, wanted: dict[str, str | bool]) -> None:
    """Refuse another way to execute plans."""
    for name, value in wanted.items():
        if getattr(platform.execution, name) != value:
            found = getattr(platform.execution, name)
            refuse_feature(format, f"execution.{name} {found}, only {value}")


def require_task_graph(instance: Instance, format: str) -> Platform:
    """Refuse whatever is not a graph on devices that exchange data directly."""
    platform = whole_platform(instance, format)
    require_bare(instance, format)
    require_execution(platform, format, PLAIN)
    if platform.host is not None:
        refuse_feature(format, "a host")
    for device in platform.devices:
        if device.slots != 1:
            refuse_feature(format, f"slots of device {show(device.name)}")
    for model in instance.models:
        if any(len(group) > 1 for group in model.colocate):
            refuse_feature(format, f"colocation in model {show(model.name)}")
    return platform


def copies(platform: Platform) -> Iterator[tuple[str, Device]]:
    """(name, device) of every copy of every device."""
    for device in platform.devices:
        if device.count == 1:
            yield device.name, device
        else:
            for number in range(device.count):
                yield f"{device.name}.{number}", device


def layer_times(instance: Instance, model: Model, format: str) -> dict[str, dict[str, Number]]:
    """Seconds of each layer on the copies that can run it; numbers stay as they are where nothing is computed."""
    platform = whole_platform(instance, format)
    tables = instance.costs.latency.get(model.name, {})
    bandwidths = {memory.name: memory.bandwidth for memory in platform.memories}
    times: dict[str, dict[str, Number]] = {}
    for layer in model.layers:
        row = times[layer.name] = {}
        for name, device in copies(platform):
            if not _may_run(layer, device, name):
                continue
            if layer.name in tables:
                entry = tables[layer.name].get(name, tables[layer.name].get(device.name))
            else:
                if device.memory is not None and bandwidths[device.memory] is not None:
                    refuse_feature(format, f"the bandwidth of memory {show(device.memory)}")
                entry = _analytic(layer, device, model.dtype)
            if entry is not None:
                row[name] = entry
    return times


def _may_run(layer: Layer, device: Device, name: str) -> bool:
    if device.operators is not None and layer.op not in device.operators:
        return False
    rule, names = layer.devices, {name, device.name}
    if rule is None:
        return True
    if rule.fix is not None and rule.fix not in names:
        return False
    return not names.intersection(rule.forbid) and (
        rule.allow is None or bool(names.intersection(rule.allow))
    )


def _analytic(layer: Layer, device: Device, dtype: str) -> Number | None:
    """FLOP over effective peak, plus overhead; None where the peak is not known."""
    if layer.flops == 0:
        return device.overhead
    peak = device.peak_flops.get(dtype, device.peak_flops.get("*"))
    if peak is None:
        return None
    rate = peak * device.efficiency.get(layer.op, device.efficiency.get("*", 1))
    seconds = layer.flops if rate == 1 else layer.flops / rate
    return seconds + device.overhead


def edges(instance: Instance, cost: Callable[[Model, Tensor], Number]) -> Edges:
    """The largest cost of the tensors between any two layers, over all tasks; layers are named by `layer_name`."""
    models = {model.name: model for model in instance.models}
    found: Edges = {}
    for task in instance.effective_tasks():
        for tensor in models[task.model].tensors:
            if tensor.source is None or not tensor.targets:
                continue
            value = cost(models[task.model], tensor)
            for target in dict.fromkeys(tensor.targets):
                ends = layer_name(instance, task.name, tensor.source), layer_name(instance, task.name, target)
                found[ends] = max(found.get(ends, 0), value)
    return found


def layer_name(instance: Instance, task: str, layer: str) -> str:
    """Name of a layer in a format with one graph: its own, with its task where there are several."""
    return layer if len(instance.effective_tasks()) == 1 else f"{task}/{layer}"


def graph_times(instance: Instance, format: str) -> dict[str, dict[str, Number]]:
    """`layer_times` of all tasks, by `layer_name`; every layer must run on every copy."""
    models = {model.name: layer_times(instance, model, format) for model in instance.models}
    count = sum(1 for _ in copies(whole_platform(instance, format)))
    times: dict[str, dict[str, Number]] = {}
    for task in instance.effective_tasks():
        for layer, row in models[task.model].items():
            if len(row) < count:
                refuse_feature(format, f"that layer {show(layer)} cannot run on every device")
            times[layer_name(instance, task.name, layer)] = row
    return times


def device_link(platform: Platform, a: Device, b: Device) -> Link | None:
    """The link between two devices by their names; links between memories are not looked for."""
    for link in platform.links:
        if (link.source, link.target) == (a.name, b.name):
            return link
        if not link.directed and (link.target, link.source) == (a.name, b.name):
            return link
    return None


def uniform_seconds(instance: Instance, format: str) -> Callable[[Model, Tensor], Number]:
    """Seconds to move a tensor between any two copies of devices, for formats where they are all the same."""
    platform = whole_platform(instance, format)
    pairs = _pairs(platform, format)
    rates = set(pairs.values())

    def seconds(model: Model, tensor: Tensor) -> Number:
        table = instance.costs.transfer.get(model.name, {}).get(tensor.name)
        if table is None:
            found = {_move(rate, tensor) for rate in rates}
        else:
            found = {_entry(table, ends, _move(rate, tensor)) for ends, rate in pairs.items()}
        if None in found:
            refuse_feature(format, "devices that cannot exchange data")
        if len(found) > 1:
            refuse_feature(format, f"different times to move tensor {show(tensor.name)} between devices")
        return next((value for value in found if value is not None), 0)

    return seconds


_Rate = tuple[Number, Number | None] | None
_End = tuple[str, str]


def _pairs(platform: Platform, format: str) -> dict[tuple[_End, _End], _Rate]:
    """(latency, bandwidth) between every two copies, ends as (copy, device); None: no link."""
    names = [(name, device) for name, device in copies(platform)]
    rates = {
        (a.name, b.name): _rate(platform, a, b, format) for a in platform.devices for b in platform.devices
    }
    pairs: dict[tuple[_End, _End], _Rate] = {}
    for a, one in names:
        for b, other in names:
            if a == b:
                continue
            pairs[(a, one.name), (b, other.name)] = rates[one.name, other.name]
    return pairs


def _rate(platform: Platform, a: Device, b: Device, format: str) -> _Rate:
    link = device_link(platform, a, b)
    if link is not None:
        return link.latency, link.bandwidth
    if _has_memory_link(platform, a, b):
        refuse_feature(format, "links between memories")
    return (0, None) if a.memory is not None and a.memory == b.memory else None


def _has_memory_link(platform: Platform, a: Device, b: Device) -> bool:
    memories = {memory.name for memory in platform.memories}
    ends = {a.memory, b.memory}
    return any(
        end in ends for link in platform.links for end in (link.source, link.target) if end in memories
    )


def _move(rate: _Rate, tensor: Tensor) -> Number | None:
    if rate is None:
        return None
    latency, bandwidth = rate
    if bandwidth is None:
        return latency
    seconds = tensor.bytes if bandwidth == 1 else tensor.bytes / bandwidth
    return seconds + latency


def _entry(
    table: dict[str, dict[str, Number]], ends: tuple[_End, _End], otherwise: Number | None
) -> Number | None:
    """Entry of a transfer table for two copies, by their names or those of their devices."""
    (a, one), (b, other) = ends
    for source in (a, one):
        for target in (b, other):
            if (value := table.get(source, {}).get(target)) is not None:
                return value
    return otherwise


def transfer_seconds(
    instance: Instance, model: Model, tensor: Tensor, ends: tuple[str, str], format: str
) -> Number:
    """Seconds to move a tensor between two devices of one copy each."""
    platform = whole_platform(instance, format)
    devices = {device.name: device for device in platform.devices}
    a, b = (devices[end] for end in ends)
    table = instance.costs.transfer.get(model.name, {}).get(tensor.name, {})
    seconds = _entry(
        table, ((a.name, a.name), (b.name, b.name)), _move(_rate(platform, a, b, format), tensor)
    )
    if seconds is None:
        refuse_feature(format, f"that {show(a.name)} and {show(b.name)} cannot exchange data")
    return seconds


def chain_of(model: Model, format: str) -> list[str]:
    """The layers of a model in the order of their chain."""
    after: dict[str, set[str]] = {layer.name: set() for layer in model.layers}
    readers = 0
    waiting = dict.fromkeys(after, 0)
    for tensor in model.tensors:
        if tensor.source is not None:
            after[tensor.source].update(tensor.targets)
    for targets in after.values():
        readers = max(readers, len(targets))
        for target in targets:
            waiting[target] += 1
    starts = [name for name, count in waiting.items() if count == 0]
    if readers > 1 or len(starts) > 1 or max(waiting.values(), default=0) > 1:
        refuse_feature(format, f"model {show(model.name)}, whose layers are not a chain")
    chain = starts
    while after and (following := after[chain[-1]]):
        chain.append(next(iter(following)))
    return chain
