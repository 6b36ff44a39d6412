"""Plans of grouping and ordering, judged from docs/cost-model.md, sections 9 to 11, alone."""

from __future__ import annotations

from collections.abc import Mapping

from dnnplan.costs.check.limits import as_number
from dnnplan.costs.check.rules import Findings, exceeds
from dnnplan.costs.check.tasks.blocks import read_blocks
from dnnplan.costs.check.tasks.choice import check_choice
from dnnplan.costs.check.tasks.order import check_order, order_cost
from dnnplan.costs.check.tasks.refuse import (
    cost_of_order,
    missing,
    names_of,
    require_limits,
    require_order,
    score_of_choice,
)
from dnnplan.costs.check.tasks.task_graph import Tree, graph_measures, read_groups
from dnnplan.instances import Instance, ObjectiveValue, Plan, Violation

__all__ = ["TASK_PROBLEMS", "check_stated", "check_tasks"]

TASK_PROBLEMS = ("grouping", "ordering", "joint")
FIGURES = 1e-6
"""Relative tolerance of stated measures: sums of other orders differ in the last digits."""


def check_tasks(
    instance: Instance,
    plan: Plan,
    *,
    measures: Mapping[str, float] | None = None,
    objective: ObjectiveValue | None = None,
) -> tuple[Violation, ...]:
    """List every rule that a plan of grouping, ordering or both breaks.

    Parameters
    ----------
    measures, objective
        What the answer claims; compared with what the decisions give.

    Raises
    ------
    InstanceError
        The instance lacks what such a plan is judged against.
    UnsupportedError
        A cost that cannot be worked out, or a limit that is not one of such plans.
    """
    found = Findings()
    if plan.instance and plan.instance != instance.hash():
        found.report("instance", "instance", "the plan was made for another instance")
    names = [task.name for task in instance.effective_tasks()]
    stated = set(measures or ()) | (set() if objective is None else names_of(objective.name))
    if plan.problem == "grouping" and (plan.candidates or _is_choice(instance)):
        require_limits(instance, "selection")
        own = check_choice(instance, plan, names, found, score_of_choice(instance, stated))
    else:
        require_limits(instance, plan.problem)
        ordered = plan.problem in ("ordering", "joint")
        own = _of_tasks(instance, plan, names, found, cost_of_order(instance, stated) if ordered else "time")
    for name, value in own.items():
        limit = getattr(instance.limits, name, None)
        if limit is not None and exceeds(value, limit):
            found.report("limit", name, f"{name} is {value:g}, the limit is {limit:g}", value - limit)
    if own:
        check_stated(own, measures or {}, objective, found)
    return tuple(found)


def check_stated(
    own: dict[str, float],
    measures: Mapping[str, float],
    objective: ObjectiveValue | None,
    found: Findings,
) -> None:
    """Rules `measure` and `objective`: what an answer claims against figures of the decisions."""
    for name, stated in measures.items():
        if name not in own:
            found.report("measure", name, f"{name} is stated, and no figure of such a plan")
        elif _differ(stated, own[name]):
            message = f"{name} is stated as {stated!r}, the decisions give {own[name]!r}"
            found.report("measure", name, message, abs(stated - own[name]))
    if objective is None:
        return
    if objective.value is None:
        found.report(
            "objective", objective.name, f"objective {objective.name} has no value although there is a plan"
        )
        return
    total = 0.0
    for term in objective.name.split(">")[0].split(","):
        name, _, weight = (part.strip() for part in term.partition("="))
        if name not in own:
            known = ", ".join(sorted(own))
            found.report("objective", objective.name, f"unknown objective {name!r}; known: {known}")
            return
        total += own[name] * as_number(weight or "1")
    if _differ(objective.value, total):
        message = f"{objective.name} is stated as {objective.value!r}, the decisions give {total!r}"
        found.report("objective", objective.name, message, abs(objective.value - total))


def _differ(stated: float, own: float) -> bool:
    return exceeds(stated, own, FIGURES) or exceeds(own, stated, FIGURES)


def _is_choice(instance: Instance) -> bool:
    """Whether the instance asks for networks to choose from."""
    return bool(names_of(instance.objective) & {"loss", "affinity"})


def _of_tasks(
    instance: Instance, plan: Plan, names: list[str], found: Findings, kind: str = "time"
) -> dict[str, float]:
    """Figures of a task graph, an order (whose cost is of a kind), or both; empty where the plan is not whole."""
    own: dict[str, float] = {}
    tree: Tree | None = None
    ordered = plan.problem in ("ordering", "joint")
    if ordered:
        require_order(instance, plan.problem)
    elif instance.sharing is None:
        raise missing("sharing", "what tasks could share")
    given = instance.ordering is not None and bool(instance.ordering.switch or instance.ordering.resources)
    if not (plan.problem == "ordering" and given):
        groups = plan.groups if plan.problem != "ordering" else _stated_groups(instance, plan, found)
        levels = read_groups(instance, groups, names, found)
        if levels is None:
            return own
        tree = Tree(names, levels, read_blocks(instance, names, len(levels), kind))
        if plan.problem != "ordering":
            time_tree = Tree(names, levels, read_blocks(instance, names, len(levels), "time"))
            own |= graph_measures(instance, time_tree)
    if ordered and check_order(instance, plan, names, found):
        cost = order_cost(instance, list(plan.task_order), tree, found)
        own |= {"energy": cost} if kind == "energy" else {"switching": cost, "expected": cost}
    return own


def _stated_groups(
    instance: Instance, plan: Plan, found: Findings
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The task graph of an instance whose tasks are only ordered; a plan may repeat it."""
    stated = instance.sharing.groups if instance.sharing is not None else ()

    def as_sets(groups: tuple[tuple[tuple[str, ...], ...], ...]) -> list[set[frozenset[str]]]:
        return [{frozenset(group) for group in level} for level in groups]

    if plan.groups and as_sets(plan.groups) != as_sets(stated):
        found.report(
            "groups", "groups", "the plan has another task graph than the instance whose tasks it orders"
        )
    return stated
