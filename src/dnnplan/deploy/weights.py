"""Stored constants of a model: in the file itself, or beside it as external data that is only read where it may be."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnnplan.deploy.wire import Stored
from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.values import dtype_bits

STRING = 8
"""TensorProto.DataType of text; such tensors have no raw bytes."""


class Weights:
    """Constants by name, as TensorProto or SparseTensorProto; no number is copied before it is asked for.

    Parameters
    ----------
    folder
        Where external data may be: the folder of the model, with links resolved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors: dict[str, Any] = {}
        self.sparse: dict[str, Any] = {}
        self._digests: dict[str, bytes] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.tensors or name in self.sparse

    def add(self, name: str, tensor: Any) -> None:
        """Note a TensorProto."""
        self.tensors[name] = tensor

    def add_sparse(self, name: str, tensor: Any) -> None:
        """Note a SparseTensorProto."""
        self.sparse[name] = tensor

    def size(self, name: str) -> int:
        """Bytes of a constant, packed."""
        if name in self.sparse:
            sparse = self.sparse[name]
            return int(sparse.values.ByteSize() + sparse.indices.ByteSize())
        tensor = self.tensors[name]
        if tensor.data_type == STRING:
            return sum(len(text) for text in list[bytes](tensor.string_data))
        bits: int = math.prod(tensor.dims) * dtype_bits(tensor.data_type)
        return -(-bits // 8)

    def stored(self, name: str, new_name: str) -> Stored:
        """A constant under another name, to be written: its numbers are only looked at then."""
        tensor = self.tensors[name]
        if not (tensor.external_data or tensor.data_location or tensor.HasField("raw_data")):
            copy = type(tensor)()
            copy.CopyFrom(tensor)
            copy.name, copy.doc_string = new_name, ""
            return Stored(copy, 0, None)
        bare = type(tensor)(name=new_name, dims=tensor.dims, data_type=tensor.data_type)
        if not (tensor.external_data or tensor.data_location) and len(tensor.raw_data) != self.size(name):
            raise FormatError(
                f"tensor {name!r}: {len(tensor.raw_data)} bytes, expected {self.size(name)} by its shape and type"
            )
        return Stored(bare, self.size(name), lambda: self.raw(name))

    def raw(self, name: str) -> bytes | None:
        """The numbers of a constant, little-endian; None for what has none: text, sparse tensors."""
        if name in self.sparse or self.tensors[name].data_type == STRING:
            return None
        tensor = self.tensors[name]
        if tensor.external_data or tensor.data_location:
            return self._external(name)
        if tensor.HasField("raw_data"):
            found: bytes = tensor.raw_data
            return found
        helper = require_onnx("numpy_helper")
        try:
            copy = helper.from_array(helper.to_array(tensor))
        except (TypeError, ValueError) as error:
            raise FormatError(f"tensor {name!r}: its numbers do not fit its shape and type") from error
        return bytes(copy.raw_data)

    def digest(self, name: str) -> bytes:
        """SHA-256 of type, shape and numbers: the same for tensors that are bit-identical, wherever they are stored."""
        if name not in self._digests:
            found = hashlib.sha256()
            raw = self.raw(name)
            if raw is None:
                tensor = self.sparse.get(name) or self.tensors[name]
                copy = type(tensor)()
                copy.CopyFrom(tensor)
                if name in self.sparse:
                    copy.values.name = ""
                else:
                    copy.name = ""
                found.update(b"message")
                found.update(copy.SerializeToString(deterministic=True))
            else:
                tensor = self.tensors[name]
                found.update(repr((tensor.data_type, tuple(tensor.dims))).encode())
                found.update(raw)
            self._digests[name] = found.digest()
        return self._digests[name]

    def _external(self, name: str) -> bytes:
        """Numbers from a file beside the model; `load_model` has checked that it is inside the folder."""
        tensor = self.tensors[name]
        entries = {entry.key: entry.value for entry in tensor.external_data}
        expected = self.size(name)
        offset, length = (
            _whole(name, entries, key, default) for key, default in (("offset", 0), ("length", expected))
        )
        location = entries.get("location", "")
        if length != expected:
            raise FormatError(
                f"tensor {name!r}: {length} bytes of external data, expected {expected} by its shape and type"
            )
        path = (self.folder / location).resolve()
        if not location or not path.is_relative_to(self.folder):
            raise FormatError(
                f"tensor {name!r}: external data at {location!r}, expected inside the model's folder"
            )
        try:
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(path, flags)
        except OSError as error:
            raise FormatError(
                f"tensor {name!r}: its external data {location!r} cannot be read: {error.strerror}"
            ) from error
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size < offset + length:
                raise FormatError(
                    f"tensor {name!r}: its external data {location!r} ends before byte {offset + length}, "
                    "or is no regular file"
                )
            file.seek(offset)
            return file.read(length)


def _whole(name: str, entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise FormatError(f"tensor {name!r}: {key} {text[:40]!r} of external data, expected a whole number")
    return int(text)
