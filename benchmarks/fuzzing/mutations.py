"""Damaged variants of valid inputs: of bytes, of trees, of text, of protocol buffers, of arrays.

A mutation of bytes mostly breaks the syntax, and tests the parser. The others keep the syntax and break the meaning,
and so reach what comes after the parser.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
"""(numbers, a valid input, all valid inputs) -> an input."""

MOST_BYTES = 1 << 20
"""Longest input; limits of size have tests of their own."""
NUMBERS: tuple[Any, ...] = (
    0,
    -0.0,
    -1,
    1,
    0.5,
    2,
    1e-300,
    5e-324,
    1e308,
    -1e308,
    1.0000000001,
    255,
    256,
    2**31 - 1,
    2**31,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    10**400,
    float("nan"),
    float("inf"),
    float("-inf"),
)
TEXTS = (
    "",
    " ",
    "a",
    "0",
    "1.0",
    "2.0",
    "-1",
    "1e400",
    "null",
    "../../etc/passwd",
    "/etc/passwd",
    "\x00",
    "\n",
    "é",
    "ß" * 40,
    "𝒳",
    "\u202e",
    "a/b",
    "a/0/b",
    "a:b",
    "|",
    ",",
    "=",
    "x" * 300,
    "x" * 70_000,
    "__class__",
    "${HOME}",
    "%s%n",
    "\ud800",
)
WORDS = (
    b"0",
    b"-1",
    b"1e308",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"",
    b" ",
    b"\t",
    b"\n",
    b"\r\n",
    b",",
    b";",
    b'"',
    b"'",
    b"|",
    b":",
    b"9" * 400,
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    "é".encode(),
    b"#",
    b"-",
    b"1_000",
    b"0x1f",
    b"1.5.2",
    b"true",
    b"&a ",
    b"*a",
    b"!!python/object/apply:os.system ",
    b"<<: ",
    b"? ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"99999999999999999999",
    b"[" * 3000,
)
SIZES = (0, 1, 2, 127, 128, 2**14, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def mutate_bytes(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Flip, insert, remove, repeat, cut, or join with another input."""
    out = bytearray(data)
    for _ in range(numbers.choice((1, 1, 1, 2, 4, 16))):
        at = numbers.randrange(len(out) + 1)
        length = min(numbers.choice((1, 1, 2, 4, 8, 64)), len(out) - at)
        match numbers.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << numbers.randrange(8)
            case 1 if at < len(out):
                out[at] = numbers.randrange(256)
            case 2:
                out[at:at] = numbers.choice(WORDS)
            case 3:
                del out[at : at + length]
            case 4:
                out[at:at] = out[at : at + length] * numbers.choice((1, 2, 100))
            case 5 if numbers.random() < 0.2:
                del out[at:]
            case _:
                other = numbers.choice(seeds)
                start = numbers.randrange(len(other) + 1)
                out[at : at + length] = other[start : start + numbers.choice((1, 4, 16, 256))]
    return bytes(out[:MOST_BYTES])


