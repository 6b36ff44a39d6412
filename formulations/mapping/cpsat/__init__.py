"""Mapping and scheduling as a CP-SAT model; every layer is a call of its own."""

from __future__ import annotations

from collections.abc import Callable

from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.rounding import rounded_down
from dnnplan.formulations.mapping.cpsat import constraints, cuts, direct, host, live, loads, pairs
from dnnplan.formulations.mapping.cpsat.extract import extract, hint
from dnnplan.formulations.mapping.cpsat.objective import set_objective
from dnnplan.formulations.mapping.cpsat.variables import Variables, create_variables
from dnnplan.formulations.mapping.symmetry import symmetry_of, without_copies

__all__ = ["Variables", "build", "extract", "hint"]


def build(
    problem: MappingProblem,
    tick: float,
    *,
    horizon: float | None = None,
    proofs: bool = False,
    keep_going: Callable[[], bool] = lambda: True,
) -> Variables | None:
    """The model of a mapping problem, in ticks of `tick` seconds.

    Parameters
    ----------
    problem
        The view, in seconds; its costs are rounded down to ticks here.
    horizon
        Seconds by which every plan of interest ends; None: by which every reasonable plan ends.
    proofs
        Whether to add what only proofs need: cuts, and identical devices named in order (fewer plans, the same
        optimum; incumbents then fit after `symmetry.named_in_order` only).
    keep_going
        Asked between constraints; False abandons the model (a time limit).

    Returns
    -------
    The variables with their model, or None if abandoned.
    """
    symmetry = symmetry_of(problem) if proofs else None
    if symmetry is not None:
        problem = without_copies(problem, symmetry)
    rounded = rounded_down(problem, tick)
    variables = create_variables(rounded, problem, cp_model.CpModel(), horizon)
    variables.symmetry = symmetry
    staging = direct if problem.execution.staging == "direct" else host
    steps = [
        constraints.one_device_each,
        constraints.durations_follow_devices,
        constraints.colocated_layers_share_a_device,
        constraints.devices_run_one_call_a_slot,
        constraints.releases_and_precedences,
        staging.move_tensors,
        constraints.weights_fit,
        live.memory_fits_at_every_moment,
        constraints.jobs_complete,
        loads.makespan_covers_load,
        constraints.makespan_covers_critical_path,
        set_objective,
    ]
    if proofs:
        steps += [
            pairs.readers_wait_in_the_relaxation,
            cuts.identical_devices_are_named_in_order,
            cuts.devices_work_between_moments,
            cuts.ancestors_run_before_and_descendants_after,
        ]
    for step in steps:
        if not keep_going():
            return None
        step(variables)
    return variables
