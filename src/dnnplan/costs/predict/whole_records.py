"""Models of whole networks as files of JSON, read without running anything in them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from dnnplan.costs.predict.whole import AMPLITUDES, WholeModel
from dnnplan.instances.errors import FormatError
from dnnplan.instances.prepared import prepared

VERSION = "dnnplan-networks-1"
MAX_BYTES = 64 * 2**20


class WholeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `WholeModel` holds, as plain lists; `group` is the position of each shape's class in `classes`."""

    version: str
    kind: str
    names: list[str]
    terms: list[str]
    overhead: float
    coefficients: list[float]
    classes: list[str]
    group: list[int]
    shapes: list[list[float]]
    weights: list[float]
    residuals: list[float]


def save_whole(model: WholeModel, path: Path) -> int:
    """Write a model; its bytes. A file of that name is replaced."""
    classes, group = np.unique(model.groups, return_inverse=True)
    record = WholeRecord(
        VERSION,
        model.kind,
        list(model.names),
        list(model.terms),
        model.overhead,
        model.coefficients.tolist(),
        [str(name) for name in classes],
        group.tolist(),
        model.shapes.tolist(),
        model.weights.tolist(),
        model.residuals.tolist(),
    )
    return path.write_bytes(msgspec.json.encode(record))


def load_whole(path: Path) -> WholeModel:
    """Read a model that `save_whole` wrote.

    Raises
    ------
    FormatError
        Above 64 MiB, not JSON, unknown keys, wrong types or version, tables of unequal size, coefficients below 0,
        numbers that are not finite, or residuals out of order.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise FormatError(f"larger than {MAX_BYTES} bytes", source=str(path))
    try:
        found = msgspec.json.decode(raw, type=prepared(WholeRecord))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"not a model of networks: {error}", source=str(path)) from None
    wrong = _wrong(found)
    if wrong:
        raise FormatError(wrong, source=str(path))
    return WholeModel(
        found.kind,
        tuple(found.names),
        tuple(found.terms),
        found.overhead,
        np.array(found.coefficients),
        np.array(found.classes, dtype=str)[np.array(found.group, dtype=np.intp)],
        np.array(found.shapes).reshape(-1, len(found.names)),
        np.array(found.weights),
        np.array(found.residuals),
    )


def _wrong(found: WholeRecord) -> str:
    """What is wrong with a record, "" for nothing."""
    if found.version != VERSION or found.kind not in AMPLITUDES:
        return f"version {found.version!r} and kind {found.kind!r}, expected {VERSION!r} and {', '.join(AMPLITUDES)}"
    if len(found.coefficients) != len(found.terms):
        return f"{len(found.coefficients)} coefficients, expected {len(found.terms)}"
    sizes = {len(found.group), len(found.shapes), len(found.weights)}
    if len(sizes) > 1 or any(len(row) != len(found.names) for row in found.shapes):
        return "shapes, their classes and their weights are not of one size"
    if not all(0 <= at < len(found.classes) for at in found.group):
        return "a class that is not there"
    return _wrong_numbers(found)


def _wrong_numbers(found: WholeRecord) -> str:
    residuals = np.array(found.residuals)
    every = [found.coefficients, [found.overhead], found.weights, found.residuals, *found.shapes]
    if not all(np.isfinite(values).all() for values in every):
        return "numbers that are not finite"
    if min([found.overhead, *found.coefficients]) < 0:
        return "coefficients below 0"
    if not len(residuals) or (np.diff(residuals) < 0).any():
        return "residuals that are missing or not in ascending order"
    return ""
