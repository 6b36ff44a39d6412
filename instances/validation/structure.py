"""Whether data has the shape of a record: a fast check for good data, the complete pass for bad data."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

from dnnplan.instances.canonical import plain
from dnnplan.instances.errors import Problem
from dnnplan.instances.fields import LARGEST_INT
from dnnplan.instances.prepared import prepared
from dnnplan.instances.validation.complete import MAX_DEPTH, structural_problems

R = TypeVar("R", bound=msgspec.Struct)


def decode(data: Any, record: type[R]) -> tuple[R | None, tuple[Problem, ...]]:
    """Turn dictionaries, lists and scalars into a record.

    Returns
    -------
    (record, no problems), or (None, all problems).
    """
    try:
        regular = not _is_irregular(data)
        decoded = msgspec.convert(data, prepared(record)) if regular else None
        # Whatever else is irregular, the complete pass finds.
        reason = f"nested deeper than {MAX_DEPTH} levels"
    except (msgspec.ValidationError, RecursionError, OverflowError, UnicodeError) as error:
        decoded, reason = None, str(error)
    if decoded is not None:
        return decoded, ()
    return None, structural_problems(data, record) or (Problem("", reason),)


def record_problems(record: msgspec.Struct) -> tuple[Problem, ...]:
    """All structural problems of a record built in Python, where nothing is checked on construction."""
    try:
        data = plain(record)
        msgspec.json.encode(data)  # finds text that is not Unicode
    except (TypeError, RecursionError, OverflowError, UnicodeError, ValueError) as error:
        return structural_problems(record, type(record)) or (Problem("", str(error)),)
    decoded, problems = decode(data, type(record))
    if decoded != record:
        # Problems, records of the wrong type that happen to have the right fields, or only lists for tuples.
        return structural_problems(record, type(record)) or problems
    return ()


def _is_irregular(data: Any) -> bool:
    """Whether free-form data holds what types do not rule out: NaN, huge integers, odd keys, too much depth.

    Level by level, because this runs over every file and a recursive walk costs several times as much.
    """
    level: list[Any] = [data] if isinstance(data, dict | list) else []
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for node in level:
            is_object = type(node) is dict
            if is_object and not all(type(key) is str for key in node):
                return True
            for child in node.values() if is_object else node:
                kind = type(child)
                if kind is dict or kind is list or kind is tuple:
                    deeper.append(child)
                elif kind is not str and _is_odd_scalar(child, kind):
                    return True
        if not deeper:
            return False
        level = deeper
    return True


def _is_odd_scalar(value: Any, kind: type) -> bool:
    if kind is float:
        return not math.isfinite(value)
    if kind is int:
        return not -LARGEST_INT <= value <= LARGEST_INT
    return kind is not bool and value is not None
