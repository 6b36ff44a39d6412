"""Device placement of DNN graphs: max-load, and latency of one sample.

The files published with Tarnawski et al., "Efficient algorithms for device placement of DNN graph operators",
NeurIPS 2020 (github msr-fiddle/dnn-partitioning).

A JSON object: `maxFPGAs` accelerators of `maxSizePerFPGA` bytes each, `maxCPUs`, `nodes` and `edges`. A node
has its times `cpuLatency` and `fpgaLatency`, its `size` in bytes, which count against an accelerator's memory,
and perhaps a `colorClass`: nodes of one class share a device, also forward and backward nodes of a training
graph (`isBackwardNode`). `cost` of an edge is the time to move the output of its source between an accelerator
and the memory of the CPU; it belongs to the source, and is paid once by whoever writes or reads it.

The cost model: host staging through the CPU, no overlap, memory `static`, weights resident. One device `cpu`
with unlimited slots is the host, so that its own reads and writes cost nothing; devices ``accelerator-0``, ...
have a memory each. A layer is called by the `id` of its node; its `attributes` keep the rest.

With one CPU in the file the objective is `max_load`; with more of them `latency`, with `calls_per_device` 1:
an accelerator runs one call. The numbers of the file are kept: times are in milliseconds in most published
files, and edge costs of some are a thousandth of that (the published results are in the numbers of the files).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.fields import Count, NonNegative, PositiveCount
from dnnplan.instances.formats.dnn_partitioning_writer import write
from dnnplan.instances.formats.foreign import (
    GRAPH,
    Foreign,
    limit_cells,
    limit_devices,
    read_json,
    refuse,
)
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Execution, Link, Memory, Platform
from dnnplan.instances.sections import Costs, Limits

__all__ = ["detect", "read", "write"]

SAME_COST = 1e-9
"""Costs of one output that differ by less, relative, are one cost."""
CPU = "cpu"
ACCELERATOR = "accelerator"
_MARKS = (b'"maxFPGAs"', b'"maxSizePerFPGA"', b'"fpgaLatency"', b'"supportedOnFpga"')
_Table = dict[str, dict[str, dict[str, float]]]


class _Node(Foreign, frozen=True, kw_only=True):
    """A node; what is not named here is not used."""

    id: int
    cpu: NonNegative = msgspec.field(name="cpuLatency")
    accelerator: int | float = msgspec.field(name="fpgaLatency", default=0)
    supported: bool | int = msgspec.field(name="supportedOnFpga", default=True)
    backward: bool | int = msgspec.field(name="isBackwardNode", default=False)
    color: int | None = msgspec.field(name="colorClass", default=None)
    layer: int | None = msgspec.field(name="layerId", default=None)
    size: NonNegative = 0
    name: str = ""


class _Edge(Foreign, frozen=True, kw_only=True):
    """An edge."""

    source: int = msgspec.field(name="sourceId")
    target: int = msgspec.field(name="destId")
    cost: NonNegative
    size: NonNegative = 0


class _File(Foreign, frozen=True, kw_only=True):
    """The members of a file."""

    accelerators: Count = msgspec.field(name="maxFPGAs")
    cpus: PositiveCount = msgspec.field(name="maxCPUs", default=1)
    bytes: NonNegative = msgspec.field(name="maxSizePerFPGA")
    nodes: list[_Node]
    edges: list[_Edge] = []


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a device-placement file, by its members."""
    return b"format_version" not in head and any(mark in head for mark in _MARKS)


def read(path: Path, *, objective: str | None = None, calls: int | str | None = None) -> Instance:
    """Read a device-placement file.

    Parameters
    ----------
    objective
        Replaces the one that the number of CPUs implies.
    calls
        Calls on each accelerator (q) under the objective `latency`; 0: any number.

    Raises
    ------
    FormatError
        Damaged, or different costs for the same output.
    """
    file, source = read_json(path, _File)
    limit_devices(file.accelerators + 1, "maxFPGAs", source)
    # Tables have an entry for each accelerator and node, and two for each output.
    limit_cells(3 * (file.accelerators + 1) * len(file.nodes), "maxFPGAs", source)
    accelerators = [f"{ACCELERATOR}-{d}" for d in range(file.accelerators)]
    known = _nodes_by_id(file, source)
    chosen = objective or ("max_load" if file.cpus == 1 else "latency")
    tensors, moves = _tensors(file, known, accelerators, source)
    return Instance(
        name=path.stem,
        source=path.name,
        objective=chosen,
        limits=Limits(calls_per_device=_calls(calls) if chosen == "latency" else None),
        platform=_platform(accelerators, file.bytes),
        models=(
            Model(
                name=GRAPH,
                layers=tuple(_layer(node) for node in file.nodes),
                tensors=tensors,
                colocate=_classes(file.nodes),
            ),
        ),
        costs=Costs(
            latency={GRAPH: {str(node.id): _row(node, accelerators) for node in file.nodes}},
            transfer={GRAPH: moves},
        ),
    )


