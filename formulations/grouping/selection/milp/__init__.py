"""Choosing networks as a mixed-integer linear programme: a knapsack of candidates, and one of them for each task."""

from __future__ import annotations

from dnnplan.formulations.grouping.selection.milp import constraints
from dnnplan.formulations.grouping.selection.milp.extract import extract
from dnnplan.formulations.grouping.selection.milp.objective import minimise
from dnnplan.formulations.grouping.selection.milp.variables import Variables, create_variables
from dnnplan.formulations.grouping.selection.useful import Useful

__all__ = ["Variables", "build", "extract"]


def build(candidates: Useful, value: float | None = None) -> Variables:
    """The model of all choices of at most a value (that of an incumbent); None: of any value."""
    v = create_variables(candidates, value)
    constraints.each_task_takes_one(v)
    constraints.only_chosen_ones_are_taken(v)
    constraints.budget_is_kept(v)
    constraints.few_are_chosen(v)
    constraints.loss_is_kept(v)
    minimise(v)
    return v
