"""Costs folders: `costs.json`, which says where the costs on each device come from, and what it names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import Meta

from dnnplan.costs.analytic.interface import KINDS, model_from
from dnnplan.costs.filled.source import ANALYTIC_ERROR, MOST_ERROR, AnalyticSource, CostSource
from dnnplan.instances import plugins
from dnnplan.instances.errors import DnnplanError, FormatError, InputError, Problem
from dnnplan.instances.fields import Name, Record
from dnnplan.instances.files import read_bytes
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.validation.structure import decode
from dnnplan.instances.wording import at, show, unknown

FILE = "costs.json"
VERSION = "1.0"
EVERY = "*"
"""Key of the entry for devices that are not named."""
MAX_BYTES = 4 * 2**20
"""Of `costs.json`."""
MAX_DEVICES = 1_000
MAX_MEMBERS = 1_000
"""Files and folders below the folder of a predictor."""
PREDICTOR = "predictor"
LOADERS = {PREDICTOR: "dnnplan.costs.runtime.files:load_predictor"}
"""Where kinds that are no analytic models are read: a function of the folder, which returns a `CostSource`."""
OWN = (*KINDS, PREDICTOR)
"""Kinds that are known here; those of other packages cannot take their names."""

Error = Annotated[int, Meta(ge=0, le=int(MOST_ERROR))] | Annotated[float, Meta(ge=0, le=MOST_ERROR)]


R = TypeVar("R", bound=Record)


class CostsFile(Record):
    """`costs.json`: an entry for each device, by the name of the device or one of its copies, or ``*``."""

    format_version: Literal["1.0"]
    devices: dict[Name, dict[str, Any]]


class Errors(Record):
    """What an analytic entry states beside its model: `error` and `common` of `AnalyticSource`."""

    error: Error = ANALYTIC_ERROR
    common: Error = 0


ERRORS = Errors.__struct_fields__


class PredictorEntry(Record):
    """A trained predictor in a subfolder, and the state of the device that it has to be trained in.

    Parameters
    ----------
    folder
        One name, without separators.
    threads
        That the device computes with; None: whatever they are.
    utilisation
        Share of the device that others use; None: whatever it is.
    """

    kind: Literal["predictor"]
    folder: Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$(?!\n)")]
    threads: Annotated[int, Meta(ge=1, le=4096)] | None = None
    utilisation: Annotated[int, Meta(ge=0, le=1)] | Annotated[float, Meta(ge=0, le=1)] | None = None


def read_costs(folder: str | Path) -> dict[str, CostSource]:
    """The sources of a costs folder by the name of the device, or ``*``.

    Equal entries for a predictor share one source, which is read once.

    Raises
    ------
    FormatError
        `costs.json` is missing, too large or not JSON; a link, or a name that leads out of the folder.
    InputError
        Keys, values or kinds that do not fit: all of them at once.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: not a folder, expected one that holds {FILE}")
    path = root / FILE
    if path.is_symlink() or not path.is_file():
        found = "a link or no file" if os.path.lexists(path) else "missing"
        raise FormatError(f"{found}, expected a file that says where costs come from", source=str(path))
    data, _, label = read_bytes(path, MAX_BYTES)
    entries = _entries(parse_json(data, label), label)
    return _sources(root, entries, label)


def _entries(tree: Any, label: str) -> dict[str, dict[str, Any]]:
    record, problems = decode(tree, CostsFile)
    if record is None:
        raise InputError(problems=problems, source=label)
    if not 1 <= len(record.devices) <= MAX_DEVICES:
        what = f"{len(record.devices)} entries, expected 1 to {MAX_DEVICES}"
        raise InputError(problems=[Problem("devices", what)], source=label)
    return record.devices


