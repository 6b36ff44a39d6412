"""Task graphs as a mixed-integer linear programme: the same decisions and constraints as in the CP-SAT model."""

from __future__ import annotations

from collections.abc import Callable, Collection

from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.measures import measured
from dnnplan.formulations.grouping.milp import constraints
from dnnplan.formulations.grouping.milp.cuts import add_cuts
from dnnplan.formulations.grouping.milp.extract import extract
from dnnplan.formulations.grouping.milp.objective import set_objective
from dnnplan.formulations.grouping.milp.variables import Variables, create_variables
from dnnplan.formulations.mapping.milp.variables import BuildStoppedError

__all__ = ["Variables", "build", "describe", "extract"]


def build(
    problem: GroupingProblem, *, cutoff: float | None = None, keep_going: Callable[[], bool] = always
) -> Variables | None:
    """The model of the first stage of the objective.

    Parameters
    ----------
    cutoff
        Value that task graphs have to reach (that of an incumbent); None: any.
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
    v = create_variables(problem, keep_going)
    try:
        describe(v, measured(problem))
        set_objective(v, cutoff)
        add_cuts(v, keep_going)
    except BuildStoppedError:
        return None
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
