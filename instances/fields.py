"""The field types that the instance format is made of.

Numbers are SI: seconds, joules, bytes, bytes per second, FLOP, FLOP per second, watts. Formats without
units keep the numbers of their file.
"""

from __future__ import annotations

from typing import Annotated, Any, dataclass_transform

from msgspec import Meta, Struct

LARGEST = 1e300
"""Numbers above this are refused: sums of them would no longer be finite."""
LARGEST_INT = 2**63 - 1
"""Integers beyond 64 bits are refused, since not every reader of JSON keeps them; as floats they are fine."""

# The look-ahead is for Python, where "$" also matches before a last line feed.
# An identifier of a model, task, device, memory or link. No "/": plan keys are "task/job/layer".
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^/\x00-\x1f\x7f]+$(?!\n)")]
# The name of a layer or tensor; networks in the wild use "/" freely.
LongName = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]

NonNegative = Annotated[int, Meta(ge=0, le=LARGEST_INT)] | Annotated[float, Meta(ge=0, le=LARGEST)]
Positive = Annotated[int, Meta(gt=0, le=LARGEST_INT)] | Annotated[float, Meta(gt=0, le=LARGEST)]
Number = (
    Annotated[int, Meta(ge=-LARGEST_INT, le=LARGEST_INT)] | Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
)
# Integers are kept as they are, so that a file written from a record reads back with the same hash.
Fraction = Annotated[int, Meta(ge=0, le=1)] | Annotated[float, Meta(ge=0, le=1)]
PositiveFraction = Annotated[int, Meta(gt=0, le=1)] | Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=LARGEST_INT)]
PositiveCount = Annotated[int, Meta(ge=1, le=1_000_000)]
Extensions = dict[str, Any]


# For type checkers only: what derives from a record is frozen too, although it does not say so again.
@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all records of the format: frozen, keyword-only, unknown keys refused."""
