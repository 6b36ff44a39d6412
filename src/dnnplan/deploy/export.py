"""Plans for other runtimes: annotated copies of the models, or a table with the device of every node."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnplan.costs.evaluate import Evaluation
from dnnplan.costs.resolve import mapping_problem
from dnnplan.deploy.annotate import annotated_copy
from dnnplan.deploy.mapped import mapped, owners
from dnnplan.deploy.network import file_sha256
from dnnplan.deploy.segments import segments, with_segments
from dnnplan.deploy.writing import plain_name, whole_folder
from dnnplan.instances import InputError, Instance, Plan, Platform, UnsupportedError
from dnnplan.instances.json_text import print_json

CONFIG_KEY = "session.layer_assignment_settings"
"""The entry of onnxruntime's session options that says which device an annotation stands for."""
ANNOTATIONS = "annotations.json"
COLUMNS = ("task", "job", "model", "node", "layer", "segment", "device", "start", "end")
KINDS = {"cpu": "cpu", "mcu": "cpu", "gpu": "gpu", "npu": "npu", "fpga": "fpga"}
"""Designator of each kind of device; others have to be named."""
_DESIGNATOR = re.compile(r"(cpu|gpu|npu|fpga|accelerator|cuda|dml)(:[A-Za-z0-9_]{1,32})?")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A layer of a network as it runs: segment and device, start and end of the segment in seconds."""

    task: str
    job: int
    model: str
    layer: str
    nodes: tuple[str, ...]
    segment: str
    device: str
    start: float
    end: float


def placed(plan: Plan, instance: Instance) -> list[Placed]:
    """Every layer of every job with its device; where tasks share a layer, each has it.

    Raises
    ------
    InputError
        The plan does not fit the instance, or has no placement.
    """
    whole, plain = mapped(instance, plan)
    problem = mapping_problem(whole)
    called, evaluation = with_segments(problem, plain, apart=owners(plan, problem))
    segment_of = {key: s.name for s in segments(problem, called) for key in s.layers}
    if plan.problem == "joint" and plan.groups:
        return list(_of_task_graph(instance, plan, called, segment_of, evaluation))
    models = {model.name: model for model in whole.models}
    tasks = {task.name: task for task in whole.effective_tasks()}
    found = []
    for job in problem.jobs:
        for layer in models[tasks[job.task].model].layers:
            key = f"{job.task}/{job.number}/{layer.name}"
            name = segment_of[key]
            found.append(
                Placed(
                    task=job.task,
                    job=job.number,
                    model=tasks[job.task].model,
                    layer=layer.name,
                    nodes=_nodes(layer.attributes),
                    segment=name,
                    device=called.placement[key],
                    start=evaluation.starts[name],
                    end=evaluation.ends[name],
                )
            )
    return found


def _of_task_graph(
    instance: Instance, plan: Plan, called: Plan, segment_of: Mapping[str, str], evaluation: Evaluation
) -> Iterator[Placed]:
    from dnnplan.costs.sharing.expand import layers_by_block

    models = {model.name: model for model in instance.models}
    running = layers_by_block(instance, plan.groups)
    for t, task in enumerate(instance.effective_tasks()):
        if task.model not in models:
            raise UnsupportedError(f"task {task.name}: its blocks are stated by figures, and have no nodes")
        own = {layer.name: layer for layer in models[task.model].layers}
        blocks = len(running)
        cells = [*task.blocks[: blocks - 1], tuple(n for rest in task.blocks[blocks - 1 :] for n in rest)]
        for row, names in zip(running, cells, strict=True):
            for shared, name in zip(row[t], names, strict=True):
                key = f"shared/0/{shared}"
                segment = segment_of[key]
                yield Placed(
                    task=task.name,
                    job=0,
                    model=task.model,
                    layer=name,
                    nodes=_nodes(own[name].attributes),
                    segment=segment,
                    device=called.placement[key],
                    start=evaluation.starts[segment],
                    end=evaluation.ends[segment],
                )


def _nodes(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    names = attributes.get("onnx_nodes", ())
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def export_csv(plan: Plan, instance: Instance, output: str | Path, *, overwrite: bool = False) -> list[str]:
    """Write a table for each model: a row a node, with its layer, segment and device, and start and end in seconds.

    Layers that state no ONNX nodes have one row without a node. Returns the names of the files.
    """
    of_model: dict[str, list[Placed]] = {}
    for entry in placed(plan, instance):
        of_model.setdefault(entry.model, []).append(entry)
    names = _file_names(of_model, ".csv")
    with whole_folder(Path(output), overwrite=overwrite) as folder:
        for model, entries in of_model.items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            for e in entries:
                for node in e.nodes or ("",):
                    writer.writerow(
                        (
                            e.task,
                            e.job,
                            e.model,
                            node,
                            e.layer,
                            e.segment,
                            e.device,
                            repr(e.start),
                            repr(e.end),
                        )
                    )
            (folder / names[model]).write_text(text.getvalue(), encoding="utf-8", newline="")
    return list(names.values())


def export_onnxruntime(
    plan: Plan,
    instance: Instance,
    files: Mapping[str, str | Path],
    output: str | Path,
    *,
    designators: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a copy of each model whose nodes name their device, for one session of onnxruntime (1.31 or later).

    Each node has ``layer_ann`` in its metadata. ``annotations.json`` has, for each copy, the value of the session
    option ``session.layer_assignment_settings`` that maps these names to devices of the runtime. The runtime takes them
    as wishes: it ignores those for devices that the session has no provider for, and does not keep the order of the
    plan.

    Parameters
    ----------
    files
        ONNX file of each model.
    designators
        Device of the runtime (``cpu``, ``gpu``, ``npu``, ``gpu:1``, ...) for devices of the platform; by default that
        of their kind.

    Returns
    -------
    dict
        What ``annotations.json`` holds.

    Raises
    ------
    InputError
        A device without a designator, or a model without a file.
    """
    entries = placed(plan, instance)
    used = sorted({entry.device for entry in entries})
    devices = _devices(instance.platform, used, designators or {})
    copies: dict[tuple[str, int], dict[str, str]] = {}
    model_of: dict[tuple[str, int], str] = {}
    for entry in entries:
        job = entry.task, entry.job
        model_of[job] = entry.model
        copies.setdefault(job, {}).update(dict.fromkeys(entry.nodes, devices[entry.device]["annotation"]))
    tree: dict[str, Any] = {"config_key": CONFIG_KEY, "devices": devices, "models": []}
    with whole_folder(Path(output), overwrite=overwrite) as folder:
        for jobs, file, nodes in _distinct(copies, model_of):
            model = model_of[jobs[0]]
            path = folder / file
            annotated_copy(Path(files[model]), path, nodes, whole=True)
            tree["models"].append(
                {
                    "model": model,
                    "tasks": sorted({task for task, _ in jobs}),
                    "file": file,
                    "sha256": file_sha256(path),
                    "settings": _settings(devices, set(nodes.values())),
                }
            )
        (folder / ANNOTATIONS).write_text(print_json(tree), encoding="utf-8", newline="\n")
    return tree


