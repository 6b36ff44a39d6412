"""Records as plain data without their defaults: what files hold, and what hashes are made of.

msgspec leaves out a default by identity, so that a record read from a file that spells a default out would
differ from one that does not; here values are compared.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

_SCALARS = frozenset((str, int, bool, type(None)))


def plain(node: Any, *, whole: bool = False) -> Any:
    """Dictionaries, lists and scalars of a record, in the order of its fields; defaults are left out.

    With `whole`, floats that equal an integer of 64 bits become that integer, for they compare equal.
    """
    kind = type(node)
    if kind in _SCALARS:
        return node
    if kind is float:
        return int(node) if whole and -(2.0**63) < node < 2.0**63 and node.is_integer() else node
    if isinstance(node, msgspec.Struct):
        members = {}
        for field, default, is_kept in _fields(type(node)):
            value = getattr(node, field)
            if is_kept or (value is not default and value != default):
                members[field] = value if type(value) in _SCALARS else plain(value, whole=whole)
        return members
    if isinstance(node, dict):
        return {key: plain(value, whole=whole) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value, whole=whole) for value in node]
    return node


def canonical(record: msgspec.Struct) -> bytes:
    """JSON text that is the same for equal records: keys sorted, no defaults, ``2.0`` written as ``2``.

    Raises
    ------
    TypeError
        A value that is not data.
    """
    return msgspec.json.encode(plain(record, whole=True), order="sorted")


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
