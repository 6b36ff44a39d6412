"""MEDN as one .npz file: arrays and a JSON header, no pickle; reading it needs numpy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dnnplan.costs.predict.files import MAX_HEADER, MAX_NAMES, Arrays, below, read_arrays
from dnnplan.costs.predict.linear import line_from
from dnnplan.costs.predict.medn import Head, Layer, Medn
from dnnplan.instances.errors import FormatError
from dnnplan.instances.prepared import prepared

MAX_MEMBERS = 64
MAX_MODULES = 1000
LARGEST = 1e30
"""Weights beyond this would overflow in single precision."""

Names = Annotated[list[str], Meta(max_length=MAX_NAMES)]
Layers = Annotated[int, Meta(ge=1, le=16)]


class HeadRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The texts of a module; its arrays have the number of the module in their names."""

    module: str
    names: Names
    terms: Names
    groups: Names


class MednRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header."""

    version: Literal["dnnplan-medn-1"]
    inputs: Names
    encoder: Layers
    decoder: Layers
    modules: Annotated[list[HeadRecord], Meta(min_length=1, max_length=MAX_MODULES)]


def save_medn(model: Medn, path: Path) -> int:
    """Write a network; its bytes. A file of that name is replaced."""
    heads = list(model.heads.items())
    record = MednRecord(
        version="dnnplan-medn-1",
        inputs=list(model.inputs),
        encoder=len(model.encoder),
        decoder=len(heads[0][1].layers),
        modules=[HeadRecord(name, list(h.names), list(h.terms), list(h.line.groups)) for name, h in heads],
    )
    arrays: Arrays = {"header": np.frombuffer(msgspec.json.encode(record), dtype=np.uint8)}
    arrays |= _layer_arrays("encoder", model.encoder)
    for at, (_, head) in enumerate(heads):
        own: Arrays = {"low": head.low, "high": head.high, "middle": head.middle, "spread": head.spread}
        own |= {"target": np.array([head.shift, head.scale]), "start": head.start}
        own |= {f"line.{name}": array for name, array in head.line.arrays().items()}
        own |= _layer_arrays("decoder", head.layers)
        arrays |= {f"{at}.{name}": array for name, array in own.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return path.stat().st_size


def load_medn(path: Path) -> Medn:
    """Read a network that `save_medn` wrote, and check every array of it.

    Raises
    ------
    FormatError
        The file is damaged, too large unpacked, of another version, or its arrays do not fit together.
    """
    try:
        return _medn(read_arrays(path))
    except FormatError as error:
        raise FormatError(str(error), source=str(path)) from None


def _layer_arrays(prefix: str, layers: tuple[Layer, ...]) -> Arrays:
    return {
        f"{prefix}.{at}.{name}": array
        for at, layer in enumerate(layers)
        for name, array in (("weight", layer.weight), ("bias", layer.bias))
    }


def _medn(arrays: Arrays) -> Medn:
    record = _record(arrays)
    inputs = tuple(record.inputs)
    names = [head.module for head in record.modules]
    if len(set(inputs)) < len(inputs) or len(set(names)) < len(names):
        raise FormatError("an input or a module is there twice")
    encoder = _layers(below(arrays, "encoder"), record.encoder, None, len(inputs) + 1)
    members, _, width = encoder[0].weight.shape
    if not 0 < members <= MAX_MEMBERS:
        raise FormatError(f"{members} members, expected 1 to {MAX_MEMBERS}")
    heads = {}
    for at, head in enumerate(record.modules):
        own = below(arrays, str(at))
        if not set(head.names) <= set(inputs) or len(set(head.names)) < len(head.names):
            raise FormatError(f"module {head.module!r}: features that are no input, or are there twice")
        layers = _layers(below(own, "decoder"), record.decoder, members, encoder[-1].weight.shape[2])
        if layers[-1].weight.shape[2] != 1:
            raise FormatError(f"module {head.module!r}: the decoder gives no single number")
        heads[head.module] = _head(head, own, layers, (members, 1, width))
    return Medn(inputs, encoder, heads)


def _head(record: HeadRecord, own: Arrays, layers: tuple[Layer, ...], start: tuple[int, ...]) -> Head:
    names, terms, groups = tuple(record.names), tuple(record.terms), tuple(record.groups)
    count = len(names)
    low, high = (_numbers(own, name, (count,), np.float64) for name in ("low", "high"))
    middle, spread = (_numbers(own, name, (count + 1,), np.float64) for name in ("middle", "spread"))
    shift, scale = _numbers(own, "target", (2,), np.float64)
    if not ((spread > 0).all() and scale > 0):
        raise FormatError(f"module {record.module!r}: a spread that is not above 0")
    return Head(
        names=names,
        terms=terms,
        line=line_from(below(own, "line"), groups, len(terms)),
        low=low,
        high=high,
        middle=middle,
        spread=spread,
        shift=float(shift),
        scale=float(scale),
        start=_numbers(own, "start", start, np.float32),
        layers=layers,
    )


def _layers(arrays: Arrays, count: int, members: int | None, width: int) -> tuple[Layer, ...]:
    """Layers that follow each other; `members` None: as many as the first has."""
    out = []
    for at in range(count):
        weight = arrays.get(f"{at}.weight")
        if weight is None or weight.ndim != 3:
            raise FormatError(f"layer {at} is missing or not of members x inputs x outputs")
        members = weight.shape[0] if members is None else members
        size = weight.shape[2]
        weight = _numbers(arrays, f"{at}.weight", (members, width, size), np.float32)
        out.append(Layer(weight, _numbers(arrays, f"{at}.bias", (members, 1, size), np.float32)))
        width = size
    return tuple(out)


def _numbers(arrays: Arrays, name: str, shape: tuple[int, ...], kind: type[Any]) -> NDArray[Any]:
    found = arrays.get(name)
    if found is None or found.dtype != np.dtype(kind) or found.shape != shape:
        raise FormatError(
            f"array {name!r} is missing or not {' x '.join(map(str, shape))} of {kind.__name__}"
        )
    if not (np.abs(found) < LARGEST).all():
        raise FormatError(f"array {name!r}: numbers that are not finite or too large")
    return found


def _record(arrays: Arrays) -> MednRecord:
    raw = arrays.get("header")
    if raw is None or raw.dtype != np.uint8 or raw.ndim != 1 or len(raw) > MAX_HEADER:
        raise FormatError("no header")
    try:
        return msgspec.json.decode(raw.tobytes(), type=prepared(MednRecord))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"header: {error}") from None
