"""JSON as text: a strict parser, and a printer that keeps short things on one line."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, NoReturn

from dnnplan.instances.errors import FormatError, InstanceError, Problem
from dnnplan.instances.wording import Report, at, show

LINE_WIDTH = 110
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_INDENT = "  "
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
# Only here: json makes its own exceptions for everything else.
_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def parse_json(data: bytes, source: str | None = None) -> Any:
    """Parse JSON text into dictionaries, lists and scalars.

    NaN and infinities come through as floats: whoever checks the data names the place where they stand.

    Raises
    ------
    FormatError
        Text that is not UTF-8 or not JSON, or nested too deep.
    InstanceError
        Duplicate keys, all of them.
    """
    text = decode_utf8(data, source)
    duplicates: list[tuple[dict[str, Any], str]] = []

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            duplicates.extend((members, key) for key, count in counts.items() if count > 1)
        return members

    try:
        tree = json.loads(text, object_pairs_hook=make_object, parse_constant=_CONSTANTS.__getitem__)
    except json.JSONDecodeError as error:
        raise FormatError(_syntax_message(error), source=source) from None
    except RecursionError:
        raise FormatError("not readable: nested too deep", source=source) from None
    except ValueError as error:  # an integer of thousands of digits
        raise FormatError(f"not readable: {error}", source=source) from None
    if duplicates:
        _refuse_duplicates(tree, duplicates, source)
    if _SURROGATE_ESCAPE.search(data):
        _refuse_surrogates(tree, source)
    return tree


def decode_utf8(data: bytes, source: str | None = None) -> str:
    """Decode UTF-8 (with or without byte-order mark).

    Raises
    ------
    FormatError
        Bytes that are not UTF-8; the message gives the position of the first one.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise FormatError(f"not UTF-8 text: {found}", source=source) from None


def _syntax_message(error: json.JSONDecodeError) -> str:
    if not error.doc.strip():
        return "not JSON: the file is empty"
    ended = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")
    cut = "; the file seems to be cut off" if ended else ""
    return f"not JSON: {error.msg} at line {error.lineno} column {error.colno}{cut}"


def _refuse_duplicates(
    tree: Any, duplicates: list[tuple[dict[str, Any], str]], source: str | None
) -> NoReturn:
    """Find where the objects with repeated keys are, and raise."""
    wanted: dict[int, list[str]] = {}
    for members, key in duplicates:
        wanted.setdefault(id(members), []).append(key)
    report = Report()
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack and not report.full:
        path, node = stack.pop()
        for key in wanted.get(id(node), ()):
            report.add(at(path, key), "key given more than once")
        if isinstance(node, dict):
            stack.extend((at(path, key), child) for key, child in reversed(node.items()))
        elif isinstance(node, list):
            stack.extend((at(path, index), node[index]) for index in reversed(range(len(node))))
    # An object that a repeated key hides is no longer in the tree.
    problems = report.problems or [
        Problem("", f"key {show(key)} given more than once") for _, key in duplicates
    ]
    raise InstanceError(problems=problems, source=source)


def _refuse_surrogates(tree: Any, source: str | None) -> None:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise FormatError("not text: an escape \\ud800-\\udfff stands alone", source=source) from None


def print_json(tree: Any) -> str:
    """Text of JSON data: what fits on a line stays on it, everything else is broken and indented.

    Raises
    ------
    ValueError
        NaN or an infinity.

    Examples
    --------
    >>> print(print_json({"name": "a", "list": [1, 2.5]}), end="")
    {"name": "a", "list": [1, 2.5]}
    """
    return _print_node(tree, "", LINE_WIDTH) + "\n"


def _print_node(node: Any, indent: str, room: int) -> str:
    line = _encode(node)
    if len(line) <= room or not isinstance(node, dict | list | tuple):
        return line
    inner = indent + _INDENT
    left = LINE_WIDTH - len(inner) - 1
    if isinstance(node, dict):
        parts = []
        for key, member in node.items():
            head = _encode(key) + ": "
            parts.append(head + _print_node(member, inner, left - len(head)))
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    parts = [_print_node(member, inner, left) for member in node]
    return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}]"
