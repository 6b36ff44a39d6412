"""Task graphs on unrelated machines with uniform communication: the text files of heterogeneous-DAG studies.

Sections start with ``#``: ``#tasks`` has a row ``id: time on machine 0, time on machine 1, ...`` for each
task, ``#edges`` a row ``id: from, to, communication time``; ``#critical`` holds a number that is ignored, and
``#end`` ends the file. Communication takes the same time between any two machines, and none on one. The
format has no units, and its numbers are kept.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.formats.expressible import edges, graph_times, require_task_graph, uniform_seconds
from dnnplan.instances.formats.foreign import (
    GRAPH,
    all_pairs,
    edge_tensors,
    limit_cells,
    limit_devices,
    number,
    read_text,
    refuse,
    whole,
)
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model
from dnnplan.instances.platform import Device, Platform
from dnnplan.instances.sections import Costs
from dnnplan.instances.wording import show

NAME = "hetero-dag"
SECTIONS = ("#critical", "#tasks", "#edges", "#end")
Row = tuple[int, str, list[str]]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is such a file: it starts with one of its sections."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"#critical", b"#tasks"))


def read(path: Path) -> Instance:
    """Read such a file: devices ``machine-0``, ...; one model `graph`, one tensor for each edge."""
    text, source = read_text(path)
    sections = _sections(text, source)
    times = _times(sections.get("#tasks", []), source)
    if not times:
        refuse("#tasks", "no task, expected at least one row", source)
    machines = [f"machine-{d}" for d in range(len(next(iter(times.values()))))]
    edges = [_edge(row, source) for row in sections.get("#edges", [])]
    return Instance(
        name=path.stem,
        source=path.name,
        platform=Platform(
            name="unrelated machines",
            devices=tuple(Device(name=name) for name in machines),
            links=all_pairs(machines),
        ),
        models=(
            Model(
                name=GRAPH,
                layers=tuple(Layer(name=name) for name in times),
                tensors=edge_tensors(edges, list(times), source),
            ),
        ),
        costs=Costs(
            latency={GRAPH: {name: dict(zip(machines, row, strict=True)) for name, row in times.items()}}
        ),
    )


def _sections(text: str, source: str) -> dict[str, list[Row]]:
    """(line, identifier, cells) of each row, by section."""
    sections: dict[str, list[Row]] = {}
    current = ""
    for line, content in enumerate(text.splitlines(), start=1):
        stripped = content.strip()
        if stripped.startswith("#"):
            if stripped not in SECTIONS or stripped in sections:
                known = ", ".join(SECTIONS)
                refuse(f"line {line}", f"{show(stripped)}, expected one of {known}, each once", source)
            current = stripped
            sections[current] = []
        elif stripped and current == "#end":
            refuse(f"line {line}", f"{show(stripped)} after #end", source)
        elif stripped and current != "#critical":
            head, colon, tail = stripped.partition(":")
            if not colon or not current:
                refuse(f"line {line}", f"{show(stripped)}, expected ID: NUMBER, NUMBER, ...", source)
            sections[current].append((line, head.strip(), tail.split(",")))
    if current != "#end":
        refuse("end of the file", "#end is missing; the file seems to be cut off", source)
    return sections


def _times(rows: list[Row], source: str) -> dict[str, list[int | float]]:
    if rows:
        limit_devices(max(len(cells) for _, _, cells in rows), "#tasks", source)
        limit_cells(sum(len(cells) for _, _, cells in rows), "#tasks", source)
    times: dict[str, list[int | float]] = {}
    for line, task, cells in rows:
        if task in times or not task.isdecimal():
            refuse(f"line {line}", f"{show(task)}, expected the number of another task", source)
        times[task] = [number(cell, f"line {line}", source) for cell in cells]
    for (_, a, first), (line, b, second) in pairwise(rows):
        if len(first) != len(second):
            refuse(
                f"line {line}",
                f"task {b} has {len(second)} times, task {a} {len(first)}; expected as many",
                source,
            )
    return times


def _edge(row: Row, source: str) -> tuple[str, str, int | float]:
    line, _, cells = row
    where = f"line {line}"
    if len(cells) != 3:
        refuse(where, f"{len(cells)} numbers, expected from, to and communication time", source)
    a, b = (str(whole(cell, where, source)) for cell in cells[:2])
    return a, b, number(cells[2], where, source)


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write a task graph whose communication takes the same time between any two devices.

    Tasks and machines have numbers in this format: their names are lost.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    require_task_graph(instance, NAME)
    times = graph_times(instance, NAME)
    index = {layer: i for i, layer in enumerate(times)}
    found = edges(instance, uniform_seconds(instance, NAME))
    lines = ["#critical", "0", "#tasks"]
    lines += [f"{index[layer]}: {', '.join(map(repr, row.values()))}" for layer, row in times.items()]
    lines += ["#edges"]
    lines += [f"{i}: {index[a]}, {index[b]}, {cost!r}" for i, ((a, b), cost) in enumerate(found.items())]
    write_text("\n".join([*lines, "#end"]) + "\n", path, overwrite=overwrite)
