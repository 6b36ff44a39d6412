"""Task graphs with communication on identical processors, from the Auckland task-scheduling database.

A JSON object with `procs`, `weights` {task: time} and `edges` [[from, to, communication time], ...];
communication is the same between any two processors, and free on one. Members about the search that proved
the optimum are ignored. The format has no units, and its numbers are kept.
"""

from __future__ import annotations

from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.fields import NonNegative, PositiveCount
from dnnplan.instances.formats.expressible import (
    copies,
    edges,
    graph_times,
    refuse_feature,
    require_task_graph,
    uniform_seconds,
)
from dnnplan.instances.formats.foreign import GRAPH, Foreign, edge_tensors, limit_devices, read_json
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import print_json
from dnnplan.instances.model import Layer, Model
from dnnplan.instances.platform import Device, Link, Platform

NAME = "auckland"
PROCESSOR = "processor"


class _File(Foreign, frozen=True, kw_only=True):
    """The members of a file that mean something."""

    procs: PositiveCount
    weights: dict[str, NonNegative]
    edges: list[tuple[str, str, NonNegative]] = []
    name: str = ""


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of the database, by its members."""
    return b"format_version" not in head and b'"procs"' in head and b'"weights"' in head


def read(path: Path) -> Instance:
    """Read a file of the database: copies of one device, one model `graph`, one tensor for each edge."""
    file, source = read_json(path, _File)
    limit_devices(file.procs, "procs", source)
    device = Device(name=PROCESSOR, count=file.procs, peak_flops={"*": 1})
    links = (Link(name="network", source=PROCESSOR, target=PROCESSOR, bandwidth=1),)
    model = Model(
        name=GRAPH,
        layers=tuple(Layer(name=name, flops=time) for name, time in file.weights.items()),
        tensors=edge_tensors(file.edges, list(file.weights), source),
    )
    return Instance(
        name=file.name or path.stem,
        source=path.name,
        platform=Platform(
            name="identical processors", devices=(device,), links=links if file.procs > 1 else ()
        ),
        models=(model,),
    )


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an instance of identical devices with the same communication between any two of them.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    platform = require_task_graph(instance, NAME)
    times = graph_times(instance, NAME)
    for layer, row in times.items():
        if len(set(row.values())) > 1:
            refuse_feature(NAME, f"devices that take different times for layer {layer}")
    found = edges(instance, uniform_seconds(instance, NAME))
    tree = {
        "name": instance.name,
        "procs": sum(1 for _ in copies(platform)),
        "weights": {layer: next(iter(row.values())) for layer, row in times.items()},
        "edges": [[a, b, cost] for (a, b), cost in found.items()],
    }
    write_text(print_json(tree), path, overwrite=overwrite)
