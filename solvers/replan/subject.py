"""What is planned again: the instance of a mapping, or the network that a task graph leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from dnnplan.costs import Evaluation, MappingProblem, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.instances import Instance, Plan, UnsupportedError, Violation


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """An instance and a plan of mapping for it.

    Parameters
    ----------
    plan
        None for the instance after the events, for which there is no plan yet.
    """

    instance: Instance
    plan: Plan | None = None

    def view(self) -> MappingProblem:
        """The mapping that is to be found."""
        return mapping_problem(self.instance)

    def evaluation(self) -> Evaluation:
        """What the plan does on its instance."""
        assert self.plan is not None
        return evaluate(self.view(), self.plan)

    def after(self, instance: Instance) -> Subject:
        """The same question about another instance."""
        return Subject(instance=instance)

    def renamed(self, after: Subject) -> Mapping[str, str]:
        """New key of each layer whose key changes."""
        return {}

    def held(self, held: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """Where weights are, by their names in this subject."""
        return held

    def plan_of(self, evaluation: Evaluation) -> Plan:
        """The plan as a file has it, with times."""
        times = {name: (evaluation.starts[name], evaluation.ends[name]) for name in evaluation.starts}
        return replace(evaluation.plan, times=times)

    def violations(self, plan: Plan, evaluation: Evaluation) -> tuple[Violation, ...]:
        """What the independent judge says of a plan."""
        return check(self.instance, plan, cost=evaluation.cost)


def subject(instance: Instance, plan: Plan) -> Subject:
    """What a plan plans.

    Raises
    ------
    UnsupportedError
        A plan that re-planning does not cover.
    """
    if plan.problem != "mapping":
        raise UnsupportedError(
            f"replan changes plans of problem 'mapping', this one is of {plan.problem!r}; solve the changed instance"
        )
    if instance.limits.calls_per_device is not None:
        raise UnsupportedError(
            "replan plans every layer as a call of its own, and limits.calls_per_device asks for calls of several layers; "
            "solve the changed instance"
        )
    return Subject(instance=instance, plan=plan)