def mutate_text(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Replace numbers and words, and remove, repeat or swap lines."""
    lines = data.split(b"\n")
    for _ in range(numbers.choice((1, 1, 1, 2, 4))):
        at = numbers.randrange(len(lines))
        match numbers.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[at]] * numbers.choice((1, 1, 50))
            case 2:
                other = numbers.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                lines[at] = _with_another_word(numbers, lines[at])
        lines = lines or [b""]
    return b"\n".join(lines)[:MOST_BYTES]


def _with_another_word(numbers: random.Random, line: bytes) -> bytes:
    separator = next((s for s in (b",", b"\t", b" ", b":") if s in line), b",")
    cells = line.split(separator)
    at = numbers.randrange(len(cells))
    match numbers.randrange(4):
        case 0:
            del cells[at]
        case 1:
            cells.insert(at, numbers.choice(cells))
        case _:
            cells[at] = numbers.choice(WORDS)
    return separator.join(cells)


def mutate_tree(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Change values, keys and branches of a JSON text, which stays JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(numbers, data, seeds)
    for _ in range(numbers.choice((1, 1, 1, 1, 2, 3))):
        tree = change_tree(numbers, tree, seeds)
    text = json.dumps(tree, ensure_ascii=numbers.random() < 0.9)
    if numbers.random() < 0.03:  # a key twice
        text = text.replace('{"', '{"name": 1, "', 1)
    return text.encode("utf-8", "surrogatepass")[:MOST_BYTES]


def change_tree(numbers: random.Random, tree: Any, seeds: Sequence[bytes]) -> Any:
    """The tree with one change somewhere."""
    places = list(_places(tree))
    if not places or numbers.random() < 0.01:
        return _value(numbers, tree, seeds)
    parent, key = numbers.choice(places)
    match numbers.randrange(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[numbers.choice((*TEXTS, *list(parent)))] = parent.pop(key)
        case 1 | 2 if isinstance(parent, list):
            parent[key:key] = [parent[key]] * numbers.choice((1, 1, 2, 40))
        case 3:
            _, other = numbers.choice(places), numbers.choice(places)
            parent[key] = json.loads(json.dumps(other[0][other[1]]))
        case 4 if isinstance(parent, list):
            numbers.shuffle(parent)
        case 5 if isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = (
                parent[key] * numbers.choice((-1, 0, 0.5, 2, 10, 1e-9)) if abs(parent[key]) < 1e300 else 0
            )
        case _:
            parent[key] = _value(numbers, parent[key], seeds)
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack and len(found) < 5000:
        node = stack.pop()
        inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in inside:
            found.append((node, key))
            stack.append(child)
    return found


def _value(numbers: random.Random, old: Any, seeds: Sequence[bytes]) -> Any:
    match numbers.randrange(9):
        case 0 | 1 | 2:
            return numbers.choice(NUMBERS)
        case 3 | 4:
            return numbers.choice(TEXTS)
        case 5:
            return numbers.choice((None, True, False, [], {}, [[]], {"": {}}, [None], [0, 1]))
        case 6:
            for _ in range(numbers.choice((1, 2, 70, 150))):
                old = [old] if numbers.random() < 0.5 else {"a": old}
            return old
        case 7:
            return [old] * numbers.choice((2, 200))
        case _:
            return (
                str(old)
                if not isinstance(old, str)
                else numbers.choice((old + "x", old[:-1], old.upper(), old + "/0"))
            )


def mutate_proto(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Change fields of a protocol buffer, however deep; lengths around them stay right."""
    if numbers.random() < 0.2:
        return mutate_bytes(numbers, data, seeds)
    for _ in range(numbers.choice((1, 1, 2, 4))):
        data = _change_message(numbers, data, seeds, 0)
    return data[:MOST_BYTES]


def _change_message(numbers: random.Random, data: bytes, seeds: Sequence[bytes], depth: int) -> bytes:
    fields = _fields(data)
    if not fields:
        return mutate_bytes(numbers, data, seeds)[:4096] if data else numbers.choice(WORDS)
    at = numbers.randrange(len(fields))
    tag, value = fields[at]
    inner = tag & 7 == 2
    if isinstance(value, bytes) and inner and depth < 8 and numbers.random() < 0.8:
        fields[at] = tag, _change_message(numbers, value, seeds, depth + 1)
    else:
        match numbers.randrange(6):
            case 0:
                del fields[at]
            case 1:
                fields[at:at] = [fields[at]] * numbers.choice((1, 1, 20))
            case 2:
                fields[at] = (numbers.randrange(1, 32) << 3) | (tag & 7), value
            case 3:
                other = numbers.randrange(len(fields))
                fields[at], fields[other] = fields[other], fields[at]
            case _ if isinstance(value, int):
                fields[at] = tag, numbers.choice((*SIZES, value + 1, max(value - 1, 0)))
            case _:
                fields[at] = tag, mutate_bytes(numbers, value, seeds)[:4096] if inner else bytes(len(value))
    return b"".join(_field(tag, value) for tag, value in fields)


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message; none where the bytes are no message."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    try:
        while at < len(data):
            tag, at = _varint(data, at)
            kind = tag & 7
            if kind == 0:
                value: int | bytes
                value, at = _varint(data, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
                value, at = data[at : at + size], at + size
            elif kind == 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            else:
                return []
            if tag < 8 or at > len(data):
                return []
            found.append((tag, value))
    except IndexError:
        return []
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128 or shift > 63:
            return value, at


def _field(tag: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _packed(tag) + _packed(value)
    return _packed(tag) + (_packed(len(value)) if tag & 7 == 2 else b"") + value


def _packed(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def mutate_arrays(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """Change members of an .npz file, which stays a ZIP file most of the time."""
    if numbers.random() < 0.4:
        return mutate_bytes(numbers, data, seeds)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            members = [(name, packed.read(name)) for name in packed.namelist()]
    except Exception:  # a damaged one from before
        return mutate_bytes(numbers, data, seeds)
    for _ in range(numbers.choice((1, 1, 2))):
        at = numbers.randrange(len(members))
        name, content = members[at]
        match numbers.randrange(5):
            case 0 if len(members) > 1:
                del members[at]
            case 1:
                members[at] = (numbers.choice(members)[0], content)
            case 2 if b"{" in content[80:]:
                start = content.index(b"{", 80)
                body = mutate_tree(numbers, content[start:], seeds)
                members[at] = name, _with_length(content[:start], len(content) - start, len(body)) + body
            case 3:
                members[at] = name, _with_another_header(numbers, content)
            case _:
                end = min(len(content), 128)
                members[at] = name, mutate_bytes(numbers, content[:end], seeds) + content[end:]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in members:
            packed.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()[:MOST_BYTES]


def _with_length(header: bytes, old: int, new: int) -> bytes:
    """The header of a vector of bytes with another length, of the same size as before where that is possible."""
    before, after = b"(%d,)" % old, b"(%d,)" % new
    return header.replace(before, after, 1) if len(before) == len(after) else header


def _with_another_header(numbers: random.Random, content: bytes) -> bytes:
    changes = (
        (b"<f8", b"<f4"),
        (b"<f8", b"<i8"),
        (b"<i8", b"|O8"),
        (b"<f8", b"<U9"),
        (b"False", b"True "),
        (b"<f8", b"<c8"),
        (b"(", b"(99999999, "),
        (b"(1", b"(-1"),
        (b"|u1", b"|S1"),
        (b"<f8", b"|V8"),
    )
    old, new = numbers.choice(changes)
    head = content[:128].replace(old, new, 1)
    return head[:128] + content[128:]


def mixed(*kinds: Mutate) -> Mutate:
    """One of several at random."""

    def mutate(numbers: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
        return numbers.choice(kinds)(numbers, data, seeds)

    return mutate


JSON = mixed(mutate_tree, mutate_tree, mutate_tree, mutate_bytes)
TEXT = mixed(mutate_text, mutate_text, mutate_bytes)
YAML = mixed(mutate_tree, mutate_text, mutate_bytes)
