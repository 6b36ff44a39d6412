"""Reading events: one, a list, or a versioned file of them; and the networks in files that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dnnplan.instances.arguments import refuse
from dnnplan.instances.errors import FormatError, InputError, Problem
from dnnplan.instances.events.records import EVENTS_VERSION, KINDS, Event, ModelAdded, ModelCosts
from dnnplan.instances.events.tasks import tables_of
from dnnplan.instances.files import read_bytes
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.validation.structure import decode
from dnnplan.instances.wording import at, show, suggestion

MOST_EVENTS = 1_000
"""Events in one list."""


def loads_events(data: bytes | str, source: str | None = None) -> tuple[Event, ...]:
    """Read events from JSON text: an object with a `kind`, a list of such objects, or a file with `events`.

    Raises
    ------
    FormatError
        Not JSON, of an unknown version, or too many.
    InputError
        Events of unknown kinds, or with members that are missing, unknown or out of range; all of them at once.

    Examples
    --------
    >>> loads_events('{"kind": "device_throttled", "device": "npu", "speed": 0.5}')
    (DeviceThrottled(device='npu', speed=0.5, power=None, mode=None),)
    """
    if not isinstance(data, str | bytes):
        refuse("data", data, "JSON text; events_of reads data that is parsed")
    raw = data.encode() if isinstance(data, str) else data
    return events_of(parse_json(raw, source), source)


def read_events(path: str | Path) -> tuple[Event, ...]:
    """Read a file of events; see `loads_events`. A file that cannot be opened is an `OSError`."""
    data, _, label = read_bytes(path)
    return loads_events(data, label)


def events_of(tree: Any, source: str | None = None) -> tuple[Event, ...]:
    """The events of data that JSON text holds; see `loads_events`."""
    base = "event"
    if isinstance(tree, dict) and "kind" not in tree and "events" in tree:
        _check_version(tree, source)
        tree, base = tree["events"], "events"
    listed = isinstance(tree, list)
    trees = tree if listed else [tree]
    if len(trees) > MOST_EVENTS:
        raise FormatError(f"{len(trees)} events, expected at most {MOST_EVENTS}", source=source)
    if not trees:
        raise InputError("no event, expected at least one", source=source)
    problems: list[Problem] = []
    events: list[Event] = []
    for index, one in enumerate(trees):
        found = _event(one, at(base, index) if listed else base, problems)
        if found is not None:
            events.append(found)
    if problems:
        raise InputError(problems=problems, source=source)
    return tuple(events)


def _check_version(tree: dict[str, Any], source: str | None) -> None:
    version = tree.get("format_version", EVENTS_VERSION)
    major = EVENTS_VERSION.split(".", maxsplit=1)[0]
    if not isinstance(version, str) or re.fullmatch(rf"{major}\.[0-9]{{1,6}}", version) is None:
        expected = f'expected "{EVENTS_VERSION}" or another version {major}.x'
        raise FormatError(problems=[Problem("format_version", f"{show(version)}, {expected}")], source=source)
    unknown = sorted(set(tree) - {"format_version", "events"})
    if unknown:
        raise InputError(problems=[Problem(str(key), "unknown key") for key in unknown[:10]], source=source)


def _event(tree: Any, path: str, problems: list[Problem]) -> Event | None:
    if not isinstance(tree, dict):
        problems.append(Problem(path, f"{show(tree)}, expected an object with a `kind`"))
        return None
    kind = tree.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        expected = f"expected one of {', '.join(KINDS)}"
        hint = suggestion(kind, KINDS) if isinstance(kind, str) else ""
        what = "missing" if kind is None else show(kind)
        problems.append(Problem(at(path, "kind"), f"{what}{hint or f', {expected}'}"))
        return None
    members = {key: value for key, value in tree.items() if key != "kind"}
    event, wrong = decode(members, KINDS[kind])
    problems += [Problem(f"{path}.{p.path}" if p.path else path, p.message) for p in wrong]
    return event


def with_files(events: Iterable[Event]) -> tuple[Event, ...]:
    """The events with the networks in place of the files that `model_added` names.

    Raises
    ------
    InputError
        A file that cannot be read, or holds several networks where the event states a task.
    """
    whole: list[Event] = []
    for event in events:
        if isinstance(event, ModelAdded) and event.file is not None:
            whole += _from_file(event, event.file)
        else:
            whole.append(event)
    return tuple(whole)


def _from_file(event: ModelAdded, file: str) -> list[Event]:
    from dnnplan.instances.loading import load

    if event.model is not None:
        raise InputError(f"model_added: names the file {file} and a model too, expected one of them")
    found = load([file])
    tasks = found.effective_tasks()
    if not tasks or (event.task is not None and len(found.models) != 1):
        raise InputError(
            f"{file}: {len(found.models)} networks, expected one (a task is stated)"
            if tasks
            else f"{file}: holds no network"
        )
    if event.task is not None:
        tasks = (replace(event.task, model=found.models[0].name),)
    models = {model.name: model for model in found.models}
    return [
        ModelAdded(model=models[task.model], task=task, costs=event.costs or _tables(found, task.model))
        for task in tasks
    ]


def _tables(found: Instance, model: str) -> ModelCosts | None:
    costs = tables_of(found, model)
    return None if costs == ModelCosts() else costs
