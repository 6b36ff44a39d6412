"""Networks in layer groups on the GPU and the DLA of a Jetson SoC: the figures of HaX-CoNN.

Dagli and Belviranli, "Shared memory-contention-aware concurrent DNN execution for diversely heterogeneous
SoCs", PPoPP 2024 (github ismetdagli/HaX-CoNN). A CSV file with a row for each layer group, in order: `network`,
`group`, its time on each processor (`gpu_ms_paper`, `dla_ms_paper`), and the transition times to the other
processor after it (`transition_out_of_gpu_ms`, `transition_out_of_dla_ms`), all in milliseconds, which become
seconds. Each network is a model with a task of its own.

The cost model: direct staging with overlap; a transition is a delay in `costs.transfer` that occupies neither
processor. Where the CSV file has no transitions, the figures of the published solver script are taken; the
script calls them dummies. Memory contention is a setting of the tables: ``slowdown="static"`` multiplies the
time of each group by the slow-down that the script derives from a memory demand, whatever runs beside it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from dnnplan.instances.atomic import write_text
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.formats.expressible import (
    chain_of,
    layer_times,
    refuse_feature,
    require_task_graph,
    transfer_seconds,
)
from dnnplan.instances.formats.foreign import number, read_text, refuse
from dnnplan.instances.formats.hax_conn_figures import TRANSITIONS, slowdowns
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Link, Platform
from dnnplan.instances.sections import Costs, Limits
from dnnplan.instances.wording import unknown

NAME = "hax-conn"
GPU, DLA = "gpu", "dla"
TIMES = {GPU: "gpu_ms_paper", DLA: "dla_ms_paper"}
MOVES = {GPU: "transition_out_of_gpu_ms", DLA: "transition_out_of_dla_ms"}
COLUMNS = ("network", "group", *TIMES.values(), *MOVES.values())
_Rows = list[tuple[int, dict[str, str]]]
_Row = dict[str, float]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is such a CSV file, by the names of its columns."""
    first = head.partition(b"\n")[0]
    return b"network" in first and all(name.encode() in first for name in TIMES.values())


def read(
    path: Path,
    *,
    networks: str | Sequence[str] | None = None,
    slowdown: str = "none",
    switches: int | str | None = None,
) -> Instance:
    """Read layer groups of networks that run together.

    Parameters
    ----------
    networks
        Which of them, by name: ``googlenet,alexnet`` or a list; None: all of the file.
    slowdown
        ``none``, or ``static``: the slow-down of the published script, for the networks it has demands for.
    switches
        Most changes of processor in a network; None: any number.

    Raises
    ------
    FormatError
        Damaged; transitions missing that the script does not have either.
    UnsupportedError
        Unknown options.
    """
    if slowdown not in ("none", "static"):
        raise UnsupportedError(f"slowdown: '{slowdown}', expected none or static")
    if switches is not None and not str(switches).isdecimal():
        raise UnsupportedError(f"switches: '{switches}', expected a whole number >= 0")
    rows, source = _rows(path)
    chosen = _chosen(networks, list(rows))
    latency = {name: _times(name, rows[name], slowdown, source) for name in chosen}
    return Instance(
        name="+".join(chosen),
        source=path.name,
        limits=Limits(switches=None if switches is None else int(switches)),
        platform=Platform(
            name="GPU and DLA",
            devices=(Device(name=GPU, kind="gpu"), Device(name=DLA, kind="npu")),
            links=(Link(name="transition", source=GPU, target=DLA),),
        ),
        models=tuple(_model(name, list(latency[name])) for name in chosen),
        costs=Costs(latency=latency, transfer={name: _moves(name, rows[name], source) for name in chosen}),
    )


def _rows(path: Path) -> tuple[dict[str, _Rows], str]:
    """Rows with their line, by network."""
    text, source = read_text(path)
    rows: dict[str, _Rows] = {}
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            refuse("line 1", f"column {missing[0]} is missing, expected {', '.join(COLUMNS)}", source)
        for row in reader:
            cells = {name: (row[name] or "").strip() for name in COLUMNS}
            rows.setdefault(cells["network"], []).append((reader.line_num, cells))
    except csv.Error as error:
        refuse(f"line {reader.line_num}", f"not CSV: {error}", source)
    if not rows:
        refuse("", "no rows, expected a layer group in each", source)
    return rows, source


