"""Flexible job shops in the usual text format, as a special case: an outside check of exact models.

The first line has the numbers of jobs and machines, and perhaps the mean number of options. Then, for each
job: the number of operations; for each of them the number of options, and as many pairs of a machine (from
1) and a time. A job is a model with a chain of layers and a task; nothing is moved. The format has no units,
and its numbers are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.formats.expressible import (
    chain_of,
    copies,
    layer_times,
    refuse_feature,
    require_task_graph,
    uniform_seconds,
)
from dnnplan.instances.formats.foreign import limit_devices, number, read_text, refuse, whole
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Memory, Platform
from dnnplan.instances.sections import Costs
from dnnplan.instances.wording import show

NAME = "fjsp"
MEMORY = "shop"
"""All machines compute from one memory without limits, so that nothing is moved."""
MOST_JOBS = 100_000
_FIRST = re.compile(
    rb"\s*[0-9]{1,6}[ \t]+[0-9]{1,6}([ \t]+[0-9.]{1,12})?[ \t]*\r?\n"
    rb"[ \t]*[0-9]{1,6}[ \t]+[0-9]{1,6}[ \t]+[0-9]"
)
_Row = dict[str, int | float]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a job shop: two or three numbers on the first line, at least three on the next."""
    return _FIRST.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def read(path: Path) -> Instance:
    """Read a job shop: devices ``machine-1``, ..., models ``job-1``, ... with the layers ``1``, ``2``, ..."""
    text, source = read_text(path)
    first, _, rest = text.lstrip().partition("\n")
    sizes = first.split()
    if len(sizes) not in (2, 3):
        refuse("line 1", "expected the numbers of jobs and machines", source)
    jobs = whole(sizes[0], "line 1", source, least=1, most=MOST_JOBS)
    machines = whole(sizes[1], "line 1", source, least=1)
    limit_devices(machines, "line 1", source)
    words = iter(rest.split())
    models = []
    latency: dict[str, dict[str, dict[str, int | float]]] = {}
    for job in range(1, jobs + 1):
        rows = _job(words, job, machines, source)
        name = f"job-{job}"
        latency[name] = {str(i): row for i, row in enumerate(rows, start=1)}
        models.append(_chain(name, list(latency[name])))
    left = next(words, None)
    if left is not None:
        refuse("", f"more numbers than {jobs} jobs have, from {left[:20]} on", source)
    return Instance(
        name=path.stem,
        source=path.name,
        platform=Platform(
            name="job shop",
            memories=(Memory(name=MEMORY),),
            devices=tuple(Device(name=f"machine-{d}", memory=MEMORY) for d in range(1, machines + 1)),
        ),
        models=tuple(models),
        costs=Costs(latency=latency),
    )


def _chain(name: str, layers: list[str]) -> Model:
    tensors = tuple(Tensor(name=f"{a}>{b}", source=a, targets=(b,)) for a, b in pairwise(layers))
    return Model(name=name, layers=tuple(Layer(name=layer) for layer in layers), tensors=tensors)


def _job(words: Iterator[str], job: int, machines: int, source: str) -> list[_Row]:
    """Times on machines of each operation of a job."""
    operations = whole(next(words, ""), f"job {job}", source, most=MOST_JOBS)
    rows = []
    for operation in range(1, operations + 1):
        where = f"job {job}, operation {operation}"
        options = whole(next(words, ""), where, source, least=1, most=machines)
        row: _Row = {}
        for _ in range(options):
            machine = f"machine-{whole(next(words, ''), where, source, least=1, most=machines)}"
            if machine in row:
                refuse(where, f"{machine} is named twice", source)
            row[machine] = number(next(words, ""), where, source)
        rows.append(row)
    return rows


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an instance whose tasks are chains of layers between which nothing has to be moved.

    Jobs, operations and machines have numbers in this format: their names are lost.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express.
    """
    platform = require_task_graph(instance, NAME)
    machine = {name: str(d) for d, (name, _) in enumerate(copies(platform), start=1)}
    models = {model.name: model for model in instance.models}
    seconds = uniform_seconds(instance, NAME)
    lines = []
    options = operations = 0
    for task in instance.effective_tasks():
        model = models[task.model]
        for tensor in model.tensors:
            if tensor.source is not None and tensor.targets and seconds(model, tensor) > 0:
                refuse_feature(NAME, f"time to move tensor {show(tensor.name)} of model {show(model.name)}")
        times = layer_times(instance, model, NAME)
        rows = [times[layer] for layer in chain_of(model, NAME)]
        if not all(rows):
            refuse_feature(NAME, f"a layer of model {show(model.name)} that no device can run")
        words = [str(len(rows))]
        for row in rows:
            words += [str(len(row)), *(w for d, time in row.items() for w in (machine[d], repr(time)))]
        lines.append(" ".join(words))
        options += sum(map(len, rows))
        operations += len(rows)
    first = f"{len(lines)} {len(machine)} {options / max(operations, 1):.2g}"
    write_text("\n".join([first, *lines]) + "\n", path, overwrite=overwrite)
