"""Plans that carry their instance, and reading what commands take as a plan together with its instance."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dnnplan.cli.options import with_conditions
from dnnplan.instances.errors import InputError, PlanError
from dnnplan.instances.plan import Plan
from dnnplan.instances.result import Result

if TYPE_CHECKING:
    from dnnplan.instances import Instance

BESIDE = frozenset(
    (
        "costs",
        "stability",
        "method",
        "sequential",
        "loss_of_sequential",
        "loss_at_most",
        "retraining",
        "replan",
    )
)
"""Members that `solve --costs --json`, `plan --json` and `replan --json` print beside those of a result."""
CARRYING = frozenset(("mapping", "joint"))
"""Problems whose plans commands act on (split, export, replan): their files say what they were made for."""

NATIVE = (".json", ".yaml", ".yml")


def carrying(plan: Plan, instance: Instance, files: Sequence[str]) -> Plan:
    """The plan with its instance, and with the ONNX files that its models were read from, under ``extensions``.

    Parameters
    ----------
    files
        What the command line named as networks: files, and names of light networks.
    """
    from msgspec.structs import replace

    from dnnplan.instances.canonical import plain

    if plan.problem not in CARRYING or plan.instance != instance.hash():
        return plan
    extensions = {
        **plan.extensions,
        "instance": {"format_version": instance.format_version, **plain(instance)},
    }
    models = _model_files(instance, files)
    if models:
        extensions["models"] = {
            name: {"path": str(path), "sha256": file_sha256(path)} for name, path in models.items()
        }
    return replace(plan, extensions=extensions)


def _model_files(instance: Instance, files: Sequence[str]) -> dict[str, Path]:
    """The file of every model that was read from one; a model knows the name of its file.

    It is one that was named, a light network, or one in the folder of a native instance that was named.
    """
    from dnnplan.instances.errors import MissingDependencyError
    from dnnplan.instances.formats.onnx.bundled import light_network_paths

    try:
        light = light_network_paths()
    except MissingDependencyError:
        light = {}
    given: dict[str, list[Path]] = {}
    for name in files:
        if Path(name).suffix.lower() in NATIVE and Path(name).is_file():
            for model in instance.models:
                beside = Path(name).parent / Path(model.source).name
                if model.source.endswith(".onnx") and beside.is_file():
                    given.setdefault(model.source, [beside.resolve()])
            continue
        path = Path(name) if Path(name).is_file() else light.get(name)
        if path is not None:
            given.setdefault(path.name, []).append(path.resolve())
    bundled = {path.name: [path.resolve()] for path in light.values()}
    found: dict[str, Path] = {}
    for model in instance.models:
        paths = given.get(model.source) or bundled.get(model.source)
        if paths and model.source:
            # Files of one name in several folders: models stand in the order of the files.
            found[model.name] = paths.pop(0) if len(paths) > 1 else paths[0]
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def carried_instance(plan: Plan, path: str | Path) -> Instance | None:
    """The instance that a plan carries, validated; None: it carries none.

    Raises
    ------
    PlanError
        It is not the instance that the plan was made for.
    InputError
        It is not a valid instance.
    """
    from dnnplan.instances.files import loads_instance

    tree = plan.extensions.get("instance")
    if tree is None:
        return None
    label = f"{path}: extensions.instance"
    instance = loads_instance(msgspec.json.encode(tree), syntax="json", source=label)
    if instance.hash() != plan.instance:
        raise PlanError(
            f"{label}: its hash is {instance.hash()[:12]}..., expected that of the plan's instance, "
            f"{plan.instance[:12] or 'none'}...; name the instance with --instance FILE"
        )
    return instance


def plan_and_instance(
    path: str | Path,
    instance_names: list[str] | None = None,
    platform: str | None = None,
    **reading: Any,
) -> tuple[Plan, Instance]:
    """A plan and what it was made for: the instance that is named, else the one that the plan carries.

    Parameters
    ----------
    reading
        Further arguments of `load_instance`.

    Raises
    ------
    PlanError
        The plan was made for another instance.
    InputError
        No plan, or no instance is named and the plan carries none.
    """
    plan, _ = read_any_plan(path)
    instance = load_instance(instance_names, platform, str(path), carried=plan, **reading)
    if plan.instance and plan.instance != instance.hash():
        raise PlanError(
            f"{path}: was made for the instance {plan.instance[:12]}..., got {instance.hash()[:12]}...; "
            "name the files, the platform and the changes that it was solved with"
        )
    return plan, instance


def read_plan_or_result(path: str | Path) -> tuple[Plan, Result | None]:
    """A plan file, or the plan in what ``dnnplan solve --json`` printed.

    Raises
    ------
    InputError
        Neither, a result without a plan, or one cycle of a plan that repeats for ever.
    """
    plan, result = read_any_plan(path)
    if plan.problem == "rates":
        raise InputError(
            f"{path}: one cycle of a plan of `dnnplan rates`, expected a plan of problem 'mapping'"
        )
    return plan, result


def read_any_plan(path: str | Path) -> tuple[Plan, Result | None]:
    """The same, whatever problem the plan is of."""
    from dnnplan.instances.files import read_plan

    try:
        return read_plan(path), None
    except InputError as error:
        try:
            result = _read_result(path)
        except InputError:
            raise error from None
    if result.plan is None:
        raise InputError(f"{path}: a result without a plan (status {result.status})")
    return result.plan, result


def _read_result(path: str | Path) -> Result:
    """A printed result, without what `solve --costs` says beside it."""
    from dnnplan.instances.files import read_bytes, read_result
    from dnnplan.instances.json_text import parse_json

    try:
        return read_result(path)
    except InputError:
        data, _, label = read_bytes(path)
        tree = parse_json(data, label)
        if not isinstance(tree, dict) or BESIDE.isdisjoint(tree):
            raise
        rest = {key: value for key, value in tree.items() if key not in BESIDE}
        return read_result(io.BytesIO(msgspec.json.encode(rest)))


def result_tree(result: Result) -> dict[str, Any]:
    """A result as JSON values; its plan says its version, so that it can be cut out and read as a plan."""
    tree: dict[str, Any] = msgspec.to_builtins(result)
    if result.plan is not None:
        tree["plan"] = {"format_version": result.plan.format_version, **tree["plan"]}
    return tree


def load_instance(
    names: list[str] | None,
    platform: str | None,
    plan: str,
    dims: dict[str, int] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    changes: Iterable[str] | None = None,
    conditions: Path | None = None,
    carried: Plan | None = None,
) -> Instance:
    """The instance of a plan, with the options of its reader, and changed as asked.

    Parameters
    ----------
    carried
        The plan; where no instance is named, the one that it carries counts.

    Raises
    ------
    InputError
        None was named.
    """
    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed

    own = None if names or carried is None else carried_instance(carried, plan)
    if own is not None:
        if platform is not None:
            raise InputError(f"{plan}: carries its instance; --platform goes with --instance FILE")
        return with_conditions(changed(own, changes or ()), conditions)
    if not names:
        raise InputError(f"{plan}: a plan is read together with its instance; name it with --instance FILE")
    loaded = load(names, platform=platform, dims=dims, **dict(options or {}))
    return with_conditions(changed(loaded, changes or ()), conditions)
