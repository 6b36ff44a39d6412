"""Choosing one part of a file that holds several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import suggestion

SHOWN = 40
"""Names that a message lists."""
Key = TypeVar("Key", str, int)


def choose(names: Mapping[str, Sequence[Key]], select: str | None, source: str, kind: str) -> Key:
    """The part that a name stands for.

    Parameters
    ----------
    names
        What each name can stand for; several parts are ambiguous.

    Raises
    ------
    InputError
        No name where there are several parts, an unknown one, or one that stands for several; lists the names.
    """
    parts = {part for several in names.values() for part in several}
    if select is None:
        if len(parts) == 1:
            return parts.pop()
        raise InputError(f"{source}: holds {len(parts)} {kind}s, name one with --select: {_listed(names)}")
    if select not in names:
        hint = suggestion(select, tuple(names)) or f"; expected one of {_listed(names)}"
        raise InputError(f'{source}: "{select}" is not a {kind} of this file{hint}')
    found = names[select]
    if len(found) > 1:
        longer = ", ".join(
            name for name, several in names.items() if len(several) == 1 and several[0] in found
        )
        raise InputError(f'{source}: "{select}" stands for {len(found)} {kind}s, name one of {longer}')
    return found[0]


def _listed(names: Mapping[str, object]) -> str:
    shown = list(names)[:SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
