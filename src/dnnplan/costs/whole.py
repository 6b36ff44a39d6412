"""The view of the whole plan: a task graph, and the mapping of the network that it gives (docs/cost-model.md, 13)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from msgspec.structs import replace as with_members

from dnnplan.costs.decisions import Decisions
from dnnplan.costs.evaluate import Evaluation, evaluate
from dnnplan.costs.judged import Judged, Terms, keeps_limits, stages_of, weighted
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.objectives import UNITS, is_feasible, measure
from dnnplan.costs.resolve import mapping_problem
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.expand import expand, layers_by_block, levels_of, stem_and_head
from dnnplan.costs.sharing.graph import Groups, canonical_groups, indexed_groups, named_groups
from dnnplan.costs.sharing.grouping import MEASURES as GRAPH_MEASURES
from dnnplan.costs.sharing.grouping import GroupingProblem, grouping_problem
from dnnplan.instances import Instance, InstanceError, Limits, Plan, Problem

MAPPING_LIMITS = ("deadline", "calls_per_device", "switches")
"""Limits of mappings that are no measures."""
Answer = tuple[Groups, Plan | Decisions | Evaluation]
"""A task graph, and a mapping of the network that it gives."""


Rows = tuple[tuple[tuple[int, ...], ...], ...]
"""Layers by block and task."""
MOST_KEPT = 1_000
"""Task graphs whose views are kept; a search may see very many."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WholeAnswer:
    """A judged answer as indices: the task graph, its mapping, and the tasks in the order in which they end."""

    groups: Groups
    evaluation: Evaluation
    task_order: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class WholeProblem:
    """Which tasks share which blocks, and where and when what is left runs.

    Without a section `sharing` nothing can be shared: the task graph is empty, and the network that is mapped is the
    instance itself. Otherwise it is that of `expand`, with one job of the task ``shared``.

    Parameters
    ----------
    grouping
        The task graph alone, with its limits; costs of blocks are those of `best_device`. None: nothing can be shared.
    networks
        Views of the networks that task graphs give, without stage and limits; stages of one objective share them.
    """

    instance: Instance
    tasks: tuple[str, ...]
    grouping: GroupingProblem | None
    stages: tuple[Terms, ...]
    limits: dict[str, float]
    sums_at_most: tuple[tuple[Terms, float], ...] = ()
    sense: str = field(default="min", init=False)
    networks: dict[Groups, MappingProblem] = field(default_factory=dict, repr=False)
    views: dict[Groups, MappingProblem] = field(default_factory=dict, repr=False, init=False)
    rows: dict[Groups, Rows] = field(default_factory=dict, repr=False, init=False)

    @property
    def n(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def levels(self) -> int:
        """Number of branch points."""
        return 0 if self.grouping is None else self.grouping.levels

    @property
    def mapping_stage(self) -> Terms:
        """The part of the objective that is about the mapping; ``latency`` where it has none."""
        return mapping_terms(self.stages[0]) or (("latency", 1.0),)

    @property
    def apart(self) -> Groups:
        """The task graph in which nothing is shared but a stem."""
        return (tuple((t,) for t in range(self.n)),) * self.levels

    def layers(self, groups: Groups) -> Rows:
        """Layers of each block of each task as indices of `mapping(groups)`; empty if nothing can be shared.

        Layers of a block correspond by their place in it, whatever the task graph: so a placement carries over.
        """
        if not self.levels:
            return ()
        groups = canonical_groups(groups)
        if groups not in self.rows:
            forget(self.rows)
            index = layer_index(self.mapping(groups))
            names = layers_by_block(self.instance, named_groups(groups, self.tasks))
            self.rows[groups] = tuple(
                tuple(tuple(index[name] for name in cell) for cell in row) for row in names
            )
        return self.rows[groups]

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""
        if name in UNITS:
            return UNITS[name]
        return None if self.grouping is None else self.grouping.unit(name)

    def mapping(self, groups: Groups) -> MappingProblem:
        """The mapping that is left to find when the task graph is known, with the limits of mappings.

        Its stage is `mapping_stage`. Of earlier stages it keeps what is left for the mapping: their values without
        the terms of this task graph.
        """
        groups = canonical_groups(groups)
        if groups not in self.views:
            if groups not in self.networks:
                forget(self.networks)
                self.networks[groups] = mapping_problem(mapping_instance(self.instance, self.tasks, groups))
            forget(self.views)
            self.views[groups] = replace(
                self.networks[groups],
                stages=(self.mapping_stage,),
                limits=mapping_limits(self.limits),
                sums_at_most=self._sums(groups),
            )
        return self.views[groups]

    def _sums(self, groups: Groups) -> tuple[tuple[Terms, float], ...]:
        """What earlier stages leave for the mapping of a task graph."""
        if not any(mapping_terms(terms) for terms, _ in self.sums_at_most):
            return ()
        known = {} if self.grouping is None else self.grouping.measures(groups)
        found = []
        for terms, limit in self.sums_at_most:
            rest = tuple((name, weight) for name, weight in terms if name not in UNITS)
            if mapping := mapping_terms(terms):
                found.append((mapping, limit - weighted(rest, known)))
        return tuple(found)

    def judge(self, answer: Plan | Answer | WholeAnswer) -> Judged:
        """Measure a task graph with a mapping, and say whether they keep all limits.

        Raises
        ------
        PlanError
            A plan that does not fit the instance, or cannot run.
        """
        mapping: Plan | Decisions | Evaluation
        if isinstance(answer, Plan):
            groups = indexed_groups(answer.groups, self.tasks, self.levels)
            mapping = with_members(answer, problem="mapping", groups=(), task_order=(), instance="")
        elif isinstance(answer, WholeAnswer):
            groups, mapping = answer.groups, answer.evaluation
        else:
            groups, mapping = canonical_groups(answer[0]), answer[1]
        view = self.mapping(groups)
        found = mapping if isinstance(mapping, Evaluation) else evaluate(view, mapping)
        measures = {} if self.grouping is None else self.grouping.measures(groups)
        measures |= {name: measure(name, found.cost) for name in UNITS}
        value = weighted(self.stages[0], measures)
        return Judged(
            decisions=WholeAnswer(groups=groups, evaluation=found, task_order=self._order(groups, found)),
            measures=measures,
            value=value,
            feasible=math.isfinite(value)
            and is_feasible(found)
            and keeps_limits(measures, self.limits, self.sums_at_most),
        )

    def _order(self, groups: Groups, found: Evaluation) -> tuple[int, ...]:
        """Tasks in the order in which their last layers end; ties as they are listed."""
        end = np.zeros(self.n)
        ends = {i: found.end[c] for c, layers in enumerate(found.decisions.calls) for i in layers}
        if self.levels:
            for row in self.layers(groups):
                end = np.maximum(end, [max((ends[i] for i in cell), default=0.0) for cell in row])
        else:
            task_of = {name: t for t, name in enumerate(self.tasks)}
            for i, name in enumerate(found.problem.layers):
                t = task_of[name.split("/", 1)[0]]
                end[t] = max(end[t], ends[i])
        return tuple(sorted(range(self.n), key=lambda t: (end[t], t)))

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it: that of the mapping, with the task graph and the order of the tasks."""
        answer: WholeAnswer = judged.decisions
        evaluation = answer.evaluation
        times = {name: (evaluation.starts[name], evaluation.ends[name]) for name in evaluation.starts}
        return with_members(
            evaluation.plan,
            problem="joint",
            instance=self.instance.hash(),
            groups=named_groups(answer.groups, self.tasks),
            task_order=tuple(self.tasks[t] for t in answer.task_order),
            times=times,
        )


def forget(kept: dict[Groups, Any]) -> None:
    """Make room for one more entry: the oldest goes, but the very first one, which searches begin with, stays."""
    if len(kept) >= MOST_KEPT:
        kept.pop(list(kept)[1], None)


def mapping_instance(instance: Instance, tasks: tuple[str, ...], groups: Groups) -> Instance:
    """The instance that is mapped once a task graph is chosen, without limits; the instance itself if there is none."""
    bare = with_members(instance, objective="latency", limits=Limits())
    if not groups:
        return with_members(bare, sharing=None, ordering=None)
    return expand(bare, named_groups(groups, tasks))


def mapping_terms(terms: Terms) -> Terms:
    """The terms of a weighted sum that are measures of mappings."""
    return tuple((name, weight) for name, weight in terms if name in UNITS)


def mapping_limits(limits: dict[str, float]) -> dict[str, float]:
    """The limits that mappings keep."""
    return {name: value for name, value in limits.items() if name in UNITS or name in MAPPING_LIMITS}


def whole_problem(instance: Instance) -> WholeProblem:
    """The whole problem of an instance: its tasks, what they could share, and its platform.

    Raises
    ------
    InstanceError
        There is no task or no platform.
    UnsupportedError
        Tasks that could share have releases, periods, deadlines or batches of their own.
    """
    tasks = tuple(task.name for task in instance.effective_tasks())
    if not tasks:
        raise InstanceError(problems=[Problem("tasks", "missing, expected tasks or networks to plan")])
    stages, limits = stages_of(
        instance, (*GRAPH_MEASURES, *UNITS), "task graph and mapping together", MAPPING_LIMITS
    )
    grouping = None
    networks: dict[Groups, MappingProblem] = {}
    if levels_of(instance):
        apart: Groups = (tuple((t,) for t in range(len(tasks))),) * levels_of(instance)
        networks[apart] = mapping_problem(mapping_instance(instance, tasks, apart))
        alone = with_members(instance, objective="variety", limits=Limits())
        grouping = grouping_problem(alone, costs=costs_on_best_device(alone, networks[apart]))
        grouping = replace(grouping, limits={k: v for k, v in limits.items() if k in GRAPH_MEASURES})
    return WholeProblem(
        instance=instance,
        tasks=tasks,
        grouping=grouping,
        stages=stages,
        limits=limits,
        networks=networks,
    )


def costs_on_best_device(instance: Instance, apart: MappingProblem) -> BlockCosts:
    """Blocks of every task on the one device that runs all of them fastest: what one device would order and share.

    Where no device can run everything, each layer counts on its fastest device (ours).

    Parameters
    ----------
    apart
        The view of the network in which nothing is shared.
    """
    by_block = layers_by_block(instance)
    index = layer_index(apart)
    total = apart.duration.sum(axis=0)
    one = np.isfinite(total).any()
    best = np.full(apart.n, int(np.argmin(total))) if one else np.argmin(apart.duration, axis=1)
    rows = np.arange(apart.n)
    figures = apart.weight_bytes, apart.duration[rows, best], apart.load[rows, best]
    size, compute, load = (
        np.array([[sum(float(f[index[name]]) for name in names) for names in row] for row in by_block])
        for f in figures
    )
    stem, head = stem_and_head(instance)
    return BlockCosts(bytes=size, compute=compute, load=load, stem=stem, head=head, unit="s")


def layer_index(view: MappingProblem) -> dict[str, int]:
    """Index of each layer by its name in the network, without task and job."""
    return {name.split("/", 2)[2]: i for i, name in enumerate(view.layers)}
