"""Orders as a mixed-integer linear programme: which task comes before which, and a path for each set that runs."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.milp import constraints
from dnnplan.formulations.ordering.milp.extract import extract
from dnnplan.formulations.ordering.milp.objective import set_objective
from dnnplan.formulations.ordering.milp.variables import Variables, create
from dnnplan.formulations.ordering.rules import require_alike

__all__ = ["Variables", "build", "extract"]


def build(problem: OrderingProblem, *, keep_going: Callable[[], bool] = lambda: True) -> Variables | None:
    """The model, or None if it was abandoned because `keep_going` said so.

    Raises
    ------
    UnsupportedError
        Too many tasks, a memory for things of different sizes or in a closed order, or too many sets that can run.
    """
    require_alike(problem)
    v = create(problem)
    steps = [
        constraints.places_differ,
        constraints.precedences_hold,
        constraints.tasks_follow_each_other,
        constraints.steps_go_forward,
    ]
    if problem.closed:
        steps.append(constraints.periods_follow_each_other)
    if problem.tools is not None:
        steps += [
            constraints.needed_tools_are_held,
            constraints.memory_is_limited,
            constraints.tools_are_loaded,
        ]
    for step in (*steps, set_objective):
        if not keep_going():
            return None
        step(v)
    return v
