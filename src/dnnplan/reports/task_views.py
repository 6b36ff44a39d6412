"""What the reports of grouping and ordering look at: the views that a plan was made for."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from dnnplan.costs.ordering.problem import OrderingProblem, ordering_problem
from dnnplan.costs.sharing.blocks import block_costs
from dnnplan.costs.sharing.graph import TaskGraph, indexed_groups
from dnnplan.instances import Instance, Limits, Plan, PlanError


@dataclass(frozen=True, kw_only=True)
class TaskViews:
    """Parts of a plan; None for those that it does not have.

    Parameters
    ----------
    names
        Tasks by index.
    chosen
        Positions of chosen candidates.
    """

    names: tuple[str, ...]
    graph: TaskGraph | None = None
    ordering: OrderingProblem | None = None
    order: tuple[int, ...] = ()
    chosen: tuple[int, ...] | None = None
    unit: str | None = None


def task_views(instance: Instance, plan: Plan) -> TaskViews:
    """The parts of a plan of grouping, ordering or both.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    """
    names = tuple(task.name for task in instance.effective_tasks())
    if plan.candidates:
        count = len(instance.sharing.candidates) if instance.sharing is not None else 0
        if not all(0 <= number < count for number in plan.candidates):
            raise PlanError(f"candidates: expected positions from 0 to {count - 1}")
        return TaskViews(names=names, chosen=plan.candidates)
    sharing = instance.sharing
    graph = None
    if plan.groups and sharing is not None:
        levels = max(len(sharing.branch_points), len(sharing.affinity), len(sharing.groups))
        costs = block_costs(instance, "energy" if instance.objective == "energy" else "time")
        graph = TaskGraph(costs=costs, groups=indexed_groups(plan.groups, names, levels))
    if not plan.task_order:
        return TaskViews(names=names, graph=graph, unit=None if graph is None else graph.costs.unit)
    objective = "energy" if instance.objective == "energy" else "switching"
    bare = replace(instance, objective=objective, limits=Limits())
    ordering = ordering_problem(bare, None if graph is None else graph.groups)
    order = ordering.judge(plan).decisions
    return TaskViews(names=names, graph=graph, ordering=ordering, order=order, unit=ordering.unit_of_cost)
