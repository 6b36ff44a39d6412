"""Task graph, placement, order and transfers as one mixed-integer linear programme: the rows of the CP-SAT model."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.objectives import UNITS
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.milp import describe
from dnnplan.formulations.mapping.milp.variables import BuildStoppedError
from dnnplan.formulations.whole import copies
from dnnplan.formulations.whole.milp import constraints
from dnnplan.formulations.whole.milp.extract import extract
from dnnplan.formulations.whole.milp.objective import set_objective
from dnnplan.formulations.whole.milp.variables import Variables, create_variables

__all__ = ["Variables", "build", "extract", "supports"]


def supports(problem: WholeProblem) -> str | None:
    """Why the MILP does not cover a problem; None if it does.

    Examples
    --------
    >>> from dnnplan.costs.whole import whole_problem
    >>> from dnnplan.instances.generators import whole_instance
    >>> supports(whole_problem(whole_instance(2, 3, 2, seed=1)))
    """
    if reason := copies.supports(problem):
        return reason
    view = problem.mapping(problem.apart)
    execution = view.execution
    if execution.contention == "links":
        return "transfers queue for links"
    choice = view.host and execution.weights == "choice" and execution.memory != "none"
    if choice and view.weight_bytes.any():
        return "it is a decision which weights stay on their device"
    return None


def build(
    problem: WholeProblem,
    *,
    horizon: float | None = None,
    cutoff: float | None = None,
    keep_going: Callable[[], bool] = always,
) -> Variables | None:
    """The model of the first stage of the objective of a whole problem, which this room `supports`.

    Parameters
    ----------
    horizon
        Seconds by which every plan of interest ends; None: by which every reasonable plan ends.
    cutoff
        Value that plans have to reach (that of an incumbent); None: any.
    keep_going
        Asked between constraints; False abandons the model.

    Returns
    -------
    The variables with their model, or None if abandoned.
    """
    v = create_variables(problem, horizon, keep_going)
    steps: list[Callable[[Variables], None]] = [
        lambda v: describe(v.graph, v.measured - set(UNITS) - {"deadline"}),
        constraints.copies_have_one_device,
        constraints.copies_run_if_there,
        constraints.copies_stand_for_others,
        constraints.calls_last,
        constraints.devices_run_one_call_a_slot,
        constraints.products_of_placements,
        constraints.readers_wait_for_tensors,
        constraints.outputs_go_to_host,
        constraints.paths_bound_times,
        constraints.makespan_covers_load,
        constraints.weights_fit,
        lambda v: set_objective(v, cutoff),
    ]
    try:
        for step in steps:
            if not keep_going():
                return None
            step(v)
    except BuildStoppedError:
        return None
    return v
