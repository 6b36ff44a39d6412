"""Task graphs and orders together as a mixed-integer linear programme, with the constraints of the CP-SAT model."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.joint import JointProblem
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.measures import measured
from dnnplan.formulations.grouping.milp import describe
from dnnplan.formulations.joint.milp import constraints
from dnnplan.formulations.joint.milp.cuts import add_cuts
from dnnplan.formulations.joint.milp.extract import extract
from dnnplan.formulations.joint.milp.objective import set_objective
from dnnplan.formulations.joint.milp.variables import Variables, create, create_order
from dnnplan.formulations.joint.rules import order_counts, require_plain
from dnnplan.formulations.mapping.milp.variables import BuildStoppedError

__all__ = ["Variables", "build", "extract"]


def build(
    problem: JointProblem, *, cutoff: float | None = None, keep_going: Callable[[], bool] = always
) -> Variables | None:
    """The model of the first stage of the objective.

    Parameters
    ----------
    cutoff
        Value that answers have to reach (that of an incumbent); None: any.
    keep_going
        Asked between constraints; False abandons the model (a time limit).

    Returns
    -------
    The variables with their model, or None if abandoned.

    Raises
    ------
    UnsupportedError
        An affinity above 1, or none for some pair of tasks; conditions; a memory that keeps more than one path.
    """
    require_plain(problem)
    v = create(problem, keep_going)
    try:
        describe_both(v)
        set_objective(v, cutoff)
        add_cuts(v, keep_going)
    except BuildStoppedError:
        return None
    return v


def describe_both(v: Variables) -> None:
    """All task graphs, and all orders where the order counts and there are precedences."""
    describe(v.graph, measured(v.problem))
    if order_counts(v.problem) and not v.problem.template.is_free:
        create_order(v)
        constraints.tasks_follow_each_other(v)
        constraints.precedences_hold(v)
