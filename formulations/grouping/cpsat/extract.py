"""From a solution of the CP-SAT model to a task graph, and from a task graph to a complete hint."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.grouping.answer import Answer, groups_from
from dnnplan.formulations.grouping.cpsat.variables import Variables

Value = Callable[[object], int]


def extract(v: Variables, value: Value) -> Groups:
    """The partition at each branch point, from a function that gives the value of a variable."""
    return groups_from(lambda level, i, j: bool(value(v.parted(level, i, j))), v.problem.n, v.problem.levels)


def hint(v: Variables, groups: Groups) -> None:
    """Hint every variable."""
    answer = Answer(groups)
    v.model.clear_hints()
    for variable, recipe in v.recipes:
        v.model.add_hint(variable, recipe(answer))