def _calls(asked: int | str | None) -> int | None:
    if asked is None:
        return 1
    if not str(asked).isdecimal():
        raise UnsupportedError(f"calls: '{asked}', expected the number of calls on an accelerator, or 0")
    return int(asked) or None


def _nodes_by_id(file: _File, source: str) -> dict[int, _Node]:
    known: dict[int, _Node] = {}
    for index, node in enumerate(file.nodes):
        if node.id in known:
            refuse(f"nodes[{index}].id", f"{node.id} is already the id of another node", source)
        known[node.id] = node
    if not known:
        refuse("nodes", "no node, expected at least one", source)
    return known


def _platform(accelerators: list[str], size: float) -> Platform:
    return Platform(
        name="CPU and accelerators",
        memories=tuple(Memory(name=f"{name} memory", bytes=size) for name in accelerators),
        devices=(
            Device(name=CPU, kind="cpu", slots="unlimited"),
            *(Device(name=name, kind=ACCELERATOR, memory=f"{name} memory") for name in accelerators),
        ),
        # Tables say how long moves take; the links are there for who sets contention.
        links=tuple(Link(name=f"{CPU}-{name}", source=CPU, target=name) for name in accelerators),
        host=CPU,
        execution=Execution(staging="host", overlap=False, memory="static", weights="resident"),
    )


def _layer(node: _Node) -> Layer:
    attributes: dict[str, Any] = {"name": node.name} if node.name else {}
    attributes |= {"backward": True} if node.backward else {}
    attributes |= {"layer": node.layer} if node.layer is not None else {}
    return Layer(name=str(node.id), weight_bytes=node.size, attributes=attributes)


def _row(node: _Node, accelerators: list[str]) -> dict[str, float]:
    supported = accelerators if node.supported else []
    return {CPU: node.cpu, **dict.fromkeys(supported, node.accelerator)}


def _classes(nodes: Iterable[_Node]) -> tuple[tuple[str, ...], ...]:
    classes: dict[int, list[str]] = {}
    for node in nodes:
        if node.color is not None:
            classes.setdefault(node.color, []).append(str(node.id))
    return tuple(tuple(members) for members in classes.values() if len(members) > 1)


def _tensors(
    file: _File, known: dict[int, _Node], accelerators: list[str], source: str
) -> tuple[tuple[Tensor, ...], _Table]:
    """One tensor for the output of each node that others read, and the times to move it."""
    readers: dict[int, dict[int, float]] = {}
    costs: dict[int, float] = {}
    for index, edge in enumerate(file.edges):
        for end in (edge.source, edge.target):
            if end not in known:
                refuse(f"edges[{index}]", f"{end} is not the id of a node", source)
        known_cost = costs.setdefault(edge.source, edge.cost)
        if abs(known_cost - edge.cost) > SAME_COST * known_cost:
            what = f"cost {edge.cost} for the output of {edge.source}, which costs {known_cost} elsewhere"
            refuse(f"edges[{index}]", f"{what}; expected one cost for each output", source)
        readers.setdefault(edge.source, {})[edge.target] = edge.size
    tensors = []
    moves: _Table = {}
    for producer, sizes in readers.items():
        name = str(producer)
        largest = max(sizes.values())
        tensors.append(
            Tensor(
                name=name,
                source=name,
                targets=tuple(map(str, sizes)),
                bytes=largest,
                read_bytes={str(reader): size for reader, size in sizes.items() if size != largest},
            )
        )
        cost = costs[producer]
        moves[name] = {CPU: dict.fromkeys(accelerators, cost), **{a: {CPU: cost} for a in accelerators}}
    return tuple(tensors), moves
