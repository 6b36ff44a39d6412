"""An extension of griffe: records (msgspec structs, named tuples) have the parameters of their fields.

Their `__init__` is made at run time, so that reading the source alone finds none; without it the tables of parameters
would have no types and no defaults.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

BASES = {"Record", "Struct", "NamedTuple", "Foreign", "Checked"}


def is_record(thing: griffe.Class) -> bool:
    """Whether a class is a record, or extends one."""
    return bool({re.split(r"\W", str(base))[-1] for base in thing.bases} & BASES) or any(
        is_record(parent) for parent in parents(thing)
    )


def parents(thing: griffe.Class) -> list[griffe.Class]:
    """Base classes that can be read."""
    try:
        return [parent for parent in thing.resolved_bases if isinstance(parent, griffe.Class)]
    except (griffe.AliasResolutionError, KeyError):
        return []


def fields(thing: griffe.Class) -> dict[str, griffe.Parameter]:
    """Fields of a record and of those it extends, in order."""
    named = str(thing.bases[0]).endswith("NamedTuple") if thing.bases else False
    kind = griffe.ParameterKind.positional_or_keyword if named else griffe.ParameterKind.keyword_only
    found: dict[str, griffe.Parameter] = {}
    for parent in parents(thing):
        found |= fields(parent)
    for member in thing.members.values():
        if not isinstance(member, griffe.Attribute) or not member.annotation or member.name.startswith("_"):
            continue
        if "property" not in member.labels and "ClassVar" not in str(member.annotation):
            found[member.name] = griffe.Parameter(
                member.name, annotation=member.annotation, kind=kind, default=member.value
            )
    return found


class Records(griffe.Extension):
    """Gives records the `__init__` that they have at run time."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Visit every class of a package that was read."""
        self.visit(pkg)

    def visit(self, thing: griffe.Module | griffe.Class) -> None:
        """Visit the classes in a module or class."""
        for member in list(thing.members.values()):
            if member.is_alias:
                continue
            if isinstance(member, griffe.Module | griffe.Class):
                self.visit(member)
            if isinstance(member, griffe.Class) and "__init__" not in member.members and is_record(member):
                receiver = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
                made = griffe.Function(
                    "__init__",
                    parent=member,
                    parameters=griffe.Parameters(receiver, *fields(member).values()),
                )
                member.set_member("__init__", made)
