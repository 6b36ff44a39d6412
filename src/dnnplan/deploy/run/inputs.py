"""Numbers for the inputs of a manifest: given in a file, or made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dnnplan.costs.npz import read_npz
from dnnplan.deploy.manifest import Manifest, Value
from dnnplan.deploy.run.sessions import Array, made_up
from dnnplan.instances.errors import FormatError, InputError, UnsupportedError
from dnnplan.instances.wording import suggestion

RUNTIME_TYPES = {"float32": "tensor(float)", "float64": "tensor(double)"}
MOST_BYTES = 2**33
"""Bytes of all arrays of a file, or of all inputs, together."""


def input_arrays(
    manifest: Manifest, given: Mapping[str, Array] | None = None, batch: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """An array for every input of a manifest: what is given, by value or by name, and seeded numbers for the rest.

    Parameters
    ----------
    batch
        Samples of a job by task, where the size of the batch is not fixed; 1 where not given.

    Raises
    ------
    InputError
        An array of another type or shape than the input, for no input, or two for one; inputs that are too large.
    UnsupportedError
        An input that is not given, and whose shape is not known or whose type is not of numbers.
    """
    given = dict(given or {})
    found: dict[str, Array] = {}
    used: set[str] = set()
    for value in manifest.inputs:
        key = value.id if value.id in given else value.name
        if key in given:
            used.add(key)
            found[value.id] = np.asarray(_checked(value, given[key]), order="C")
        else:
            found[value.id] = _made_up(value, (batch or {}).get(value.task, 1))
        if sum(array.nbytes for array in found.values()) > MOST_BYTES:
            raise InputError(f"inputs of more than {MOST_BYTES} bytes together", source=manifest.name)
    for key in given:
        if key not in used:
            names = tuple(value.id for value in manifest.inputs)
            if twice := next((value.id for value in manifest.inputs if value.name == key), None):
                raise InputError(f"inputs: {key!r} is given twice, as {twice!r} too")
            raise InputError(
                f"inputs: {key!r} is no input{suggestion(key, names)}; inputs are {', '.join(names[:10])}"
            )
    return found


def _made_up(value: Value, batch: int) -> Array:
    if value.shape is None:
        raise UnsupportedError(
            f"input {value.id!r}: its shape is not known, so no numbers can be made up; give it with --inputs"
        )
    kind = RUNTIME_TYPES.get(value.dtype, f"tensor({value.dtype})")
    try:
        # By name: two tasks with the same network get the same numbers, as two readers of one camera would.
        return made_up(value.name, kind, value.shape, batch)
    except UnsupportedError as error:
        raise UnsupportedError(f"{error}; give it with --inputs") from None


def _checked(value: Value, array: Array) -> Array:
    if array.dtype.name != value.dtype:
        raise InputError(f"inputs: {value.id!r} has type {array.dtype.name}, expected {value.dtype}")
    shape = array.shape if value.shape is None else value.shape
    fits = len(array.shape) == len(shape) and all(
        not isinstance(size, int) or size == own for size, own in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise InputError(f"inputs: {value.id!r} has shape {list(array.shape)}, expected {list(shape)}")
    return array


def read_inputs(path: Path) -> dict[str, Array]:
    """The arrays of an ``.npz`` file; objects in it are refused, since reading them could run code.

    Raises
    ------
    FormatError
        Not such a file, or larger than 8 GiB unpacked.
    """
    try:
        return read_npz(path, MOST_BYTES)
    except FormatError as error:
        raise FormatError(str(error), source=str(path)) from None
