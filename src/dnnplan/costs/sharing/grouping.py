"""The view of grouping: which tasks share which blocks, and the measures of a task graph (docs/cost-model.md, 9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dnnplan.costs.judged import Judged, Terms, keeps_limits, stages_of, weighted
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts, block_costs
from dnnplan.costs.sharing.graph import Groups, TaskGraph, canonical_groups, indexed_groups, named_groups
from dnnplan.instances import Instance, InstanceError, Ordering, Plan, Problem
from dnnplan.instances.sections import AFFINITY_ROUNDING

MEASURES = ("variety", "task_variety", "size", "execution_cost")


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupingProblem:
    """A partition of n tasks for each of L branch points, each a refinement of the one before.

    Parameters
    ----------
    dissimilarity
        (L, n, n) 1 - affinity, and 0 where an affinity is above 1 by rounding; symmetric, diagonal 0.
    costs
        What blocks cost each task.
    share_compute, share_load
        (n + 1,) how often a node that g of n tasks share is computed and loaded in a period, in the mean over all
        orders; see `mean_visits`.
    stages, limits, sums_at_most
        The objective, upper limits by measure, and earlier stages that may not get worse.
    """

    instance: Instance
    tasks: tuple[str, ...]
    dissimilarity: FloatArray
    costs: BlockCosts
    share_compute: FloatArray
    share_load: FloatArray
    stages: tuple[Terms, ...]
    limits: dict[str, float]
    sums_at_most: tuple[tuple[Terms, float], ...] = ()
    sense: str = field(default="min", init=False)

    @property
    def n(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def levels(self) -> int:
        """Number of branch points."""
        return len(self.dissimilarity)

    @property
    def rows(self) -> slice:
        """The blocks behind branch points, as rows of `costs`."""
        first = int(self.costs.stem)
        return slice(first, first + self.levels)

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""
        return {"size": "bytes", "execution_cost": self.costs.unit}.get(name)

    def measures(self, groups: Groups) -> dict[str, float]:
        """All measures of a task graph.

        Sources: size and variety as in the experiments of Antler (Luo et al. 2023): variety is the sum over branch
        points of the mean over groups of the largest dissimilarity in a group. `task_variety` is the mean over tasks
        instead. `execution_cost` is the mean cost of a period over all orders, which they estimate from ten.
        """
        variety = [self.level_variety(level, partition) for level, partition in enumerate(groups)]
        graph = TaskGraph(costs=self.costs, groups=groups)
        return {
            "variety": math.fsum(mean for mean, _ in variety),
            "task_variety": math.fsum(mean for _, mean in variety),
            "size": graph.size,
            "execution_cost": self.execution_cost(graph),
        }

    def level_variety(self, level: int, partition: Sequence[Sequence[int]]) -> tuple[float, float]:
        """Largest dissimilarities in the groups of one branch point: their mean over groups, and over tasks."""
        largest = [self.diameter(level, group) for group in partition]
        by_task = math.fsum(d * len(group) for d, group in zip(largest, partition, strict=True))
        return math.fsum(largest) / len(largest), by_task / self.n

    def diameter(self, level: int, group: Sequence[int]) -> float:
        """Largest dissimilarity of two tasks of a group at a branch point; 0 for one task alone."""
        if len(group) == 1:
            return 0.0
        return float(self.dissimilarity[level][np.ix_(group, group)][np.triu_indices(len(group), 1)].max())

    def execution_cost(self, graph: TaskGraph) -> float:
        """Mean cost of a period over all orders of the tasks."""
        compute, load = graph.of_nodes(self.costs.compute), graph.of_nodes(self.costs.load)
        count = np.array([len(group) for _, group in graph.nodes], dtype=np.int64)
        return float(compute @ self.share_compute[count] + load @ self.share_load[count])

    def judge(self, answer: Plan | Groups) -> Judged:
        """Measure a task graph and say whether it keeps the limits.

        Raises
        ------
        PlanError
            A plan that is no task graph of the instance.
        """
        groups = (
            indexed_groups(answer.groups, self.tasks, self.levels)
            if isinstance(answer, Plan)
            else canonical_groups(answer)
        )
        measures = self.measures(groups)
        return Judged(
            decisions=groups,
            measures=measures,
            value=weighted(self.stages[0], measures),
            feasible=keeps_limits(measures, self.limits, self.sums_at_most),
        )

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it."""
        return Plan(
            problem="grouping",
            instance=self.instance.hash(),
            groups=named_groups(judged.decisions, self.tasks),
        )


