"""Finding the ONNX files of the models of a plan."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from dnnplan.deploy.manifest import ModelEntry
from dnnplan.deploy.network import file_sha256
from dnnplan.instances import InputError, Instance, Model, Plan

SUFFIX = ".onnx"
_MOST_FILES = 10_000


def model_files(plan: Plan | None, instance: Instance, given: Sequence[str | Path] = ()) -> dict[str, Path]:
    """The ONNX file of every model that a task uses.

    A file that is given counts for the model whose name is its stem, or that was read from a file of its name; a single
    one counts for a single model whatever it is called. A folder may have files of other models too. Without one, the
    file that the plan carries is taken, if it still has the content that was planned: a plan cannot make anybody read
    anything else.

    Parameters
    ----------
    plan
        None: nothing is carried, all files have to be given.
    given
        Files, or folders with files ``MODEL.onnx``.

    Raises
    ------
    InputError
        Some model has no file, two files, or one that was changed; or nothing that is given is of a model. Says what
        to give.
    """
    candidates = {Path(name): _candidates(Path(name)) for name in given}
    used = {task.model for task in instance.effective_tasks()}
    models = [model for model in instance.models if model.name in used]
    if len(models) == 1 and len(given) == 1 and Path(given[0]).is_file():
        return {models[0].name: Path(given[0])}
    own = {
        model.name: _of_model(model, [p for paths in candidates.values() for p in paths]) for model in models
    }
    taken = {path.resolve() for path in own.values() if path is not None}
    for path, paths in candidates.items():
        if taken.isdisjoint(p.resolve() for p in paths):
            raise InputError(
                f"--models {path}: has the file of no model; expected {', '.join(_expected(model) for model in models)}"
            )
    return {model.name: own[model.name] or _carried(plan, model) for model in models}


def _expected(model: Model) -> str:
    """The names that a file of a model may have."""
    names = dict.fromkeys((model.name + SUFFIX, model.source or model.name + SUFFIX))
    return " or ".join(names)


def _candidates(path: Path) -> list[Path]:
    if path.is_dir():
        own = sorted(p for p in path.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())
        return own[:_MOST_FILES]
    if not path.is_file():
        raise InputError(f"--models {path}: no such file or folder")
    return [path]


def _of_model(model: Model, candidates: Sequence[Path]) -> Path | None:
    for own in (
        [path for path in candidates if path.stem == model.name],
        [path for path in candidates if model.source and path.name == model.source],
    ):
        several = {path.resolve(): path for path in own}
        if len(several) > 1:
            names = " and ".join(str(path) for path in list(several.values())[:2])
            raise InputError(f"--models: {names} are both of model {model.name}; give one of them")
        if own:
            return own[0]
    return None


def _carried(plan: Plan | None, model: Model) -> Path:
    """The file that the plan names, if it is a regular file of the digest that the plan names."""
    hint = f"name the ONNX file of model {model.name} with --models FILE or --models FOLDER"
    if plan is None:
        raise InputError(f"model {model.name}: no plan says which file it was read from; {hint}")
    carried = plan.extensions.get("models")
    entry = carried.get(model.name) if isinstance(carried, dict) else None
    if not isinstance(entry, dict):
        raise InputError(f"model {model.name}: the plan does not say which file it was read from; {hint}")
    text, digest = entry.get("path"), entry.get("sha256")
    if not isinstance(text, str) or not isinstance(digest, str) or "\0" in text:
        raise InputError(f"model {model.name}: extensions.models of the plan is damaged; {hint}")
    path = Path(text)
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        regular = False
    if not regular:
        raise InputError(f"model {model.name}: {path} is no longer there; {hint}")
    if file_sha256(path) != digest:
        raise InputError(
            f"model {model.name}: {path} was changed since it was planned; plan again, or {hint}"
        )
    return path


def whole_model(entry: ModelEntry, path: str | Path) -> Path | bytes:
    """A network that was split, whole: its file, or its content where weights were made for it.

    Parameters
    ----------
    path
        The file that was split.

    Raises
    ------
    InputError
        The file is not the one that was split.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(
            f"model {entry.name}: {file} is no file, expected the one that was split ({entry.file})"
        )
    if file_sha256(file) != entry.sha256:
        raise InputError(
            f"model {entry.name}: {file} is not the file that was split ({entry.file}): its SHA-256 differs"
        )
    if entry.seed is None:
        return file
    from dnnplan.instances.formats.onnx.materialise import seed_weights
    from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model

    model = load_model(file, ReadLimits())
    seed_weights(model, seed=entry.seed, source=str(file))
    content: bytes = model.SerializeToString()
    return content