def _sources(root: Path, entries: Mapping[str, dict[str, Any]], label: str) -> dict[str, CostSource]:
    sources: dict[str, CostSource] = {}
    predictors: dict[PredictorEntry, CostSource] = {}
    problems: list[Problem] = []
    for name, entry in entries.items():
        try:
            if entry.get("kind") == PREDICTOR:
                wanted = _decoded(entry, PredictorEntry)
                if wanted not in predictors:
                    predictors[wanted] = _predictor(root, wanted)
                sources[name] = predictors[wanted]
            elif str(entry.get("kind")) in plugins.plugins(plugins.COSTS, OWN):
                sources[name] = _plugged(root, entry)
            else:
                sources[name] = _analytic(entry)
        except FormatError:
            raise
        except InputError as error:
            problems += [_within(at("devices", name), problem) for problem in error.problems]
    if problems:
        raise InputError(problems=problems, source=label)
    return sources


def _within(path: str, problem: Problem) -> Problem:
    inside = problem.path
    joined = path if not inside else f"{path}{inside}" if inside.startswith("[") else f"{path}.{inside}"
    return Problem(joined, problem.message)


def _analytic(entry: Mapping[str, Any]) -> CostSource:
    kind = entry.get("kind")
    known = (*OWN, *plugins.plugins(plugins.COSTS, OWN))
    if not isinstance(kind, str):
        raise InputError(problems=[Problem("kind", f"{show(kind)}, expected one of {', '.join(known)}")])
    if kind not in KINDS:
        raise InputError(problems=[Problem("kind", unknown("kind of costs", kind, known))])
    errors, problems = decode({key: entry[key] for key in ERRORS if key in entry}, Errors)
    try:
        model = model_from({key: value for key, value in entry.items() if key not in ERRORS})
    except InputError as error:
        problems = (*error.problems, *problems)
    if errors is None or problems:
        raise InputError(problems=problems)
    return AnalyticSource(model=model, error=errors.error, common=errors.common)


def _plugged(root: Path, entry: Mapping[str, Any]) -> CostSource:
    """A source of another package: an entry point whose value is a function ``(entry, folder) -> CostSource``."""
    plugin = plugins.plugins(plugins.COSTS, OWN)[str(entry["kind"])]
    load = plugin.load()
    try:
        source = load({key: value for key, value in entry.items() if key != "kind"}, root)
    except DnnplanError:
        raise
    except Exception as error:
        raise plugin.error(f"has failed: {type(error).__name__}: {error}") from error
    if not callable(getattr(source, "layer_costs", None)):
        raise plugin.error("gives no source of costs: it has no method `layer_costs(model, batch)`")
    return cast("CostSource", source)


def _decoded(entry: Mapping[str, Any], record: type[R]) -> R:
    found, problems = decode(dict(entry), record)
    if found is None:
        raise InputError(problems=problems)
    return found


def _predictor(root: Path, entry: PredictorEntry) -> CostSource:
    folder = root / entry.folder
    _require_inside(root, folder)
    module, name = LOADERS[PREDICTOR].split(":")
    load: Callable[[Path], CostSource] = getattr(importlib.import_module(module), name)
    source = load(folder)
    _require_state(entry, getattr(source, "about", None))
    return source


def _require_state(entry: PredictorEntry, about: object) -> None:
    """Refuse a predictor that was not trained in the state that the entry states."""
    problems = []
    for key in ("threads", "utilisation"):
        stated, trained = getattr(entry, key), getattr(about, key, None)
        if stated is not None and stated != trained:
            of = "does not say what it was trained with" if trained is None else f"was trained with {trained}"
            problems.append(Problem(key, f"{stated}, but the predictor in {entry.folder} {of}"))
    if problems:
        raise InputError(problems=problems)


def _require_inside(root: Path, folder: Path) -> None:
    """Refuse a folder that is a link, holds one, or lies elsewhere: what is read is what the folder holds.

    Raises
    ------
    FormatError
        Says which of these it is.
    """
    if folder.is_symlink() or not folder.is_dir() or folder.resolve().parent != root.resolve():
        raise FormatError(
            "a link, no folder, or not there; expected a folder beside costs.json", source=str(folder)
        )
    count = 0
    for place, folders, files in os.walk(folder):
        for member in (*folders, *files):
            count += 1
            path = Path(place) / member
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise FormatError("a link or a device, expected files and folders only", source=str(path))
        if count > MAX_MEMBERS:
            raise FormatError(f"more than {MAX_MEMBERS} files and folders", source=str(folder))