def _chosen(networks: str | Sequence[str] | None, known: list[str]) -> list[str]:
    if networks is None:
        return known
    names = [n.strip() for n in networks.split(",")] if isinstance(networks, str) else list(networks)
    for name in names:
        if name not in known:
            raise UnsupportedError(f"networks: {unknown('network of the file', name, known)}")
    return list(dict.fromkeys(names))


def _model(name: str, groups: list[str]) -> Model:
    tensors = tuple(Tensor(name=f"{a}>{b}", source=a, targets=(b,)) for a, b in pairwise(groups))
    return Model(name=name, layers=tuple(Layer(name=group) for group in groups), tensors=tensors)


def _times(name: str, rows: _Rows, slowdown: str, source: str) -> dict[str, _Row]:
    """Seconds of each group on each processor."""
    times: dict[str, _Row] = {}
    for line, cells in rows:
        if cells["group"] in times:
            refuse(f"line {line}", f"group {cells['group']} of {name} comes twice", source)
        times[cells["group"]] = {
            device: _seconds(cells[column], line, source) for device, column in TIMES.items()
        }
    if slowdown == "none":
        return times
    factors = slowdowns(name)
    if factors is None or len(factors) < len(times):
        raise UnsupportedError(f"slowdown: the published script has no memory demands for {name}")
    return {
        group: {device: seconds * factor[device] for device, seconds in row.items()}
        for (group, row), factor in zip(times.items(), factors, strict=False)
    }


def _moves(name: str, rows: _Rows, source: str) -> dict[str, dict[str, _Row]]:
    """Seconds of the transition after each group but the last, from either processor."""
    empty = not any(cells[column] for _, cells in rows for column in MOVES.values())
    published = TRANSITIONS.get(name, {}) if empty else {}
    moves: dict[str, dict[str, _Row]] = {}
    for i, ((line, cells), (_, after)) in enumerate(pairwise(rows)):
        row = moves[f"{cells['group']}>{after['group']}"] = {}
        for device, other in ((GPU, DLA), (DLA, GPU)):
            known = published.get(device, ())
            text = known[i] if i < len(known) else cells[MOVES[device]]
            row[device] = {other: _seconds(text, line, source)}
    return moves


def _seconds(milliseconds: str, line: int, source: str) -> float:
    """Seconds of a number of milliseconds, without a rounding of the product."""
    number(milliseconds, f"line {line}", source)
    return float(f"{milliseconds}e-3") if "e" not in milliseconds.lower() else float(milliseconds) / 1e3


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write networks that are chains of layers on two devices `gpu` and `dla`.

    Raises
    ------
    UnsupportedError
        Names what the format cannot express; `limits.switches` is an option of the reader.
    """
    platform = require_task_graph(instance, NAME)
    if sorted(device.name for device in platform.devices) != sorted((GPU, DLA)):
        refuse_feature(NAME, f"other devices than {GPU} and {DLA}")
    if any(device.count > 1 for device in platform.devices):
        refuse_feature(NAME, "several copies of a device")
    if sorted(task.model for task in instance.effective_tasks()) != sorted(m.name for m in instance.models):
        refuse_feature(NAME, "a network that no task or several tasks use")
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for model in instance.models:
        table.writerows(_written_rows(instance, model))
    write_text(text.getvalue(), path, overwrite=overwrite)


def _written_rows(instance: Instance, model: Model) -> list[list[str]]:
    times = layer_times(instance, model, NAME)
    chain = chain_of(model, NAME)
    between = {(tensor.source, target): tensor for tensor in model.tensors for target in tensor.targets}
    rows = []
    for i, layer in enumerate(chain):
        if len(times[layer]) < len(TIMES):
            refuse_feature(NAME, f"that layer {layer} of {model.name} cannot run on both devices")
        cells = [times[layer][device] for device in TIMES]
        if i + 1 < len(chain):
            tensor = between[layer, chain[i + 1]]
            cells += [
                transfer_seconds(instance, model, tensor, ends, NAME) for ends in ((GPU, DLA), (DLA, GPU))
            ]
        rows.append([model.name, layer, *map(_milliseconds, cells)])
        rows[-1] += [""] * (len(COLUMNS) - len(rows[-1]))
    return rows


def _milliseconds(seconds: float) -> str:
    """Milliseconds that read back as the same seconds."""
    return str(Decimal(repr(seconds)) * 1000)
