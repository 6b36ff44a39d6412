"""What lies in a folder of parts, opened: manifest, instance, plan, and their evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnnplan.costs import Evaluation, evaluate, mapping_problem
from dnnplan.deploy.folder import check_weights, part_path, read_manifest
from dnnplan.deploy.manifest import INSTANCE, PLAN, Manifest
from dnnplan.deploy.run.program import Program, make_program
from dnnplan.instances import Instance, Plan
from dnnplan.instances.errors import FormatError
from dnnplan.instances.files import read_instance, read_plan
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model


@dataclass(frozen=True)
class Folder:
    """A manifest with its parts, and the instance and plan beside it, if they are there.

    Attributes
    ----------
    files
        The ONNX file of each segment.
    evaluation
        Of the plan whose calls are the segments; None without instance and plan.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, Path]
    program: Program
    instance: Instance | None = None
    plan: Plan | None = None
    evaluation: Evaluation | None = None

    @property
    def batch(self) -> dict[str, int]:
        """Samples of a job, by task."""
        tasks = () if self.instance is None else self.instance.effective_tasks()
        return {task.name: task.batch for task in tasks}


def open_folder(path: str | Path) -> Folder:
    """Read what `dnnplan split` wrote, without running any of it.

    Raises
    ------
    FormatError
        Damaged, changed or hostile, or an instance or a plan that is not the manifest's.
    PlanError
        The plan does not fit the instance.
    """
    place = Path(path)
    manifest = read_manifest(place)
    files = {entry.name: part_path(place, entry) for entry in manifest.segments}
    for entry in {entry.file: entry for entry in manifest.segments}.values():
        check_weights(load_model(files[entry.name], ReadLimits()), entry, files[entry.name])
    beside = [place / name for name in (INSTANCE, PLAN) if os.path.lexists(place / name)]
    if odd := [path.name for path in beside if path.is_symlink() or not path.is_file()]:
        raise FormatError(f"{odd[0]} is a link, or no regular file", source=str(place))
    if len(beside) < 2:
        return Folder(place, manifest, files, make_program(manifest))
    instance, plan = read_instance(place / INSTANCE), read_plan(place / PLAN)
    if instance.hash() != manifest.instance_hash:
        raise FormatError(
            f"{INSTANCE} is not the instance of the manifest (hash {instance.hash()[:12]}, "
            f"expected {manifest.instance_hash[:12]}); split the plan again",
            source=str(place),
        )
    evaluation = evaluate(mapping_problem(instance), plan)
    if other := _other(manifest, evaluation):
        raise FormatError(f"{PLAN} has {other}; split the plan again", source=str(place))
    return Folder(place, manifest, files, make_program(manifest, instance, plan), instance, plan, evaluation)


def _other(manifest: Manifest, evaluation: Evaluation) -> str:
    """What the plan has that the manifest does not have, or otherwise; empty where they agree."""
    problem, decisions = evaluation.problem, evaluation.decisions
    names = decisions.call_names
    if different := sorted(set(names) ^ set(manifest.segment_of)):
        return f"other calls than the manifest has segments ({different[0]!r})"
    if problem.devices != manifest.devices:
        return f"the devices {', '.join(problem.devices)}, the manifest {', '.join(manifest.devices)}"
    for call, name in enumerate(names):
        entry = manifest.segment_of[name]
        if {problem.layers[i] for i in decisions.calls[call]} != {
            f"{entry.task}/{entry.job}/{layer}" for layer in entry.layers
        }:
            return f"other layers in call {name!r} than the manifest"
    for device, row in zip(problem.devices, decisions.order, strict=True):
        if tuple(names[call] for call in row) != manifest.order.get(device, ()):
            return f"other calls on device {device!r} than the manifest, or in another order"
    return ""
