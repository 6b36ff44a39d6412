"""Files that hold several instances: choosing one, and turning what is there into records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from dnnplan.instances.errors import InputError
from dnnplan.instances.formats.foreign import refuse
from dnnplan.instances.prepared import prepared
from dnnplan.instances.wording import show, suggestion

SHOWN = 60
"""Names that a message lists."""
LONGEST = 80
"""Characters of a name that a message shows."""
Key = TypeVar("Key", str, int)
R = TypeVar("R")


def converted(tree: Any, record: type[R], where: str, source: str) -> R:
    """A part of a JSON file as a record.

    Raises
    ------
    FormatError
        Not of this layout; the message names the place within the part.
    """
    try:
        return msgspec.convert(tree, prepared(record))
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        refuse(where + place.strip("`").removeprefix("$"), text, source)
    except RecursionError:
        refuse(where, "nested too deep", source)


def choose(names: Mapping[str, Sequence[Key]], select: str | None, source: str, kind: str) -> Key:
    """The part that a name stands for; without a name the only part there is.

    Parameters
    ----------
    names
        What each name can stand for; one with several parts is ambiguous.
    kind
        What the parts are, in the singular.

    Raises
    ------
    InputError
        No name where there are several parts, an unknown one, or one that stands for several; lists the names.
    """
    parts = {part for several in names.values() for part in several}
    if not parts:
        raise InputError(f"{source}: holds no {kind}")
    if select is None:
        if len(parts) == 1:
            return parts.pop()
        raise InputError(
            f"{source}: holds {len(parts)} {kind}s, name one with --select: {_clear(names, parts)}"
        )
    if select not in names:
        hint = suggestion(select, tuple(names)) or f"; expected one of {_clear(names, parts)}"
        raise InputError(f"{source}: {show(select)} is not a {kind} of this file{hint}")
    found = set(names[select])
    if len(found) > 1:
        _refuse_ambiguous(names, select, found, source, kind)
    return found.pop()


def _refuse_ambiguous(
    names: Mapping[str, Sequence[Key]], select: str, found: set[Key], source: str, kind: str
) -> NoReturn:
    clear = _clear(names, found)
    way_out = f", name one of {clear}" if clear else ", and no other name tells them apart"
    raise InputError(f"{source}: {show(select)} stands for {len(found)} {kind}s{way_out}")


def _clear(names: Mapping[str, Sequence[Key]], parts: set[Key]) -> str:
    """The first name of each part that stands for nothing else, as a list for people."""
    first: dict[Key, str] = {}
    for name, several in names.items():
        if len(set(several)) == 1 and several[0] in parts:
            first.setdefault(several[0], name if len(name) <= LONGEST else name[:LONGEST] + "...")
    shown = list(first.values())[:SHOWN]
    more = len(first) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