def mean_visits(n: int, ordering: Ordering) -> tuple[FloatArray, FloatArray]:
    """How often a node that g of n tasks share is computed and loaded in a period, in the mean over all orders.

    In a random order a task is first with probability 1/n, and any other one comes right before it with the same
    probability. A node is entered whenever a task of it follows one that is not of it: g (n - g) / (n - 1) times where
    the order is closed, g (n - g) / n times within an open one; there the first task enters it once more with
    probability g / n.

    - closed, same input: entries, for computing and loading (all tasks in the node: none, it stays for ever);
    - closed, fresh input: computing as in an open order; loading as in a closed one;
    - open, cold: both as in an open order; open, warm: the first task loads nothing, and computes its path only if the
      input is fresh.

    Returns
    -------
    compute, load
        (n + 1,) by g.
    """
    g = np.arange(n + 1, dtype=float)
    around = g * (n - g) / (n - 1) if n > 1 else np.zeros(n + 1)
    within, first = g * (n - g) / max(n, 1), g / max(n, 1)
    if ordering.closed:
        return (around if ordering.input == "same" else within + first), around
    if ordering.start == "cold":
        return within + first, within + first
    return (within if ordering.input == "same" else within + first), within


def grouping_problem(instance: Instance, costs: BlockCosts | None = None) -> GroupingProblem:
    """The grouping problem of an instance.

    Parameters
    ----------
    costs
        What blocks cost; None: what the instance says, on its one device.

    Raises
    ------
    InstanceError
        The section `sharing` or its affinity is missing.

    Examples
    --------
    >>> from dnnplan.instances import Instance, Sharing, Task
    >>> tasks = tuple(Task(name=name, model="net") for name in "ab")
    >>> sharing = Sharing(branch_points=("stem",), affinity=(((1, 0.75), (0.75, 1)),))
    >>> problem = grouping_problem(Instance(objective="variety", tasks=tasks, sharing=sharing))
    >>> problem.judge((((0, 1),),)).measures["variety"], problem.judge((((0,), (1,)),)).measures["size"]
    (0.25, 2.0)
    """
    sharing = instance.sharing
    tasks = tuple(task.name for task in instance.effective_tasks())
    if sharing is None or not tasks:
        raise InstanceError(
            problems=[Problem("sharing", "missing, expected tasks and what they could share")]
        )
    costs = block_costs(instance) if costs is None else costs
    levels = costs.levels
    affinity = np.array(sharing.affinity, dtype=float).reshape(len(sharing.affinity), len(tasks), len(tasks))
    if levels and not sharing.affinity:
        # Without affinity there is nothing to lose by sharing: all tasks are alike.
        affinity = np.ones((levels, len(tasks), len(tasks)))
    apart = 1.0 - affinity
    rounded = (apart < 0) & (apart >= -AFFINITY_ROUNDING)
    share_compute, share_load = mean_visits(len(tasks), instance.ordering or Ordering())
    stages, limits = stages_of(instance, MEASURES, "grouping")
    return GroupingProblem(
        instance=instance,
        tasks=tasks,
        dissimilarity=np.where(rounded, 0.0, apart),
        costs=costs,
        share_compute=share_compute,
        share_load=share_load,
        stages=stages,
        limits=limits,
    )
