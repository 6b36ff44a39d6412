"""Lower bounds on task graphs of any size: branch points on their own first, nested largest groups then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.bounds_levels import SIZE_TASKS, Sizes, bound_by_counts, sizes_of_groups
from dnnplan.formulations.grouping.bounds_nested import (
    SET_TASKS,
    WIDTH_TASKS,
    KeepGoing,
    Nested,
    NestedSets,
    NestedWidths,
)
from dnnplan.formulations.grouping.bounds_prices import rising_bounds
from dnnplan.formulations.grouping.criteria import Criteria, criteria_of, symmetric_distances
from dnnplan.formulations.mapping.bounds.bound import LIMIT_TOLERANCE, SAFETY, Bound

FACTORS = tuple(2.0**e for e in range(-6, 7))
"""Prices of a limit that are tried, times a first guess."""
AROUND, NEAR = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), (0.7, 1.0, 1.4)
"""The same for relaxations that take longer: around the best price so far, and near it."""


def grouping_bounds(problem: GroupingProblem, keep_going: KeepGoing = lambda: True) -> Iterator[Bound]:
    """Lower bounds on the first stage of the objective, from the quick ones to the strong ones.

    Each limit is taken on its own, the others are left out. A limited sum is kept within the programme over numbers
    of groups (`bound_by_counts`), or has a price (Lagrangian relaxation), whichever is more. An infinite bound says
    that no task graph keeps the limits. Bounds are lowered by what sums of floats may err, and none is below 0.

    Parameters
    ----------
    keep_going
        Asked between steps; where it says False, the bounds so far are all.
    """
    if problem.levels == 0 or problem.n > SIZE_TASKS:
        return
    criteria, sizes = criteria_of(problem), sizes_of_groups(problem, keep_going)
    room = criteria.limit - criteria.constant
    limited = range(1, len(room)) if len(room) > 1 else range(1)
    prices = {}
    for c in limited:
        value, prices[c] = _by_levels(sizes, criteria, c, float(room[c]), keep_going)
        yield _bound(value, criteria, "branch points on their own")
    for name, nested, pairs in _relaxations(problem, sizes, keep_going):
        for c in limited:
            for value, price in _by_nested_groups(
                nested, criteria, c, float(room[c]), prices[c], keep_going, pairs=pairs
            ):
                yield _bound(value, criteria, name)
                prices[c] = price


def _relaxations(
    problem: GroupingProblem, sizes: Sizes, keep_going: KeepGoing
) -> Iterator[tuple[str, Nested, bool]]:
    """Relaxations with nested largest groups, and whether cases are numbers of groups at the last two branch points."""
    if problem.n > WIDTH_TASKS or not keep_going():
        return
    distance = symmetric_distances(problem)
    widths = NestedWidths(distance, sizes, keep_going)
    yield "nested diameters", widths, False
    if problem.n > SET_TASKS:
        yield "nested diameters", widths, True
    elif keep_going():
        sets = NestedSets(distance, sizes)
        yield "nested sets of tasks", sets, False
        yield "nested sets of tasks", sets, True


def limit_out_of_reach(problem: GroupingProblem, keep_going: KeepGoing = lambda: True) -> str | None:
    """A measure whose limit no task graph can keep together with the others, by its lower bounds; None: not known."""
    for name, limit in problem.limits.items():
        others = {other: value for other, value in problem.limits.items() if other != name}
        alone = replace(problem, stages=(((name, 1.0),),), limits=others)
        for bound in grouping_bounds(alone, keep_going):
            if bound.value > limit + LIMIT_TOLERANCE * abs(limit) + 1e-9:
                return name
    return None


def _bound(value: float, criteria: Criteria, name: str) -> Bound:
    lowered = value - SAFETY * abs(value) + float(criteria.constant[0])
    return Bound(max(0.0, lowered), name)


def _by_levels(
    sizes: Sizes, criteria: Criteria, c: int, room: float, keep_going: KeepGoing
) -> tuple[float, float]:
    """The bound from branch points on their own with limit c (0: none), and the best price of the limit."""
    weights = criteria.weights
    objective = sizes.least(weights[0])
    free = np.zeros_like(objective)
    if c == 0:
        return bound_by_counts(objective, free, math.inf, keep_going), 0.0
    limited = sizes.least(weights[c])
    best = bound_by_counts(objective, limited, room, keep_going)
    price, least = 0.0, -math.inf
    guess = _range(objective) / max(_range(limited), 1e-300)
    for y in (0.0, *(guess * factor for factor in FACTORS)):
        if not keep_going():
            break
        value = bound_by_counts(sizes.least(weights[0] + y * weights[c]), free, math.inf) - _paid(y, room)
        if value > least:
            price, least = y, value
    return max(best, least), price


def _by_nested_groups(
    nested: Nested,
    criteria: Criteria,
    c: int,
    room: float,
    price: float,
    keep_going: KeepGoing,
    *,
    pairs: bool,
) -> Iterator[tuple[float, float]]:
    """Bounds at prices of limit c (0: none), and the best price so far."""
    weights = criteria.weights

    def values(y: float) -> FloatArray | None:
        found = nested.bounds(weights[0] + y * weights[c], keep_going, pairs=pairs)
        return None if found is None else found - _paid(y, room)

    factors = NEAR if pairs else AROUND
    return rising_bounds(values, [factor * price for factor in factors] if price else [0.0])


def _paid(price: float, room: float) -> float:
    """What the price of a limit takes off, with what its product may err."""
    return price * room + SAFETY * abs(price * room) if price else 0.0


def _range(least: FloatArray) -> float:
    return float((least[:, 1:].max(axis=1) - least[:, 1:].min(axis=1)).sum())
