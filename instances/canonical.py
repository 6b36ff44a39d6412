"""Records as plain data without their defaults: what files hold, and what hashes are made of.

msgspec leaves out a default by identity, so that a record read from a file that spells a default out would
differ from one that does not; here values are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import msgspec

from dnnplan.instances.fields import Record

_SCALARS = frozenset((str, int, float, bool, type(None)))


class Section(Record, kw_only=True, dict=True):
    """A large part of an instance, whose canonical text is made once: instances that share it are hashed fast."""

    @cached_property
    def canonical(self) -> msgspec.Raw:
        """The JSON text of `canonical`, as a part of a larger one."""
        return msgspec.Raw(canonical(self))


def plain(node: Any) -> Any:
    """Dictionaries, lists and scalars of a record, in the order of its fields; defaults are left out."""
    return node if type(node) in _SCALARS else _tree(node, plain)


def canonical(record: msgspec.Struct) -> bytes:
    """JSON text that is the same for equal records: keys sorted, no defaults, ``2.0`` written as ``2``.

    Raises
    ------
    TypeError
        A value that is not data.
    """
    members = {field: _whole(value) for field, value in _members(record)}
    return msgspec.json.encode(members, order="sorted")


def _whole(node: Any) -> Any:
    """As `plain`; floats that equal an integer of 64 bits become that integer, for they compare equal."""
    if type(node) is float:
        return int(node) if -(2.0**63) < node < 2.0**63 and node.is_integer() else node
    if isinstance(node, Section):
        return node.canonical
    return node if type(node) in _SCALARS else _tree(node, _whole)


def _tree(node: Any, each: Callable[[Any], Any]) -> Any:
    """A node, with what is in it as `each` has it."""
    if isinstance(node, msgspec.Struct):
        return {field: each(value) for field, value in _members(node)}
    if isinstance(node, dict):
        return {key: each(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [each(value) for value in node]
    return node


def _members(record: msgspec.Struct) -> list[tuple[str, Any]]:
    """(name, value) of every field that has not its default."""
    members = []
    for field, default, is_kept in _fields(type(record)):
        value = getattr(record, field)
        if is_kept or (value is not default and value != default):
            members.append((field, value))
    return members


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
