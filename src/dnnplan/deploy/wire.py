"""Writing an ONNX file one constant after the other: a message of protocol buffers whose lengths are known beforehand.

Building the message in memory and serialising it would copy all weights twice, and hold them three times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dnnplan.instances.errors import UnsupportedError

# Numbers of fields in onnx.proto: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data.
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_LENGTH_DELIMITED = 2
MOST_BYTES = 2**31 - 1
"""Largest message that readers of protocol buffers take."""


class Stored(NamedTuple):
    """A constant to write: its TensorProto without numbers, and where these are (None: in the TensorProto).

    `raw` is called when the numbers are written, and returns `size` bytes.
    """

    tensor: Any
    size: int
    raw: Any


def write_model(path: Path, model: Any, constants: Sequence[Stored]) -> tuple[str, int]:
    """Write a ModelProto with further initialisers to a new file.

    Returns
    -------
    SHA-256 of the file as hexadecimal, and its size in bytes.

    Raises
    ------
    UnsupportedError
        More than protocol buffers can hold.
    """
    graph = model.graph.SerializeToString()
    outer = type(model)()
    outer.CopyFrom(model)
    outer.ClearField("graph")
    heads = [_initializer(constant) for constant in constants]
    length = len(graph) + sum(
        len(head) + constant.size for head, constant in zip(heads, constants, strict=True)
    )
    start = outer.SerializeToString() + _field(_GRAPH, length)
    if len(start) + length > MOST_BYTES:
        raise UnsupportedError(
            f"{path.name}: {length} bytes, expected at most {MOST_BYTES}; lower the limit of what is stored in the file"
        )
    digest = hashlib.sha256()
    with path.open("xb", buffering=0) as file:

        def write(data: bytes) -> None:
            digest.update(data)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

        write(start + graph)
        for head, constant in zip(heads, constants, strict=True):
            write(head)
            if constant.raw is not None:
                write(_exactly(constant))
        return digest.hexdigest(), file.tell()


def _exactly(constant: Stored) -> bytes:
    data: bytes = constant.raw()
    if len(data) != constant.size:
        raise AssertionError(f"{constant.tensor.name}: {len(data)} bytes, expected {constant.size}")
    return data


def _initializer(constant: Stored) -> bytes:
    """What stands before the numbers of a constant."""
    head: bytes = constant.tensor.SerializeToString()
    if constant.raw is not None:
        head += _field(_RAW_DATA, constant.size)
    return _field(_INITIALIZER, len(head) + constant.size) + head


def _field(number: int, length: int) -> bytes:
    """Tag and length of a field of bytes."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    r"""Seven bits a byte, the lowest first; the highest bit of a byte says that another one follows.

    >>> _varint(1), _varint(300)
    (b'\x01', b'\xac\x02')
    """
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
