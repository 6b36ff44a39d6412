"""Files of conditions: which tasks run only sometimes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.errors import FormatError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.sections import Condition, Ordering
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.validation.names import check_known
from dnnplan.instances.validation.structure import decode
from dnnplan.instances.wording import Report, at, show

MEMBER = "conditions"
TRIPLE = ("given", "task", "probability")


def read_conditions(path: str | Path, tasks: Sequence[str]) -> tuple[Condition, ...]:
    """Read conditions from JSON: a list, or an object with the member `conditions`.

    An entry is an object ``{"task": "b", "given": "a", "probability": 0.5, "model": "independent"}``, or a triple
    ``[given, task, probability]`` as the authors of Antler write it. Numbers are names of tasks: 1 is ``"1"``.

    Raises
    ------
    FormatError
        Not of this layout, an unknown task, or a probability outside [0, 1]; lists every entry that is wrong.
    """
    data, _, source = read_bytes(path)
    tree: Any = parse_json(data, source)
    entries = tree.get(MEMBER) if isinstance(tree, dict) else tree
    if not isinstance(entries, list):
        raise FormatError(
            f"no list of conditions, expected a list, or an object with the member `{MEMBER}`", source=source
        )
    report, known = Report(), frozenset(tasks)
    read = []
    for number, entry in enumerate(entries):
        if report.full:
            break
        read.append(_condition(entry, at(MEMBER, number), known, report))
    if report.problems:
        raise FormatError(problems=report.problems, source=source)
    return tuple(condition for condition in read if condition is not None)


def _condition(entry: Any, path: str, tasks: Collection[str], report: Report) -> Condition | None:
    """One entry as a record; None, and what is wrong with it in the report, where it is none."""
    members = entry
    if isinstance(entry, list):
        if len(entry) != len(TRIPLE):
            report.add(path, f"{len(entry)} members, expected a triple [{', '.join(TRIPLE)}]")
            return None
        members = dict(zip(TRIPLE, entry, strict=True))
    if isinstance(members, dict):
        members = {key: _name(value) if key in ("task", "given") else value for key, value in members.items()}
    condition, problems = decode(members, Condition)
    for problem in problems:
        report.add(f"{path}.{problem.path}" if problem.path else path, problem.message)
    if condition is None:
        return None
    fits = check_known(condition.task, tasks, "task", at(path, "task"), report)
    if condition.given is not None:
        fits &= check_known(condition.given, tasks, "task", at(path, "given"), report)
    if condition.task == condition.given:
        report.add(path, f"task {show(condition.task)} given itself, expected another task")
        return None
    return condition if fits else None


def _name(value: Any) -> Any:
    """A number of a task as its name; everything else as it is."""
    return str(value) if type(value) is int and abs(value) < 10**9 else value


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
