"""Rows that every task graph with an order keeps anyhow: they tell the relaxation what few groups must cost."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.judged import Terms
from dnnplan.formulations.grouping.levels import counts_decide, least_by_count, price_of_limit
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.formulations.grouping.milp.cuts import add_least
from dnnplan.formulations.joint.milp.objective import weighted, weighted_at
from dnnplan.formulations.joint.milp.variables import Variables
from dnnplan.formulations.joint.once import free_by_count, nodes_of_order


def add_cuts(v: Variables, keep_going: Callable[[], bool]) -> None:
    """The least of the objective and of each limited sum, and of the objective with a limit at its price."""
    stage, nodes = v.problem.stages[0], nodes_of_order(v.problem)
    branch_points_add_their_least(v, stage, keep_going)
    for terms, limit in limits_of(v.problem):
        if not keep_going():
            return
        if not counts_decide(v.problem.grouping, terms, nodes):
            branch_points_add_their_least(v, terms, keep_going)
        _, constant = weighted(v, terms)
        price = price_of_limit(v.problem.grouping, stage, (terms, limit - constant), keep_going, nodes)
        if price > 0:
            priced = tuple((name, price * weight) for name, weight in terms)
            branch_points_add_their_least(v, stage + priced, keep_going)


def branch_points_add_their_least(v: Variables, terms: Terms, keep_going: Callable[[], bool]) -> None:
    """What l adds to a weighted sum >= sum over k of least(l,k) count(l,k).

    As for task graphs alone, where the order costs no less than each node once, but for what is free of charge at the
    start of a period. Redundant; without it the relaxation does not see that few groups are wide.
    """
    least = least_by_count(v.problem.grouping, terms, keep_going, nodes_of_order(v.problem))
    free = free_by_count(v.problem, terms)
    for level in range(v.problem.grouping.levels):
        add_least(v.graph, level, weighted_at(v, terms, level), least[level] - free[level])
