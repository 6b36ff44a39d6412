"""Task graphs and orders together as a CP-SAT model.

Since blocks are laminar, a step from one task to the next pays, at each branch point, for the node of the second task
if the two have parted there. Where there are no precedences no order is modelled at all (`depth_first`).
"""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.joint import JointProblem
from dnnplan.formulations.grouping.cpsat import describe
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.measures import measured
from dnnplan.formulations.joint.cpsat import constraints
from dnnplan.formulations.joint.cpsat.cuts import add_cuts
from dnnplan.formulations.joint.cpsat.extract import extract, hint
from dnnplan.formulations.joint.cpsat.objective import set_objective
from dnnplan.formulations.joint.cpsat.variables import Variables, create, create_order
from dnnplan.formulations.joint.rules import order_counts, require_plain

__all__ = ["Variables", "build", "extract", "hint"]


def build(problem: JointProblem, *, keep_going: Callable[[], bool] = always) -> Variables | None:
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
        An affinity above 1, or none for some pair of tasks; conditions; a memory that keeps more than one path.
    """
    require_plain(problem)
    v = create(problem, keep_going)
    for step in (describe_both, set_objective, lambda v: add_cuts(v, keep_going)):
        if not keep_going():
            return None
        step(v)
    return v


def describe_both(v: Variables) -> None:
    """All task graphs, and all orders where the order counts and there are precedences."""
    describe(v.graph, measured(v.problem))
    if order_counts(v.problem) and not v.problem.template.is_free:
        create_order(v)
        constraints.tasks_follow_each_other(v)
        constraints.precedences_hold(v)
