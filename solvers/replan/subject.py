"""What is planned again: the mapping of an instance, or that of the network which a task graph leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from msgspec.structs import replace

from dnnplan.costs import Evaluation, MappingProblem, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.instances import Instance, Plan, UnsupportedError, Violation

Groups = tuple[tuple[tuple[str, ...], ...], ...]


class Subject(Protocol):
    """An instance, and the mapping that a plan of it decides."""

    def view(self) -> MappingProblem:
        """The mapping that is to be found."""

    def after(self, instance: Instance) -> Subject:
        """The same question about another instance."""

    def renamed(self, after: Subject) -> Mapping[str, str]:
        """New key of each layer whose key may change."""

    def plan_of(self, evaluation: Evaluation) -> Plan:
        """The plan as a file has it, with times."""

    def measures(self, evaluation: Evaluation) -> dict[str, float]:
        """Figures of a plan that is more than a mapping."""

    def violations(self, plan: Plan, evaluation: Evaluation) -> tuple[Violation, ...]:
        """What the independent judge says of a plan."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """The mapping of an instance."""

    instance: Instance

    def view(self) -> MappingProblem:
        """The mapping that is to be found."""
        return mapping_problem(self.instance)

    def after(self, instance: Instance) -> Mapped:
        """The same question about another instance."""
        return Mapped(instance=instance)

    def renamed(self, after: Subject) -> Mapping[str, str]:
        """Keys stay."""
        return {}

    def plan_of(self, evaluation: Evaluation) -> Plan:
        """The plan as a file has it, with times."""
        times = {name: (evaluation.starts[name], evaluation.ends[name]) for name in evaluation.starts}
        return replace(evaluation.plan, times=times)

    def measures(self, evaluation: Evaluation) -> dict[str, float]:
        """None: a mapping has costs."""
        return {}

    def violations(self, plan: Plan, evaluation: Evaluation) -> tuple[Violation, ...]:
        """What the independent judge says of a plan."""
        return check(self.instance, plan, cost=evaluation.cost)


@dataclass(frozen=True, kw_only=True, eq=False)
class Joint:
    """The mapping of the network that a task graph leaves; the groups stay, since their weights are trained.

    Parameters
    ----------
    groups
        Names of tasks, partition at each branch point.
    """

    instance: Instance
    groups: Groups

    @cached_property
    def whole(self) -> WholeProblem:
        """The view of the whole plan."""
        return whole_problem(self.instance)

    @cached_property
    def indexed(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The groups as indices of tasks."""
        from dnnplan.costs.sharing.graph import indexed_groups

        return indexed_groups(self.groups, self.whole.tasks, self.whole.levels)

    def view(self) -> MappingProblem:
        """The mapping that is to be found."""
        return self.whole.mapping(self.indexed)

    def after(self, instance: Instance) -> Joint:
        """The same question about another instance: tasks that are gone leave their groups."""
        left = {task.name for task in instance.effective_tasks()}
        levels = (
            tuple(tuple(task for task in group if task in left) for group in level) for level in self.groups
        )
        return Joint(
            instance=instance, groups=tuple(tuple(group for group in level if group) for level in levels)
        )

    def renamed(self, after: Subject) -> Mapping[str, str]:
        """Layers of a block have the name of one of its tasks, which may be gone: they correspond by their place."""
        assert isinstance(after, Joint)
        mine, other = self.view(), after.view()
        old, new = self.whole.layers(self.indexed), after.whole.layers(after.indexed)
        place = {task: t for t, task in enumerate(after.whole.tasks)}
        found: dict[str, str] = {}
        for blocks_old, blocks_new in zip(old, new, strict=False):
            for t, task in enumerate(self.whole.tasks):
                if task in place:
                    pairs = zip(blocks_old[t], blocks_new[place[task]], strict=False)
                    found.update((mine.layers[i], other.layers[j]) for i, j in pairs)
        return found

    def plan_of(self, evaluation: Evaluation) -> Plan:
        """The plan as a file has it: the mapping with the task graph and the order of the tasks."""
        return self.whole.plan(self.whole.judge((self.indexed, evaluation)))

    def measures(self, evaluation: Evaluation) -> dict[str, float]:
        """Figures of the task graph and of the mapping."""
        return self.whole.judge((self.indexed, evaluation)).measures

    def violations(self, plan: Plan, evaluation: Evaluation) -> tuple[Violation, ...]:
        """What the independent judge says of a plan."""
        return check(self.instance, plan, measures=self.measures(evaluation))


def subject(instance: Instance, plan: Plan) -> tuple[Subject, Evaluation]:
    """What a plan plans, and what it does on its instance.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    UnsupportedError
        A plan that re-planning does not cover.
    """
    if plan.problem not in ("mapping", "joint") or (plan.problem == "joint" and not plan.placement):
        raise UnsupportedError(
            f"replan changes plans that place layers, of problem 'mapping' or 'joint', this one is of {plan.problem!r} "
            f"{'' if plan.placement else 'without placement'}; solve the changed instance"
        )
    if instance.limits.calls_per_device is not None:
        raise UnsupportedError(
            "replan plans every layer as a call of its own, and limits.calls_per_device asks for calls of several "
            "layers; solve the changed instance"
        )
    found: Subject = Mapped(instance=instance)
    if plan.problem == "joint":
        found = Joint(instance=instance, groups=plan.groups)
    bare = replace(plan, problem="mapping", groups=(), task_order=())
    return found, evaluate(found.view(), bare)


def weights_renamed(
    held: Mapping[str, Sequence[str]], names: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Where weights are, by new names.

    Parameters
    ----------
    held
        Devices by ``model/layer``.
    names
        New key of each layer, ``task/job/layer``, of the one network of a task graph.
    """
    if not names:
        return {name: tuple(devices) for name, devices in held.items()}
    new = {_weights_of(old): _weights_of(key) for old, key in names.items()}
    found: dict[str, tuple[str, ...]] = {}
    for name, devices in held.items():
        key = new.get(name, name)
        found[key] = tuple(dict.fromkeys((*found.get(key, ()), *devices)))
    return found


def _weights_of(key: str) -> str:
    """``shared/layer`` of ``shared/0/layer``: task and network of a task graph have one name."""
    task, _, layer = key.split("/", 2)
    return f"{task}/{layer}"
