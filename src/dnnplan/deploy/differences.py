"""How far two arrays are apart, and how far they may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = float(np.finfo(np.float64).eps)
"""What arrays are apart at least that are not equal: large integers may be the same as floating-point numbers."""

TOLERANCE = 1e-5
"""Largest difference that is taken as equal, relative to the largest number of an output: of single precision."""
HALF = {"float16": 2.0**-8, "bfloat16": 2.0**-5}
"""The same where such values cross a cut, four units in their last place: a runtime without kernels for them computes
in single precision, and rounds only where a part ends."""


def tolerance_of(types: Iterable[str]) -> float:
    """Largest difference that is taken as equal where values of these types go from part to part.

    Examples
    --------
    >>> tolerance_of(["float32", "int64"]), tolerance_of(["float32", "float16"])
    (1e-05, 0.00390625)
    """
    return max((HALF.get(kind, TOLERANCE) for kind in types), default=TOLERANCE)


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference of two arrays, relative to the largest number of the second.

    Infinite for other shapes or types, where infinities or missing numbers differ, and for unequal arrays of what is no
    number.

    Examples
    --------
    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    floating = found.dtype.kind == "f"
    if np.array_equal(found, expected, equal_nan=floating):
        return 0.0
    if found.dtype.kind not in "fiu":
        return float("inf")
    one, two = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(two)
    if not np.array_equal(np.isfinite(one), finite) or not np.array_equal(
        one[~finite], two[~finite], equal_nan=True
    ):
        return float("inf")
    apart, scale = np.abs(one[finite] - two[finite]), np.abs(two[finite])
    relative = apart.max(initial=0.0) / max(scale.max(initial=0.0), np.finfo(np.float64).tiny)
    return max(float(relative), LEAST)
