"""Rows that every task graph keeps anyhow: they tell the relaxation what few groups must cost."""

from __future__ import annotations

from collections.abc import Callable

import pulp

from dnnplan.costs.judged import Terms
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.levels import always, counts_decide, least_by_count, price_of_limit
from dnnplan.formulations.grouping.measures import constant_of, limits_of
from dnnplan.formulations.grouping.milp.objective import Sum, weighted_at
from dnnplan.formulations.grouping.milp.variables import Variables
from dnnplan.formulations.linear_sums import scaled, unit_of


def add_cuts(v: Variables, keep_going: Callable[[], bool]) -> None:
    """The least of the objective and of each limited sum, and of the objective with a limit at its price."""
    stage = v.problem.stages[0]
    branch_points_add_their_least(v, stage, keep_going)
    for terms, limit in limits_of(v.problem):
        if not keep_going():
            return
        if not counts_decide(v.problem, terms):
            branch_points_add_their_least(v, terms, keep_going)
        room = limit - sum(weight * constant_of(v.problem, name) for name, weight in terms)
        price = price_of_limit(v.problem, stage, (terms, room), keep_going)
        if price > 0:
            priced = tuple((name, price * weight) for name, weight in terms)
            branch_points_add_their_least(v, stage + priced, keep_going)


def branch_points_add_their_least(
    v: Variables, terms: Terms, keep_going: Callable[[], bool] = always
) -> None:
    """What l adds to a weighted sum >= sum over k of least(l,k) count(l,k).

    `least` is the least of any partition into k groups (`dnnplan.formulations.grouping.levels`). Redundant; without it
    the relaxation does not see that few groups are wide.
    """
    for level, least in enumerate(least_by_count(v.problem, terms, keep_going)):
        add_least(v, level, weighted_at(v, terms, level), least)


def add_least(v: Variables, level: int, added: Sum, least: FloatArray) -> None:
    """What l adds to a sum >= sum over k of least(k) count(l,k)."""
    parts, constant = added
    unit = unit_of(parts)
    floors = [max(0.0, value * (1 - 1e-9) - constant) / unit for value in least.tolist()]
    row = zip(floors, v.count[level], strict=True)
    v.add(scaled(parts, unit) >= pulp.lpSum(floor * one for floor, one in row))
