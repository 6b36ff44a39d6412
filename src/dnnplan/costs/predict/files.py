"""Trained models as one .npz file: arrays and a JSON header, no pickle, nothing in it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.npz import read_npz
from dnnplan.costs.predict.forests import forest_from
from dnnplan.costs.predict.linear import line_from
from dnnplan.costs.predict.mlp import perceptron_from
from dnnplan.costs.predict.models import MODELS, OperatorModel, Part
from dnnplan.instances.errors import FormatError

VERSION = "dnnplan-operators-1"
MAX_BYTES = 512 * 2**20
"""Of all arrays unpacked."""
MAX_HEADER = 2**20
MAX_NAMES = 10_000
MAX_PARTS = 64
Arrays = dict[str, NDArray[Any]]


def save_model(model: OperatorModel, path: Path) -> int:
    """Write a model; its bytes. A file of that name is replaced."""
    header = {
        "version": VERSION,
        "kind": model.kind,
        "names": model.names,
        "terms": model.terms,
        "groups": model.line.groups,
        "parts": ["forest" if "roots" in part.arrays() else "perceptron" for part in model.parts],
        "owners": model.owners,
    }
    arrays: Arrays = {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
    arrays |= {"low": model.low, "high": model.high}
    arrays |= {f"line.{name}": array for name, array in model.line.arrays().items()}
    for at, part in enumerate(model.parts):
        arrays |= {f"{at}.{name}": array for name, array in part.arrays().items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return path.stat().st_size


def load_model(path: Path) -> OperatorModel:
    """Read a model that `save_model` wrote, and check every array of it.

    Raises
    ------
    FormatError
        The file is damaged, too large unpacked, of another version, or its arrays do not fit together.
    """
    try:
        return _model(read_arrays(path))
    except FormatError as error:
        raise FormatError(str(error), source=str(path)) from None


def read_arrays(path: Path) -> Arrays:
    """The arrays of a .npz file, read without pickle and within `MAX_BYTES`."""
    try:
        return read_npz(path, MAX_BYTES)
    except FormatError as error:
        raise FormatError(f"not a model: {error}") from None


def _model(arrays: Arrays) -> OperatorModel:
    header = _header(arrays)
    names, terms, groups = (tuple(header[key]) for key in ("names", "terms", "groups"))
    line = line_from(below(arrays, "line"), groups, len(terms))
    parts: list[Part] = []
    for at, kind in enumerate(header["parts"]):
        read = forest_from if kind == "forest" else perceptron_from
        # Beside the features, regressions see the line.
        parts.append(read(below(arrays, str(at)), len(names) + 1))
    ends = [arrays.get(key) for key in ("low", "high")]
    low, high = (end if end is not None else np.empty(0) for end in ends)
    if any(
        end.dtype != np.float64 or end.shape != (len(names),) or np.isnan(end).any() for end in (low, high)
    ):
        raise FormatError("ranges of features are missing or of a wrong size")
    owners = tuple(header["owners"])
    return OperatorModel(header["kind"], names, terms, line, tuple(parts), low, high, owners)


def _header(arrays: Arrays) -> dict[str, Any]:
    raw = arrays.get("header")
    if raw is None or raw.dtype != np.uint8 or raw.ndim != 1 or len(raw) > MAX_HEADER:
        raise FormatError("no header")
    try:
        header = json.loads(raw.tobytes())
    except (ValueError, RecursionError):
        raise FormatError("the header is not JSON") from None
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise FormatError(f"not of version {VERSION}")
    header.setdefault("owners", [])
    for key, most in (
        ("names", MAX_NAMES),
        ("terms", MAX_NAMES),
        ("groups", MAX_NAMES),
        ("parts", MAX_PARTS),
        ("owners", MAX_PARTS),
    ):
        texts = header.get(key)
        if (
            not isinstance(texts, list)
            or len(texts) > most
            or not all(isinstance(text, str) for text in texts)
        ):
            raise FormatError(f"header: {key} is no list of at most {most} texts")
    if header.get("kind") not in (*MODELS, "auto") or not set(header["parts"]) <= {"forest", "perceptron"}:
        raise FormatError("header: unknown kind of model or part")
    owners = header["owners"]
    if owners and (len(owners) != len(header["parts"]) or "" not in owners):
        raise FormatError("header: owners are not those of the parts")
    return header


def below(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names start with ``prefix.``, without it."""
    return {
        name.removeprefix(f"{prefix}."): array
        for name, array in arrays.items()
        if name.startswith(f"{prefix}.")
    }
