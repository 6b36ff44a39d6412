"""What the readers and writers of foreign formats share: limits, typed errors, numbers, usual graphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from dnnplan.instances.errors import FormatError, Problem
from dnnplan.instances.files import read_bytes
from dnnplan.instances.json_text import decode_utf8, parse_json
from dnnplan.instances.model import Tensor
from dnnplan.instances.platform import Link
from dnnplan.instances.prepared import prepared
from dnnplan.instances.wording import show

TEXT_LIMIT = 16 * 2**20
"""Largest file of a format that is text, bytes."""
MOST_DEVICES = 512
"""Routes are resolved between every two devices; no published set has more than a few dozen."""
MOST_CELLS = 5_000_000
"""Most entries of the cost tables that a reader fills."""

GRAPH = "graph"
"""Name of the only model where a format has one graph and no name for it."""

R = TypeVar("R")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """Base of records of foreign JSON: members that are not listed are ignored."""


def read_json(path: Path, record: type[R]) -> tuple[R, str]:
    """A JSON file as a record, and the name of the file for messages.

    Raises
    ------
    FormatError
        Not JSON, or not of this layout; the message names the place.
    InstanceError
        A key is given twice.
    """
    data, _, name = read_bytes(path)
    tree: Any = parse_json(data, name)
    try:
        return msgspec.convert(tree, prepared(record)), name
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at ")
        raise FormatError(
            problems=[Problem(where.strip("`").removeprefix("$."), text)], source=name
        ) from None
    except RecursionError:
        raise FormatError("not readable: nested too deep", source=name) from None


def read_text(path: Path) -> tuple[str, str]:
    """The text of a file of at most `TEXT_LIMIT` bytes, and its name for messages."""
    data, _, name = read_bytes(path, TEXT_LIMIT)
    if b"\0" in data:
        raise FormatError("not text: it holds zero bytes", source=name)
    return decode_utf8(data, name), name


def refuse(where: str, message: str, source: str) -> NoReturn:
    """Raise for one thing that is wrong with a file."""
    raise FormatError(problems=[Problem(where, message)], source=source)


def number(text: str, where: str, source: str) -> int | float:
    """A number >= 0 as it is written: whole ones stay integers.

    Raises
    ------
    FormatError
        Something else, or beyond what the instance format holds.
    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        value: int | float = int(text)
    elif _NUMBER.fullmatch(text):
        value = float(text)
    else:
        refuse(where, f"{show(text)}, expected a number", source)
    if not 0 <= value <= 1e300:
        refuse(where, f"{show(text)}, expected a number >= 0 and at most 1e300", source)
    return value


def whole(text: str, where: str, source: str, *, least: int = 0, most: int = 10**18) -> int:
    """An integer from `least` to `most`; errors are those of `number`."""
    value = int(text) if _WHOLE.fullmatch(text.strip()) else None
    if value is None or not least <= value <= most:
        refuse(where, f"{show(text.strip())}, expected a whole number from {least} to {most}", source)
    return value


def limit_devices(count: int, where: str, source: str) -> None:
    """Refuse more devices than routes can be resolved for."""
    if not 1 <= count <= MOST_DEVICES:
        refuse(where, f"{count} devices, expected 1 to {MOST_DEVICES}", source)


def limit_cells(count: int, where: str, source: str) -> None:
    """Refuse tables that a small file would make large."""
    if count > MOST_CELLS:
        refuse(where, f"needs tables of {count} entries, expected at most {MOST_CELLS}", source)


def edge_tensors(
    edges: Iterable[tuple[str, str, int | float]], layers: Sequence[str], source: str
) -> tuple[Tensor, ...]:
    """One tensor for each edge (producer, reader, bytes), called ``producer>reader``.

    Raises
    ------
    FormatError
        An end that is no layer, or a second edge between the same two.
    """
    known = frozenset(layers)
    tensors: dict[tuple[str, str], Tensor] = {}
    for index, (a, b, size) in enumerate(edges):
        for end in (a, b):
            if end not in known:
                refuse(f"edge {index}", f"{show(end)} is not a task", source)
        if (a, b) in tensors:
            refuse(f"edge {index}", f"a second edge from {show(a)} to {show(b)}", source)
        tensors[a, b] = Tensor(name=f"{a}>{b}", source=a, targets=(b,), bytes=size)
    return tuple(tensors.values())


def all_pairs(devices: Sequence[str]) -> tuple[Link, ...]:
    """Links of bandwidth 1 between every two devices: bytes are seconds."""
    return tuple(
        Link(name=f"{a}-{b}", source=a, target=b, bandwidth=1)
        for i, a in enumerate(devices)
        for b in devices[i + 1 :]
    )