def _devices(
    platform: Platform | None, used: list[str], designators: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Annotation and designator of every device that is used, copies of a device included."""
    kinds = {device.name: device.kind for device in platform.devices} if platform is not None else {}
    unknown = [name for name in designators if name not in kinds and name not in used]
    if unknown:
        raise InputError(
            f"--designator {unknown[0]}: the plan uses no such device; it uses {', '.join(used)}"
        )
    found: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for name in used:
        base = name if name in kinds else name.rpartition(".")[0]
        kind = kinds.get(base, "")
        designator = designators.get(name) or designators.get(base) or KINDS.get(kind)
        if designator is None:
            raise InputError(
                f"device {name} is of kind '{kind}', for which onnxruntime has no designator; name one with "
                f"--designator {name}=cpu (or gpu, npu, fpga, accelerator, gpu:1, ...)"
            )
        if not _DESIGNATOR.fullmatch(designator):
            raise InputError(
                f"--designator {name}={designator}: expected cpu, gpu, npu, fpga, accelerator, cuda or dml, or one of "
                "these with an index or vendor, such as gpu:1"
            )
        annotation = f"dnnplan_{plain_name(name)}"
        while annotation in taken:
            annotation += "_"
        taken.add(annotation)
        found[name] = {"annotation": annotation, "designator": designator}
    return found


def _settings(devices: Mapping[str, Mapping[str, str]], annotations: set[str]) -> str:
    """``cpu(=a); gpu(=b, =c)``: names are matched whole, for one may begin with another."""
    of: dict[str, list[str]] = {}
    for entry in devices.values():
        if entry["annotation"] in annotations:
            of.setdefault(entry["designator"], []).append(f"={entry['annotation']}")
    return "; ".join(f"{designator}({', '.join(names)})" for designator, names in of.items())


def _distinct(
    copies: Mapping[tuple[str, int], dict[str, str]], model_of: Mapping[tuple[str, int], str]
) -> Iterator[tuple[list[tuple[str, int]], str, dict[str, str]]]:
    """One copy of a model, unless its jobs run on different devices."""
    same: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
    for job, nodes in copies.items():
        same.setdefault((model_of[job], *sorted(nodes.items())), []).append(job)
    several = [key[0] for key in same]
    labels: dict[str, list[tuple[str, int]]] = {}
    for key, jobs in same.items():
        name = key[0] if several.count(key[0]) == 1 else f"{key[0]}-{jobs[0][0]}-{jobs[0][1]}"
        labels[name] = jobs
    names = _file_names(labels, ".onnx")
    for label, jobs in labels.items():
        yield jobs, names[label], copies[jobs[0]]


def _file_names(labels: Mapping[str, object], suffix: str) -> dict[str, str]:
    """A file name for each label; labels that look the same as one are numbered."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        stem = plain_name(label).lstrip(".-") or "model"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        found[label] = name + suffix
    return found
