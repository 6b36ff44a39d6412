"""The objective and the limits of a task graph and an order, in linear rows."""

from __future__ import annotations

from dnnplan.costs.judged import Terms as Stage
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.formulations.grouping.milp.objective import Sum, minimise
from dnnplan.formulations.grouping.milp.objective import weighted as weighted_graph
from dnnplan.formulations.grouping.milp.objective import weighted_at as weighted_graph_at
from dnnplan.formulations.joint.milp.constraints import entries_cost_nodes
from dnnplan.formulations.joint.milp.depth_first import nodes_are_entered_once
from dnnplan.formulations.joint.milp.variables import Variables, create_first
from dnnplan.formulations.joint.rules import Charge, charges, outside
from dnnplan.formulations.linear_sums import Terms, keep_at_most, merged


def set_objective(v: Variables, cutoff: float | None) -> None:
    """Minimise the first stage, which is to be at most `cutoff`; keep the limits, and the values of earlier stages."""
    for stage, limit in limits_of(v.problem):
        terms, constant = weighted(v, stage)
        keep_at_most(v.model, terms, limit - constant)
    minimise(v.graph, weighted(v, v.problem.stages[0]), cutoff)


def graph_part(v: Variables, stage: Stage) -> Stage:
    """The measures of the task graph in a weighted sum."""
    return tuple((name, weight) for name, weight in stage if name != v.problem.template.name)


def weighted(v: Variables, stage: Stage) -> Sum:
    """A weighted sum of measures, each variable named once."""
    terms, constant = weighted_graph(v.graph, graph_part(v, stage))
    for name, weight in stage:
        if name == v.problem.template.name:
            steps, more = cost_of_order(v)
            terms = [*terms, *((weight * factor, item) for factor, item in steps)]
            constant += weight * more
    return merged(terms), constant


def weighted_at(v: Variables, stage: Stage, level: int) -> Sum:
    """What one branch point adds to a weighted sum of measures."""
    terms, constant = weighted_graph_at(v.graph, graph_part(v, stage), level)
    for name, weight in stage:
        if name == v.problem.template.name:
            terms = [*terms, *((weight * factor, item) for factor, item in order_at(v, level))]
    return merged(terms), constant


def cost_of_order(v: Variables) -> Sum:
    """The cost of a period: computing and loading, at every branch point and outside."""
    parts = [_outside(v, charge) for charge in charges(v.problem)]
    terms = [term for part, _ in parts for term in part]
    for level in range(v.problem.grouping.levels):
        terms += order_at(v, level)
    return terms, sum(constant for _, constant in parts)


def order_at(v: Variables, level: int) -> Terms:
    """What the blocks behind a branch point cost in a period; made once."""
    if ("order", level) not in v.graph.extra:
        nodes = nodes_are_entered_once if v.problem.template.is_free else entries_cost_nodes
        block = v.problem.grouping.rows.start + level
        terms: Terms = []
        for charge in charges(v.problem):
            if charge.figure[block].any():
                terms += nodes(v, level, charge.figure[block], charge.rule)
        v.graph.extra["order", level] = merged(terms)
    found: Terms = v.graph.extra["order", level]
    return found


def _outside(v: Variables, charge: Charge) -> Sum:
    constant, saved = outside(v.problem, charge)
    if saved.min() == saved.max():
        return [], constant - float(saved.max())
    # What the first task saves is the most that any saves, less what this one saves less.
    create_first(v)
    terms = [(float(saved.max() - saved[b]), first) for b, first in v.first.items()]
    return terms, constant - float(saved.max())
