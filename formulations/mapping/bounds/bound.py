"""What a lower bound is, and how much it is lowered for the sake of floating-point sums."""

from __future__ import annotations

from dataclasses import dataclass

LIMIT_TOLERANCE = 2e-6
"""Twice the tolerance with which limits are judged."""
SAFETY = 1e-9
"""Relative error of floating-point sums and LP tolerances that a bound is lowered by."""


@dataclass(frozen=True)
class Bound:
    """A value that no plan can beat, and what proved it."""

    value: float
    name: str
