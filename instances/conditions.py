"""Files of conditions: which tasks run only sometimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.errors import FormatError, Problem
from dnnplan.instances.files import read_bytes
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.sections import Condition, Ordering
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.wording import show, unknown


def read_conditions(path: str | Path, tasks: Sequence[str]) -> tuple[Condition, ...]:
    """Read conditions from JSON: a list, or an object with the member `conditions`.

    An entry is an object ``{"task": "b", "given": "a", "probability": 0.5, "model": "independent"}``, or a triple
    ``[given, task, probability]`` as the authors of Antler write it, where numbers are names of tasks.

    Raises
    ------
    FormatError
        Not of this layout, an unknown task, or a probability outside [0, 1]; lists every entry that is wrong.
    """
    data, _, source = read_bytes(path)
    tree: Any = parse_json(data, source)
    entries = tree.get("conditions") if isinstance(tree, dict) else tree
    if not isinstance(entries, list):
        raise FormatError("no list of conditions, expected a list or an object with one", source=source)
    found, problems = [], []
    for number, entry in enumerate(entries):
        result = _condition(entry, f"conditions[{number}]", tasks)
        (problems if isinstance(result, Problem) else found).append(result)  # type: ignore[arg-type]
    if problems:
        raise FormatError(problems=problems, source=source)
    return tuple(found)  # type: ignore[arg-type]


def _condition(entry: Any, where: str, tasks: Sequence[str]) -> Condition | Problem:
    if isinstance(entry, list):
        if len(entry) != 3:
            return Problem(where, f"{len(entry)} members, expected [given, task, probability]")
        entry = {"given": _name(entry[0]), "task": _name(entry[1]), "probability": entry[2]}
    try:
        condition = msgspec.convert(entry, Condition)
    except msgspec.ValidationError as error:
        return Problem(where, str(error))
    for name in (condition.task, condition.given):
        if name is not None and name not in tasks:
            return Problem(where, unknown("task", name, tasks))
    if condition.task == condition.given:
        return Problem(where, f"task {show(condition.task)} given itself, expected another task")
    return condition


def _name(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def with_conditions(instance: Instance, conditions: Sequence[Condition]) -> Instance:
    """The instance with these conditions instead of its own.

    Raises
    ------
    InstanceError
        Conditions that depend on each other in a circle, or gate with different probabilities.
    """
    ordering = msgspec.structs.replace(instance.ordering or Ordering(), conditions=tuple(conditions))
    changed = msgspec.structs.replace(instance, ordering=ordering)
    ensure_valid(changed)
    return changed
