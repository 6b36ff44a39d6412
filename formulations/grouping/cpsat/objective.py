"""The objective and the limits of a task graph, as integer sums that never exceed their float value."""

from __future__ import annotations

from dnnplan.costs.judged import Terms as Stage
from dnnplan.formulations.grouping.cpsat import constraints
from dnnplan.formulations.grouping.cpsat.variables import IntVar, Variables
from dnnplan.formulations.grouping.measures import constant_of, limits_of
from dnnplan.formulations.grouping.visits import by_pairs
from dnnplan.formulations.integer_sums import RESOLUTION, Terms, keep_at_most, largest_sum, rounded, unit_of

Sum = tuple[Terms, float]
"""Terms, and a constant."""


def set_objective(v: Variables) -> None:
    """Minimise the first stage; keep the limits, and the values of stages that came before."""
    for stage, limit in limits_of(v.problem):
        terms, constant = weighted(v, stage)
        keep_at_most(v.model, terms, limit - constant)
    minimise(v, *weighted(v, v.problem.stages[0]))


def minimise(v: Variables, terms: Terms, constant: float) -> None:
    """Min of the sum but for its constant, in steps of `v.unit`."""
    v.unit = step_of(terms)
    v.constant = constant
    v.model.minimize(rounded(terms, v.unit))


def step_of(terms: Terms) -> float:
    """A unit for a sum: its coefficient, if all have the same one, else as small as integers allow."""
    factors = {factor for factor, _ in terms}
    if len(factors) == 1 and largest_sum(terms) <= RESOLUTION * min(factors):
        return factors.pop()
    return unit_of(terms)


def weighted(v: Variables, stage: Stage) -> Sum:
    """A weighted sum of measures, each variable named once."""
    parts = [weighted_at(v, stage, level) for level in range(v.problem.levels)]
    constant = sum(weight * constant_of(v.problem, name) for name, weight in stage) + sum(c for _, c in parts)
    return merged([term for terms, _ in parts for term in terms]), constant


def weighted_at(v: Variables, stage: Stage, level: int) -> Sum:
    """What one branch point adds to a weighted sum of measures."""
    terms: Terms = []
    constant = 0.0
    for name, weight in stage:
        part, more = _added(v, name, level)
        terms += [(weight * factor, item) for factor, item in part]
        constant += weight * more
    return merged(terms), constant


def merged(terms: Terms) -> Terms:
    """The same sum with each variable named once."""
    total: dict[int, float] = {}
    items: dict[int, IntVar] = {}
    for factor, item in terms:
        total[item.index] = total.get(item.index, 0.0) + factor
        items[item.index] = item
    return [(factor, items[index]) for index, factor in total.items() if factor > 0]


def _added(v: Variables, name: str, level: int) -> Sum:
    """What a branch point adds to a measure; made once."""
    if ("added", name, level) not in v.extra:
        v.extra["added", name, level] = _measure_at(v, name, level)
    found: Sum = v.extra["added", name, level]
    return found


def _measure_at(v: Variables, name: str, level: int) -> Sum:
    block, costs = v.problem.rows.start + level, v.problem.costs
    if name == "variety":
        return [(v.step, v.mean[level])], 0.0
    if name == "task_variety":
        return [(v.step / v.problem.n, widest) for widest in v.widest[level]], 0.0
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
