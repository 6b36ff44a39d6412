"""Plans of grouping and ordering, judged from docs/cost-model.md, sections 9 to 11, alone."""

from __future__ import annotations

from collections.abc import Mapping

from dnnplan.costs.check.rules import Findings, exceeds
from dnnplan.costs.check.tasks.blocks import read_blocks
from dnnplan.costs.check.tasks.choice import check_choice
from dnnplan.costs.check.tasks.order import check_order, order_cost
from dnnplan.costs.check.tasks.task_graph import Tree, graph_measures, read_groups
from dnnplan.instances import Instance, Plan, Violation

__all__ = ["TASK_PROBLEMS", "check_tasks"]

TASK_PROBLEMS = ("grouping", "ordering", "joint")
FIGURES = 1e-6
"""Relative tolerance of stated measures: sums of other orders differ in the last digits."""


def check_tasks(
    instance: Instance, plan: Plan, *, measures: Mapping[str, float] | None = None
) -> tuple[Violation, ...]:
    """List every rule that a plan of grouping, ordering or both breaks.

    Parameters
    ----------
    measures
        What the answer claims; compared with what the decisions give.
    """
    found = Findings()
    if plan.instance and plan.instance != instance.hash():
        found.report("instance", "instance", "the plan was made for another instance")
    names = [task.name for task in instance.effective_tasks()]
    if plan.problem == "grouping" and (plan.candidates or _is_choice(instance)):
        own = check_choice(instance, plan, names, found)
    else:
        own = _of_tasks(instance, plan, names, found)
    for name, value in own.items():
        limit = getattr(instance.limits, name, None)
        if limit is not None and exceeds(value, limit):
            found.report("limit", name, f"{name} is {value:g}, the limit is {limit:g}", value - limit)
    for name, stated in (measures or {}).items():
        if name not in own:
            continue
        if exceeds(stated, own[name], FIGURES) or exceeds(own[name], stated, FIGURES):
            message = f"{name} is stated as {stated!r}, the decisions give {own[name]!r}"
            found.report("measure", name, message, abs(stated - own[name]))
    return tuple(found)


def _is_choice(instance: Instance) -> bool:
    """Whether the instance asks for networks to choose from."""
    return any(word in instance.objective for word in ("loss", "affinity"))


def _of_tasks(instance: Instance, plan: Plan, names: list[str], found: Findings) -> dict[str, float]:
    """Figures of a task graph, an order, or both; empty where the plan is not whole."""
    own: dict[str, float] = {}
    tree: Tree | None = None
    ordered = plan.problem in ("ordering", "joint")
    given = instance.ordering is not None and bool(instance.ordering.switch or instance.ordering.resources)
    if not (plan.problem == "ordering" and given):
        groups = plan.groups if plan.problem != "ordering" else _stated_groups(instance, plan, found)
        levels = read_groups(instance, groups, names, found)
        if levels is None:
            return own
        kind = "energy" if "energy" in instance.objective or instance.limits.energy is not None else "time"
        tree = Tree(names, levels, read_blocks(instance, names, len(levels), kind))
        if plan.problem != "ordering":
            time_tree = Tree(names, levels, read_blocks(instance, names, len(levels), "time"))
            own |= graph_measures(instance, time_tree)
    if ordered and check_order(instance, plan, names, found):
        cost = order_cost(instance, list(plan.task_order), tree, found)
        own |= {"switching": cost, "expected": cost}
        if instance.objective == "energy" or instance.limits.energy is not None:
            own["energy"] = cost
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
