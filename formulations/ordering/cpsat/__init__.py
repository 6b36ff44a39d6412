"""Orders as a CP-SAT model: a circuit for each set of tasks that runs, linked by the places of the tasks."""

from __future__ import annotations

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.cpsat import constraints
from dnnplan.formulations.ordering.cpsat.extract import extract, hint
from dnnplan.formulations.ordering.cpsat.objective import set_objective
from dnnplan.formulations.ordering.cpsat.variables import Variables, create
from dnnplan.formulations.ordering.rules import require_alike

__all__ = ["Variables", "build", "extract", "hint"]


def build(problem: OrderingProblem) -> Variables:
    """The model.

    Raises
    ------
    UnsupportedError
        A memory for things of different sizes or in a closed order, or too many sets of tasks that can run.
    """
    require_alike(problem)
    v = create(problem)
    constraints.places_differ(v)
    constraints.precedences_hold(v)
    constraints.tasks_follow_each_other(v)
    constraints.steps_go_forward(v)
    if problem.closed:
        constraints.periods_follow_each_other(v)
    if problem.tools is not None:
        constraints.needed_tools_are_held(v)
        constraints.memory_is_limited(v)
        constraints.tools_are_loaded(v)
    set_objective(v)
    return v
