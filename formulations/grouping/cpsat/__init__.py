"""Task graphs as a CP-SAT model: pairs of tasks that have parted, a clique partition at each branch point."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ortools.sat.python import cp_model

from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.cpsat import constraints
from dnnplan.formulations.grouping.cpsat.cuts import add_cuts
from dnnplan.formulations.grouping.cpsat.extract import extract, hint
from dnnplan.formulations.grouping.cpsat.objective import set_objective
from dnnplan.formulations.grouping.cpsat.variables import Variables, create_variables
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.measures import measured

__all__ = ["Variables", "build", "describe", "extract", "hint"]


def build(problem: GroupingProblem, *, keep_going: Callable[[], bool] = always) -> Variables | None:
    """The model of the first stage of the objective.

    Parameters
    ----------
    keep_going
        Asked between constraints; False abandons the model (a time limit).

    Returns
    -------
    The variables with their model, or None if abandoned.

    Raises
    ------
    UnsupportedError
        An affinity above 1, or none for some pair of tasks.
    """
    v = create_variables(problem, cp_model.CpModel(), keep_going)
    for step in (lambda v: describe(v, measured(problem)), set_objective, lambda v: add_cuts(v, keep_going)):
        if not keep_going():
            return None
        step(v)
    return v


def describe(v: Variables, names: Collection[str]) -> None:
    """All task graphs, with what measures of these names need."""
    constraints.tasks_that_part_stay_apart(v)
    constraints.together_is_transitive(v)
    constraints.groups_are_counted(v)
    if "variety" in names:
        constraints.variety_is_a_mean_over_groups(v)
    if "task_variety" in names:
        constraints.tasks_see_the_largest_dissimilarity(v)
