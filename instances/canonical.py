"""Records as plain data without their defaults: what files hold, and what hashes are made of.

msgspec leaves out a default by identity, so that a record read from a file that spells a default out would
differ from one that does not; here values are compared.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

_SCALARS = (str, int, bool, type(None))


def plain(node: Any) -> Any:
    """Dictionaries, lists and scalars of a record, in the order of its fields; defaults are left out."""
    if isinstance(node, msgspec.Struct):
        members = {}
        for field, default, is_kept in _fields(type(node)):
            value = getattr(node, field)
            if is_kept or (value is not default and value != default):
                members[field] = value if type(value) in _SCALARS else plain(value)
        return members
    if isinstance(node, dict):
        return {key: value if type(value) in _SCALARS else plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [value if type(value) in _SCALARS else plain(value) for value in node]
    return node


def canonical(record: msgspec.Struct) -> bytes:
    """JSON text that is the same for equal records: keys sorted, no defaults, ``2.0`` written as ``2``.

    Raises
    ------
    TypeError
        A value that is not data.
    """
    return msgspec.json.encode(_whole_numbers(plain(record)), order="sorted")


def _whole_numbers(node: Any) -> Any:
    """Floats that equal an integer of 64 bits as that integer, for they compare equal."""
    if type(node) is float:
        return int(node) if -(2.0**63) < node < 2.0**63 and node.is_integer() else node
    if type(node) is dict:
        return {
            key: value if type(value) in _SCALARS else _whole_numbers(value) for key, value in node.items()
        }
    if type(node) is list:
        return [value if type(value) in _SCALARS else _whole_numbers(value) for value in node]
    return node


@cache
def _fields(record: type[msgspec.Struct]) -> tuple[tuple[str, Any, bool], ...]:
    """(name, default, whether it is always kept) of every field."""
    result = []
    for field in msgspec.structs.fields(record):
        factory = field.default_factory
        default = field.default if factory is msgspec.NODEFAULT else factory()
        is_kept = field.required or not record.__struct_config__.omit_defaults
        result.append((field.encode_name, default, is_kept))
    return tuple(result)
