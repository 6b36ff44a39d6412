"""Compositions as records of JSON, beside the `.npz` file of the operators."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from dnnplan.costs.predict.compose import FORMS, Composition
from dnnplan.instances.errors import FormatError
from dnnplan.instances.prepared import prepared

PER_CLASS = {"sum": 0, "counts": 1, "counts+sums": 2}
"""Coefficients of each kernel class, by form; three more are common to all."""


class CompositionRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `Composition` holds, as plain lists."""

    form: str
    classes: list[str]
    coefficients: list[float]
    residuals: list[float]


def composition_record(composition: Composition) -> dict[str, Any]:
    """The record of a composition; `composition_from` reads it."""
    return {
        "form": composition.form,
        "classes": list(composition.classes),
        "coefficients": composition.coefficients.tolist(),
        "residuals": composition.residuals.tolist(),
    }


def composition_from(record: object) -> Composition:
    """A composition from an object of JSON.

    Raises
    ------
    FormatError
        Unknown keys, values of a wrong type, an unknown form, a wrong number of coefficients, negative ones, numbers
        that are not finite, or residuals out of order.
    """
    try:
        found = msgspec.convert(record, prepared(CompositionRecord))
    except msgspec.ValidationError as error:
        raise FormatError(f"composition: {error}") from None
    if found.form not in FORMS:
        raise FormatError(f"composition: form {found.form!r}, expected one of {', '.join(FORMS)}")
    wanted = 3 + PER_CLASS[found.form] * len(found.classes)
    if len(found.coefficients) != wanted:
        raise FormatError(f"composition: {len(found.coefficients)} coefficients, expected {wanted}")
    coefficients, residuals = np.array(found.coefficients), np.array(found.residuals)
    if not (np.isfinite(coefficients).all() and (coefficients >= 0).all()):
        raise FormatError("composition: coefficients that are negative or not finite")
    if not (len(residuals) and np.isfinite(residuals).all() and (np.diff(residuals) >= 0).all()):
        raise FormatError("composition: residuals that are missing, not finite or not in ascending order")
    return Composition(found.form, tuple(found.classes), coefficients, residuals)
