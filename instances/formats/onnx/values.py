"""Values (tensors) and nodes of an ONNX graph in plain Python, free of protocol buffers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dnnplan.instances.errors import FormatError

# TensorProto.DataType: name and bits of one element. Strings are counted as 8-byte references.
_DTYPES: dict[int, tuple[str, int]] = {
    0: ("undefined", 0),
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("string", 64),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
    24: ("float8e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
}


class UnknownShapeError(Exception):
    """Internal: a rule needs a shape that shape inference could not find."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph.

    Parameters
    ----------
    shape
        Its dimensions; None: unknown.
    dtype
        Key of TensorProto.DataType; 0: unknown.
    """

    name: str
    shape: tuple[int, ...] | None = None
    dtype: int = 0

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions; raises UnknownShapeError where they are unknown."""
        if self.shape is None:
            raise UnknownShapeError(self.name)
        return self.shape

    @property
    def elements(self) -> int:
        """Number of elements; raises UnknownShapeError where the shape is unknown."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor, packed; 0 where shape or type is unknown."""
        if self.shape is None:
            return 0
        return -(-math.prod(self.shape) * dtype_bits(self.dtype) // 8)

    @property
    def dtype_name(self) -> str:
        """Name of the data type, e.g. ``float32``."""
        return _DTYPES.get(self.dtype, ("undefined", 0))[0]


def dtype_bits(dtype: int) -> int:
    """Bits of one element; 0 for types that are unknown."""
    return _DTYPES.get(dtype, ("undefined", 0))[1]


def checked_shape(name: str, dims: Iterable[int], largest: int) -> tuple[int, ...]:
    """The dimensions as a tuple.

    Raises
    ------
    FormatError
        A negative dimension, or more than `largest` elements.
    """
    shape = tuple(dims)
    if any(dim < 0 for dim in shape):
        raise FormatError(f"tensor {name!r}: shape {list(shape)}, expected dimensions >= 0")
    # A zero must not hide the others from the limit.
    if math.prod(dim for dim in shape if dim) > largest:
        raise FormatError(f"tensor {name!r}: shape {list(shape)}, expected at most {largest} elements")
    return shape


@dataclass(slots=True)
class Node:
    """An operation of the graph.

    Parameters
    ----------
    name
        Unique in the graph; made from operator and output where the file gives none.
    inputs, outputs
        Names of values, in the operator's order; empty: an optional one that is left out.
    captured
        Outer values that its sub-graphs read.
    hidden_weight_bytes
        Bytes of the constants inside its sub-graphs.
    """

    index: int
    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    captured: tuple[str, ...] = ()
    opaque: bool = False
    hidden_weight_bytes: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all values that it needs, without the omitted ones."""
        return tuple(name for name in (*self.inputs, *self.captured) if name)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the values that it makes."""
        return tuple(name for name in self.outputs if name)

    @property
    def kind(self) -> str:
        """Operator with its domain where that is not the standard one."""
        return f"{self.domain}:{self.op}" if self.domain else self.op


@dataclass(slots=True)
class Graph:
    """A checked graph in topological order.

    Parameters
    ----------
    values
        What is known of every tensor.
    constants
        Names of the values that do not depend on an input.
    stored_bytes
        Bytes of constants that are kept in another form than they are used (sparse, quantised).
    """

    name: str
    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    values: dict[str, Value]
    constants: set[str] = field(default_factory=set)
    constant_nodes: set[int] = field(default_factory=set)
    stored_bytes: dict[str, int] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """The value called `name`; one of unknown shape where nothing is known of it."""
        return self.values.get(name) or Value(name)

    def weight_bytes(self, name: str) -> int:
        """Bytes that the constant `name` takes in memory."""
        stored = self.stored_bytes.get(name)
        return self.value(name).bytes if stored is None else stored
