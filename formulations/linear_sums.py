"""Weighted sums of variables of PuLP, scaled so that tolerances of solvers mean the same for bytes and for hours."""

from __future__ import annotations

from typing import TypeAlias

import pulp

from dnnplan.formulations.mapping.milp.windows import power_of_two

Terms: TypeAlias = list[tuple[float, pulp.LpVariable]]
"""(coefficient, variable from 0 to its upper bound) pairs."""
SCALED = 256.0
"""About what the largest possible sum is, in units of the model."""


def largest_sum(terms: Terms) -> float:
    """What a sum reaches if every variable does."""
    return sum(abs(factor) * float(item.upBound) for factor, item in terms)


def unit_of(terms: Terms) -> float:
    """A unit in which the largest possible sum is about `SCALED`."""
    return power_of_two(largest_sum(terms) / SCALED)


def scaled(terms: Terms, unit: float) -> pulp.LpAffineExpression:
    """The sum in units."""
    return pulp.lpSum(factor / unit * item for factor, item in terms)


def keep_at_most(model: pulp.LpProblem, terms: Terms, limit: float) -> None:
    """Sum of the terms <= limit."""
    unit = unit_of(terms)
    model += scaled(terms, unit) <= limit / unit


def merged(terms: Terms) -> Terms:
    """The same sum with each variable named once."""
    total: dict[str, float] = {}
    items: dict[str, pulp.LpVariable] = {}
    for factor, item in terms:
        total[item.name] = total.get(item.name, 0.0) + factor
        items[item.name] = item
    return [(factor, items[name]) for name, factor in total.items() if factor != 0]
