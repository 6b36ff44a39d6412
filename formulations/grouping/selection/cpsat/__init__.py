"""Choosing networks as a CP-SAT model: a knapsack of candidates, and one of them for each task."""

from __future__ import annotations

from typing import Literal

from dnnplan.formulations.grouping.selection.cpsat import constraints
from dnnplan.formulations.grouping.selection.cpsat.extract import extract, hint
from dnnplan.formulations.grouping.selection.cpsat.objective import minimise, minimise_cost, minimise_number
from dnnplan.formulations.grouping.selection.cpsat.variables import Variables, create_variables
from dnnplan.formulations.grouping.selection.useful import Useful

__all__ = ["Variables", "build", "extract", "hint"]


def build(
    candidates: Useful, value: float | None = None, objective: Literal["score", "cost", "number"] = "score"
) -> Variables:
    """The model of all choices.

    Parameters
    ----------
    value
        What choices may be worth at most (that of an incumbent); None: any.
    objective
        What is minimised: the sum of scores, the cost of the candidates, or their number.
    """
    v = create_variables(candidates, value)
    constraints.each_task_takes_one(v)
    constraints.only_chosen_ones_are_taken(v)
    constraints.budget_is_kept(v)
    constraints.few_are_chosen(v)
    constraints.loss_is_kept(v)
    {"score": minimise, "cost": minimise_cost, "number": minimise_number}[objective](v)
    return v
