"""The view of grouping and ordering together: the task graph whose best order costs least (docs/cost-model.md, 11)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as with_members

from dnnplan.costs.judged import Judged, Terms, keeps_limits, stages_of, weighted
from dnnplan.costs.ordering.problem import MEASURES as ORDER_MEASURES
from dnnplan.costs.ordering.problem import OrderingProblem, from_task_graph, ordering_problem
from dnnplan.costs.sharing.blocks import BlockCosts, block_costs
from dnnplan.costs.sharing.graph import Groups, canonical_groups, indexed_groups, named_groups
from dnnplan.costs.sharing.grouping import MEASURES as GRAPH_MEASURES
from dnnplan.costs.sharing.grouping import GroupingProblem, grouping_problem
from dnnplan.instances import Instance, Limits, Plan, UnsupportedError

Answer = tuple[Groups, tuple[int, ...]]
"""A task graph, and the order in which its tasks run."""


@dataclass(frozen=True, eq=False, kw_only=True)
class JointProblem:
    """A task graph and an order of its tasks.

    Parameters
    ----------
    grouping
        The task graph alone, with its limits.
    template
        The order alone, with the costs of the task graph in which nothing is shared.
    costs
        What blocks cost, in the unit of the objective.
    """

    instance: Instance
    tasks: tuple[str, ...]
    grouping: GroupingProblem
    template: OrderingProblem
    costs: BlockCosts
    stages: tuple[Terms, ...]
    limits: dict[str, float]
    sums_at_most: tuple[tuple[Terms, float], ...] = ()
    sense: str = field(default="min", init=False)

    @property
    def n(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""
        return self.costs.unit if name in ORDER_MEASURES else self.grouping.unit(name)

    def ordering(self, groups: Groups) -> OrderingProblem:
        """The order that is left to find when the task graph is known."""
        return from_task_graph(self.template, self.costs, groups)

    def judge(self, answer: Plan | Answer) -> Judged:
        """Measure a task graph and an order, and say whether they keep precedences and limits.

        Raises
        ------
        PlanError
            A plan that does not fit the instance.
        """
        if isinstance(answer, Plan):
            groups = indexed_groups(answer.groups, self.tasks, self.grouping.levels)
            ordered = self.ordering(groups).judge(answer)
        else:
            groups = canonical_groups(answer[0])
            ordered = self.ordering(groups).judge(answer[1])
        measures = {**self.grouping.measures(groups), **ordered.measures}
        value = weighted(self.stages[0], measures)
        return Judged(
            decisions=(groups, ordered.decisions),
            measures=measures,
            value=value,
            feasible=math.isfinite(value)
            and self.template.keeps(ordered.decisions)
            and keeps_limits(measures, self.limits, self.sums_at_most),
        )

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it."""
        groups, order = judged.decisions
        return Plan(
            problem="joint",
            instance=self.instance.hash(),
            groups=named_groups(groups, self.tasks),
            task_order=tuple(self.tasks[t] for t in order),
        )


def joint_problem(instance: Instance) -> JointProblem:
    """The joint problem of an instance: sections `sharing` and `ordering`.

    Raises
    ------
    InstanceError
        A section is missing.
    UnsupportedError
        Costs of an order in time and in energy at once, or switching costs that no task graph has a part in.
    """
    ordering = instance.ordering
    if ordering is not None and (ordering.switch or ordering.resources):
        raise UnsupportedError(
            "ordering.switch and ordering.resources do not depend on a task graph; order alone"
        )
    stages, limits = stages_of(instance, (*GRAPH_MEASURES, *ORDER_MEASURES), "grouping and ordering together")
    named = {name for stage in stages for name, _ in stage} | set(limits)
    cost = [name for name in ORDER_MEASURES if name in named] or ["switching"]
    if len(cost) > 1:
        raise UnsupportedError(f"one cost of the order at a time, got {' and '.join(cost)}")
    alone = replace_objective(instance, "variety")
    grouping = grouping_problem(alone)
    apart: Groups = (tuple((t,) for t in range(grouping.n)),) * grouping.levels
    template = ordering_problem(replace_objective(instance, cost[0]), apart)
    return JointProblem(
        instance=instance,
        tasks=grouping.tasks,
        grouping=replace(grouping, limits={k: v for k, v in limits.items() if k in GRAPH_MEASURES}),
        template=template,
        costs=block_costs(instance, "energy" if cost[0] == "energy" else "time"),
        stages=stages,
        limits=limits,
    )


def replace_objective(instance: Instance, objective: str) -> Instance:
    """The instance with another objective and no limits."""
    return with_members(instance, objective=objective, limits=Limits())
