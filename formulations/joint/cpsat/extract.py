"""From a solution of the CP-SAT model to a task graph and an order, and from these to a complete hint."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.joint import Answer as Decisions
from dnnplan.formulations.grouping.answer import Answer
from dnnplan.formulations.grouping.cpsat.extract import extract as extract_groups
from dnnplan.formulations.joint.cpsat.variables import Variables
from dnnplan.formulations.joint.rules import depth_first, some_order


def extract(v: Variables, value: Callable[[object], int]) -> Decisions:
    """The task graph and the order; where there are no precedences a depth-first one."""
    groups = extract_groups(v.graph, value)
    if v.place:
        return groups, tuple(sorted(range(v.problem.n), key=lambda a: value(v.place[a])))
    if not v.problem.template.is_free:
        return groups, some_order(v.problem)
    first = next((b for b, one in v.first.items() if value(one)), 0)
    return groups, depth_first(groups, v.problem.n, first)


def hint(v: Variables, decisions: Decisions) -> None:
    """Hint every variable."""
    answer = Answer(*decisions)
    v.model.clear_hints()
    for variable, recipe in v.graph.recipes:
        v.model.add_hint(variable, recipe(answer))
