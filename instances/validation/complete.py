"""The complete pass over data of the wrong shape: every problem, with path, value and expectation.

It walks the record types that msgspec knows, so a new field needs no code here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from dnnplan.instances.errors import Problem
from dnnplan.instances.fields import LARGEST_INT
from dnnplan.instances.wording import Report, at, show, suggestion

MAX_DEPTH = 64
"""How deep lists and objects may be nested, in files as well as in `attributes` and `extensions`."""


def structural_problems(data: Any, record: type[msgspec.Struct]) -> tuple[Problem, ...]:
    """List everything in `data` that does not fit the record type; `data` may itself be a record."""
    report = Report()
    _check(data, _type_of(record), "", report)
    return tuple(report.problems)


@cache
def _type_of(record: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(record)


# One function a kind of type: (value, type, path, report). They follow msgspec's strict rules, and where
# they differ they refuse more.


def _check(value: Any, kind: inspect.Type, path: str, report: Report) -> None:
    if not report.full:
        _CHECKS[type(kind)](value, kind, path, report)


def _check_struct(value: Any, kind: inspect.StructType, path: str, report: Report) -> None:
    if isinstance(value, kind.cls):
        members = {field: getattr(value, field) for field in value.__struct_fields__}
    elif isinstance(value, dict):
        members = value
    else:
        report.add(path, f"{show(value)}, expected an object")
        return
    fields = {field.encode_name: field for field in kind.fields}
    for key, member in members.items():
        if key in fields:
            _check(member, fields[key].type, at(path, key), report)
        elif not isinstance(key, str):
            report.add(path, f"key {show(key)}, expected a string")
        else:
            report.add(at(path, key), "unknown key" + (suggestion(key, fields) or _extensions_hint(fields)))
    for key, field in fields.items():
        if field.required and key not in members:
            report.add(at(path, key), f"missing, expected {_describe(field.type)}")


def _extensions_hint(fields: dict[str, inspect.Field]) -> str:
    return "; foreign data goes under `extensions`" if "extensions" in fields else ""


def _check_dict(value: Any, kind: inspect.DictType, path: str, report: Report) -> None:
    if not isinstance(value, dict):
        report.add(path, f"{show(value)}, expected an object")
        return
    for key, member in value.items():
        if not isinstance(key, str):
            report.add(path, f"key {show(key)}, expected a string")
            continue
        fault = _string_fault(key, kind.key_type)
        if fault:
            report.add(path, f"key {show(key)}, expected {fault}")
        _check(member, kind.value_type, at(path, key), report)


def _check_list(value: Any, kind: inspect.VarTupleType | inspect.ListType, path: str, report: Report) -> None:
    if not isinstance(value, list | tuple):
        report.add(path, f"{show(value)}, expected a list")
        return
    for index, member in enumerate(value):
        if report.full:
            return
        _check(member, kind.item_type, at(path, index), report)


def _check_tuple(value: Any, kind: inspect.TupleType, path: str, report: Report) -> None:
    if not isinstance(value, list | tuple) or len(value) != len(kind.item_types):
        found = f"{show(value)} of {len(value)}" if isinstance(value, list | tuple) else show(value)
        report.add(path, f"{found}, expected a list of {len(kind.item_types)}")
        return
    for index, (member, item_type) in enumerate(zip(value, kind.item_types, strict=True)):
        _check(member, item_type, at(path, index), report)


def _check_union(value: Any, kind: inspect.UnionType, path: str, report: Report) -> None:
    fitting = [member for member in kind.types if _fits(value, member)]
    if not fitting:
        report.add(path, f"{show(value)}, expected {_describe(kind)}")
        return
    # An integer is checked against the integer type where there is one, as msgspec does.
    _check(value, min(fitting, key=lambda member: isinstance(member, inspect.FloatType)), path, report)


def _fits(value: Any, kind: inspect.Type) -> bool:
    """Whether a value is of the JSON kind that a member of a union takes."""
    if isinstance(kind, inspect.LiteralType):
        return isinstance(value, str) and value in kind.values
    if isinstance(kind, inspect.StructType):
        return isinstance(value, dict | kind.cls)
    return type(value) in _ACCEPTED[type(kind)]


def _check_number(value: Any, kind: inspect.IntType | inspect.FloatType, path: str, report: Report) -> None:
    if type(value) not in _ACCEPTED[type(kind)]:
        report.add(path, f"{show(value)}, expected {_describe(kind)}")
        return
    if isinstance(value, float) and not math.isfinite(value):
        report.add(path, f"{show(value)}, expected a finite number{_bounds(kind)}")
    elif abs(value) > LARGEST_INT and isinstance(value, int):
        report.add(path, f"{show(value)}, expected an integer of 64 bits (or a float: 1e20)")
    elif not _within(value, kind):
        report.add(path, f"{show(value)}, expected{_bounds(kind, value)}")


def _within(value: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )


def _bounds(kind: inspect.IntType | inspect.FloatType, value: float | None = None) -> str:
    """Bounds in words; those that only keep sums finite are left out, unless a value breaks them."""
    limits = [
        (sign, limit)
        for sign, limit in ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
        if limit is not None and (abs(limit) < LARGEST_INT or (value is not None and abs(value) > abs(limit)))
    ]
    return " and".join(f" {sign} {limit}" for sign, limit in limits)


def _check_string(value: Any, kind: inspect.StrType, path: str, report: Report) -> None:
    fault = _string_fault(value, kind)
    if fault:
        report.add(path, f"{show(value)}, expected {fault}")


def _string_fault(value: Any, kind: inspect.Type) -> str:
    """What a string should have been, or nothing."""
    if type(value) is not str:
        return "a string"
    if not value.isascii() and not _encodes(value):
        return "text without lone surrogates"
    return _length_or_pattern_fault(value, kind) if isinstance(kind, inspect.StrType) else ""


def _length_or_pattern_fault(value: str, kind: inspect.StrType) -> str:
    if kind.min_length is not None and len(value) < kind.min_length:
        return f"at least {kind.min_length} character{'s' if kind.min_length > 1 else ''}"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"at most {kind.max_length} characters, got {len(value)}"
    if kind.pattern is not None and re.search(kind.pattern, value) is None:
        slash = ' and without "/"' if "/" in value else ""
        return f"a name without control characters{slash}"
    return ""


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_literal(value: Any, kind: inspect.LiteralType, path: str, report: Report) -> None:
    if not isinstance(value, str) or value not in kind.values:
        report.add(path, f"{show(value)}, expected {_describe(kind)}")


def _check_scalar(value: Any, kind: inspect.Type, path: str, report: Report) -> None:
    if type(value) not in _ACCEPTED[type(kind)]:
        report.add(path, f"{show(value)}, expected {_describe(kind)}")


def _check_any(value: Any, kind: inspect.Type, path: str, report: Report, depth: int = 0) -> None:
    """Free-form data: anything that JSON can say, numbers finite and within 64 bits."""
    if report.full:
        return
    if depth > MAX_DEPTH:
        report.add(path[:200], f"nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for key, member in value.items():
            if type(key) is not str or not _encodes(key):
                report.add(path, f"key {show(key)}, expected a string")
            else:
                _check_any(member, kind, at(path, key), report, depth + 1)
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            _check_any(member, kind, at(path, index), report, depth + 1)
    elif type(value) is str:
        _check_string(value, inspect.StrType(), path, report)
    elif type(value) in (int, float):
        _check_number(value, inspect.FloatType(), path, report)
    elif value is not None and type(value) is not bool:
        report.add(path, f"{show(value)}, expected data that JSON can hold")


_ACCEPTED: dict[type[inspect.Type], tuple[type, ...]] = {
    inspect.NoneType: (type(None),),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.StrType: (str,),
    inspect.DictType: (dict,),
    inspect.VarTupleType: (list, tuple),
    inspect.TupleType: (list, tuple),
}

_CHECKS: dict[type[inspect.Type], Callable[..., None]] = {
    inspect.StructType: _check_struct,
    inspect.DictType: _check_dict,
    inspect.VarTupleType: _check_list,
    inspect.TupleType: _check_tuple,
    inspect.UnionType: _check_union,
    inspect.IntType: _check_number,
    inspect.FloatType: _check_number,
    inspect.StrType: _check_string,
    inspect.LiteralType: _check_literal,
    inspect.BoolType: _check_scalar,
    inspect.NoneType: _check_scalar,
    inspect.AnyType: _check_any,
}

_WORDS: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
    inspect.StrType: "a string",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
    inspect.VarTupleType: "a list",
    inspect.TupleType: "a list",
    inspect.AnyType: "a value",
}


def _describe(kind: inspect.Type) -> str:
    """What a type takes, in words."""
    if isinstance(kind, inspect.UnionType):
        members = [m for m in kind.types if not (isinstance(m, inspect.IntType) and _has_float(kind))]
        return " or ".join(_describe(member) for member in members)
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(show(value) for value in kind.values)
    words = _WORDS[type(kind)]
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return words + _bounds(kind)
    return words


def _has_float(kind: inspect.UnionType) -> bool:
    return any(isinstance(member, inspect.FloatType) for member in kind.types)
