"""Task graph, placement, order, transfers and memory as one CP-SAT model."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.grouping.cpsat import describe
from dnnplan.formulations.whole.cpsat import constraints, cuts
from dnnplan.formulations.whole.cpsat.extract import extract, hint
from dnnplan.formulations.whole.cpsat.objective import set_objective
from dnnplan.formulations.whole.cpsat.transfers import move_tensors
from dnnplan.formulations.whole.cpsat.variables import Variables, create_variables, graph_names

__all__ = ["Variables", "build", "extract", "hint"]


def build(
    problem: WholeProblem,
    tick: float,
    *,
    horizon: float | None = None,
    proofs: bool = True,
    keep_going: Callable[[], bool] = lambda: True,
) -> Variables | None:
    """The model of a whole problem, in ticks of `tick` seconds, which `copies.supports`.

    Parameters
    ----------
    horizon
        Seconds by which every plan of interest ends; None: by which every reasonable plan ends.
    proofs
        Whether to add what only proofs need: cuts, and what may be exchanged in order.
    keep_going
        Asked between constraints; False abandons the model.

    Returns
    -------
    The variables with their model, or None if abandoned.
    """
    v = create_variables(problem, tick, horizon)
    steps: list[Callable[[Variables], None]] = [
        lambda v: describe(v.graph, graph_names(v)),
        constraints.copies_stand_for_others,
        constraints.copies_run_if_there,
        constraints.devices_run_one_call_a_slot,
        constraints.calls_last_as_long_as_the_least,
        constraints.releases_and_makespan,
        move_tensors,
        constraints.weights_fit,
        cuts.makespan_covers_load,
        cuts.paths_bound_starts,
        set_objective,
    ]
    if proofs:
        steps += [
            cuts.devices_work_between_moments,
            cuts.paths_run_before_and_after,
            cuts.identical_devices_are_named_in_order,
            cuts.equal_tasks_end_in_order,
        ]
    for step in steps:
        if not keep_going():
            return None
        step(v)
    return v
