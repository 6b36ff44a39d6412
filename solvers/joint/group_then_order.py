"""First the task graph, then the order."""

from __future__ import annotations

import dataclasses
import math

from dnnplan.costs.joint import JointProblem
from dnnplan.costs.judged import Terms
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.measures import measured
from dnnplan.solvers.joint.exact import OBJECTIVES
from dnnplan.solvers.joint.parts import part_of, run_part
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

GROUPING_PART = 0.6
"""Share of the time for the task graph; the order has the rest."""
STAND_IN = "execution_cost"
"""Stands for the cost of the order while there is none: the mean over all orders."""


class GroupThenOrder:
    """The best task graph with the mean over all orders for their cost, then its best order (Luo et al. 2023).

    The measures of the task graph are optimised as they are, under their limits. Where the cost of the order is limited
    and what comes out exceeds it, the task graph of least mean cost is tried as well. There is a bound only where the
    objective says nothing of the order: a task graph that is worse by itself may have the better order.
    """

    summary = "the best task graph by the mean over all orders, then its best order"
    capabilities = Capabilities(problem="joint", bounds=True, objectives=OBJECTIVES)

    def run(self, problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
        """One task graph and one order, or two."""
        group_then_order(problem, search)


def group_then_order(
    problem: JointProblem, search: TaskSearch[JointProblem], seconds: float = math.inf
) -> None:
    """Propose a task graph with its order, taking at most `seconds` (units of work, where work is limited)."""
    left = min(seconds, part_of(search, 1.0))
    for stage in dict.fromkeys((graph_stage(problem), ((STAND_IN, 1.0),))):
        found = run_part(graph_problem(problem, stage), "grouping", search, GROUPING_PART * left)
        if found.infeasible is not None and search.best is None:
            search.infeasible = found.infeasible
        if found.bound is not None and stage == problem.stages[0]:
            search.improve_bound(found.bound, f"task graph: {found.bound_name}")
        if found.best is not None and not search.finished():
            order_for(problem, search, found.best.decisions, (1.0 - GROUPING_PART) * left)
        if search.best is not None or search.finished():
            return
        left /= 2


def order_for(
    problem: JointProblem, search: TaskSearch[JointProblem], groups: Groups, seconds: float
) -> None:
    """Propose a task graph with its best order."""
    ordering = problem.ordering(groups)
    found = run_part(ordering, "ordering", search, seconds)
    if found.best is not None:
        search.propose((groups, found.best.decisions))


def graph_stage(problem: JointProblem) -> Terms:
    """The objective with the mean over all orders for the cost of the order."""
    weights: dict[str, float] = {}
    for name, weight in problem.stages[0]:
        known = STAND_IN if name == problem.template.name else name
        weights[known] = weights.get(known, 0.0) + weight
    return tuple(weights.items())


def graph_problem(problem: JointProblem, stage: Terms) -> GroupingProblem:
    """The task graph alone, with the limits that do not concern the order."""
    names = measured(problem) - {problem.template.name}
    return dataclasses.replace(
        problem.grouping,
        # Costs in the unit of the order, unless the mean over all orders has a meaning of its own.
        costs=problem.grouping.costs if STAND_IN in names else problem.costs,
        stages=(stage,),
        sums_at_most=tuple(
            (terms, limit)
            for terms, limit in problem.sums_at_most
            if all(name != problem.template.name for name, _ in terms)
        ),
    )
