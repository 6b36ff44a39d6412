"""The objective and the limits of a task graph, in linear rows."""

from __future__ import annotations

from dnnplan.costs.judged import Terms as Stage
from dnnplan.formulations.grouping.measures import constant_of, limits_of
from dnnplan.formulations.grouping.milp import constraints
from dnnplan.formulations.grouping.milp.variables import Variables
from dnnplan.formulations.grouping.visits import by_pairs
from dnnplan.formulations.linear_sums import Terms, keep_at_most, largest_sum, merged, scaled, unit_of

CUTOFF_TOLERANCE = 1e-6
"""By how much, relative and in units of the model, answers may exceed the incumbent."""
Sum = tuple[Terms, float]
"""Terms, and a constant."""


def set_objective(v: Variables, cutoff: float | None) -> None:
    """Minimise the first stage, which is to be at most `cutoff`; keep the limits, and the values of earlier stages."""
    for stage, limit in limits_of(v.problem):
        terms, constant = weighted(v, stage)
        keep_at_most(v.model, terms, limit - constant)
    minimise(v, weighted(v, v.problem.stages[0]), cutoff)


def minimise(v: Variables, total: Sum, cutoff: float | None) -> None:
    """Min of a sum but for its constant, in units of `v.unit`."""
    terms, v.constant = total
    v.unit = unit_of(terms)
    v.largest = largest_sum(terms) / v.unit
    v.model += scaled(terms, v.unit)
    if cutoff is not None and terms:
        room = cutoff + CUTOFF_TOLERANCE * abs(cutoff) - v.constant
        v.model += scaled(terms, v.unit) <= room / v.unit + CUTOFF_TOLERANCE


def weighted(v: Variables, stage: Stage) -> Sum:
    """A weighted sum of measures, each variable named once."""
    parts = [weighted_at(v, stage, level) for level in range(v.problem.levels)]
    constant = sum(weight * constant_of(v.problem, name) for name, weight in stage)
    return merged([term for terms, _ in parts for term in terms]), constant + sum(c for _, c in parts)


def weighted_at(v: Variables, stage: Stage, level: int) -> Sum:
    """What one branch point adds to a weighted sum of measures."""
    terms: Terms = []
    constant = 0.0
    for name, weight in stage:
        part, more = _added(v, name, level)
        terms += [(weight * factor, item) for factor, item in part]
        constant += weight * more
    return merged(terms), constant


def _added(v: Variables, name: str, level: int) -> Sum:
    """What a branch point adds to a measure; made once."""
    if ("added", name, level) not in v.extra:
        v.extra["added", name, level] = _measure_at(v, name, level)
    found: Sum = v.extra["added", name, level]
    return found


def _measure_at(v: Variables, name: str, level: int) -> Sum:
    block, costs = v.problem.rows.start + level, v.problem.costs
    if name == "variety":
        return [(1.0, v.mean[level])], 0.0
    if name == "task_variety":
        return [(1.0 / v.problem.n, widest) for widest in v.widest[level]], 0.0
    if name == "size":
        return constraints.nodes_cost_the_most_of_their_tasks(v, level, costs.bytes[block]), 0.0
    terms: Terms = []
    constant = 0.0
    for figure, share in ((costs.compute, v.problem.share_compute), (costs.load, v.problem.share_load)):
        by_pair, by_task = by_pairs(share)
        if by_pair > 0:
            entered = constraints.steps_enter_nodes(v, level, figure[block])
            terms += [(by_pair * factor, item) for factor, item in entered]
        if by_task > 0:
            more, least = constraints.tasks_have_nodes(v, level, figure[block])
            terms += [(by_task * factor, item) for factor, item in more]
            constant += by_task * least
    return terms, constant
