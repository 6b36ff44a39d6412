"""What lies in a folder of parts, opened: manifest, instance, plan, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnnplan.costs import Evaluation, evaluate, mapping_problem
from dnnplan.deploy.folder import part_path, read_manifest
from dnnplan.deploy.manifest import INSTANCE, PLAN, Manifest
from dnnplan.deploy.run.program import Program, make_program
from dnnplan.instances import Instance, Plan
from dnnplan.instances.errors import FormatError
from dnnplan.instances.files import read_instance, read_plan


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
        Damaged, changed or hostile, or an instance that is not the manifest's.
    PlanError
        The plan does not fit the instance.
    """
    place = Path(path)
    manifest = read_manifest(place)
    files = {entry.name: part_path(place, entry) for entry in manifest.segments}
    if not all((place / name).is_file() for name in (INSTANCE, PLAN)):
        return Folder(place, manifest, files, make_program(manifest))
    instance, plan = read_instance(place / INSTANCE), read_plan(place / PLAN)
    if instance.hash() != manifest.instance_hash:
        raise FormatError(
            f"{INSTANCE} is not the instance of the manifest (hash {instance.hash()[:12]}, "
            f"expected {manifest.instance_hash[:12]}); split the plan again",
            source=str(place),
        )
    evaluation = evaluate(mapping_problem(instance), plan)
    names = set(evaluation.decisions.call_names)
    if names != set(manifest.segment_of):
        missing = sorted(names ^ set(manifest.segment_of))[0]
        raise FormatError(
            f"{PLAN} has other calls than the manifest has segments ({missing!r}); split the plan again",
            source=str(place),
        )
    return Folder(place, manifest, files, make_program(manifest, instance, plan), instance, plan, evaluation)
