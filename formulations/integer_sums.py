"""Weighted sums of integer expressions of CP-SAT, rounded so that bounds hold for the floats."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

Linear: TypeAlias = Any
Terms: TypeAlias = list[tuple[float, Linear]]
"""(coefficient, integer variable >= 0) pairs."""
RESOLUTION = 2.0**50
"""Integer steps in the largest sum that an objective can reach; CP-SAT wants sums below 2^63."""


def largest_sum(terms: Terms) -> float:
    """What a sum reaches, up or down, if every variable does."""
    return sum(abs(factor) * int(list(item.proto.domain)[-1]) for factor, item in terms)


def unit_of(terms: Terms, steps: float = RESOLUTION) -> float:
    """A unit in which the largest possible sum has at most `steps` steps; 1 where that loses nothing.

    That is far below 2^63, and errors stay below any gap of interest.
    """
    largest = largest_sum(terms)
    if largest <= steps and all(float(factor).is_integer() for factor, _ in terms):
        return 1.0
    return largest / steps if largest > 0 else 1.0


def rounded(terms: Terms, unit: float) -> Linear:
    """The sum with coefficients rounded down to multiples of the unit, in units."""
    return sum(math.floor(factor / unit) * item for factor, item in terms)


def keep_at_most(model: Any, terms: Terms, limit: float, steps: float = RESOLUTION) -> None:
    """Sum of the terms <= limit, with a step to spare where coefficients have been rounded."""
    unit = unit_of(terms, steps)
    spare = 0 if unit == 1.0 else 1
    steps_left = (limit + 1e-9 * abs(limit)) / unit
    model.add(rounded(terms, unit) <= math.floor(steps_left) + spare)
