"""Task graphs on related machines with communication, as the generated SAGA instances are stored.

A JSON object with `nodes` {machine: speed}, `links` {"a|b": bandwidth}, `tasks` {task: cost} and `deps`
[[from, to, size], ...]. A task takes cost / speed; data take size / bandwidth, on undirected links that
serve any number of transfers at once, and nothing on the machine itself; machines without a link cannot
exchange data. Those are the semantics of SAGA (Coleman et al., github ANRGUSC/saga): direct staging,
overlap, no contention, no memory limits. The format has no units, and its numbers are kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.fields import NonNegative, Positive
from dnnplan.instances.formats.expressible import (
    copies,
    device_link,
    edges,
    layer_name,
    refuse_feature,
    require_task_graph,
)
from dnnplan.instances.formats.foreign import (
    GRAPH,
    Foreign,
    edge_tensors,
    limit_devices,
    read_json,
    refuse,
)
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import print_json
from dnnplan.instances.model import Layer, Model
from dnnplan.instances.platform import Device, Link, Platform
from dnnplan.instances.wording import show

NAME = "saga"
_NODES = re.compile(rb'"nodes"\s*:\s*\{\s*"[^"]{1,256}"\s*:\s*[0-9.]')
_LINKS = re.compile(rb'"(?:links|tasks|deps)"\s*:\s*[\[{]|"n_tasks"\s*:')


class _File(Foreign, frozen=True, kw_only=True):
    """The members of a file that mean something."""

    nodes: dict[str, Positive]
    links: dict[str, NonNegative] = {}
    tasks: dict[str, NonNegative]
    deps: list[tuple[str, str, NonNegative]] = []
    name: str = ""


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a SAGA instance, by its members."""
    return b"format_version" not in head and bool(_NODES.search(head) and _LINKS.search(head))


def read(path: Path) -> Instance:
    """Read a SAGA instance; one model `graph`, one tensor for each dependency."""
    file, source = read_json(path, _File)
    limit_devices(len(file.nodes), "nodes", source)
    layers = tuple(Layer(name=name, flops=cost) for name, cost in file.tasks.items())
    tensors = edge_tensors(file.deps, list(file.tasks), source)
    platform = Platform(
        name="related machines",
        devices=tuple(Device(name=name, peak_flops={"*": speed}) for name, speed in file.nodes.items()),
        links=_links(file, source),
    )
    return Instance(
        name=file.name or path.stem,
        source=path.name,
        platform=platform,
        models=(Model(name=GRAPH, layers=layers, tensors=tensors),),
    )


def _links(file: _File, source: str) -> tuple[Link, ...]:
    links = []
    for key, bandwidth in file.links.items():
        ends = key.split("|")
        if len(ends) != 2 or not all(end in file.nodes for end in ends):
            refuse(f"links[{show(key)}]", "expected two nodes as in a|b", source)
        # A link to itself, or without bandwidth, is none: data on one machine do not move.
        if ends[0] != ends[1] and bandwidth > 0:
            links.append(Link(name=key, source=ends[0], target=ends[1], bandwidth=bandwidth))
    return tuple(links)


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an instance whose layers have FLOP and whose devices have one rate each.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    platform = require_task_graph(instance, NAME)
    models = {model.name: model for model in instance.models}
    if any(instance.costs.latency.values()) or any(instance.costs.transfer.values()):
        refuse_feature(NAME, "tables of costs: times are cost / speed, and size / bandwidth")
    dtypes = {models[task.model].dtype for task in instance.effective_tasks()}
    tree = {
        "name": instance.name,
        "nodes": {name: _speed(device, platform, dtypes) for name, device in copies(platform)},
        "links": _written_links(platform),
        "tasks": {
            layer_name(instance, task.name, layer.name): _cost(layer, models[task.model])
            for task in instance.effective_tasks()
            for layer in models[task.model].layers
        },
        "deps": [[a, b, size] for (a, b), size in edges(instance, lambda _, t: t.bytes).items()],
    }
    write_text(print_json(tree), path, overwrite=overwrite)


def _cost(layer: Layer, model: Model) -> float:
    if layer.devices is not None:
        refuse_feature(NAME, f"where layer {show(layer.name)} of model {show(model.name)} may run")
    return layer.flops


def _speed(device: Device, platform: Platform, dtypes: set[str]) -> float:
    """The only rate of a device."""
    bandwidths = {memory.name: memory.bandwidth for memory in platform.memories}
    for name, usual in (("overhead", 0), ("efficiency", {}), ("operators", None)):
        if getattr(device, name) != usual:
            refuse_feature(NAME, f"{name} of device {show(device.name)}")
    if device.memory is not None:
        what = "bandwidth" if bandwidths[device.memory] is not None else "memory"
        refuse_feature(NAME, f"the {what} of device {show(device.name)}")
    rates = {device.peak_flops.get(dtype, device.peak_flops.get("*")) for dtype in dtypes}
    rate = next(iter(rates))
    if len(rates) > 1 or rate is None:
        refuse_feature(NAME, f"device {show(device.name)} without one rate for all layers")
    return rate


def _written_links(platform: Platform) -> dict[str, float]:
    """Bandwidth between every two copies that have a link; the format knows no other."""
    names = list(copies(platform))
    for name, _ in names:
        if "|" in name:
            refuse_feature(NAME, f"the name of device {show(name)}: it has a |")
    links: dict[str, float] = {}
    for i, (a, one) in enumerate(names):
        for b, other in names[i + 1 :]:
            link, back = device_link(platform, one, other), device_link(platform, other, one)
            if (link is None) != (back is None) or (
                link is not None
                and back is not None
                and (link.bandwidth, link.latency) != (back.bandwidth, back.latency)
            ):
                refuse_feature(NAME, f"a link between {a} and {b} that differs by direction")
            if link is None:
                continue
            if link.latency or link.bandwidth is None:
                refuse_feature(NAME, f"link {show(link.name)}: it needs a bandwidth, and latency 0")
            first, second = sorted((a, b))
            links[f"{first}|{second}"] = link.bandwidth
    return links
