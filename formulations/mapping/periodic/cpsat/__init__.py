"""The least cycle as a CP-SAT model: placement, start within the cycle, and the length of the cycle itself."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.periodic import PeriodicProblem
from dnnplan.formulations.mapping.periodic.choices import Choices
from dnnplan.formulations.mapping.periodic.cpsat import constraints
from dnnplan.formulations.mapping.periodic.cpsat.extract import extract, hint
from dnnplan.formulations.mapping.periodic.cpsat.objective import safe_bound, set_objective
from dnnplan.formulations.mapping.periodic.cpsat.variables import Variables, create_variables

__all__ = ["Variables", "build", "extract", "hint", "safe_bound"]


def build(
    problem: PeriodicProblem,
    tick: float,
    *,
    shortest: float,
    longest: float,
    choices: Choices | None = None,
    keep_going: Callable[[], bool] = lambda: True,
) -> Variables | None:
    """The model in ticks of `tick` seconds.

    Parameters
    ----------
    shortest, longest
        Seconds: no cycle is shorter, and no longer one is of interest. If they are equal, the question is whether
        there is a plan of this very cycle, which is a whole number of ticks.
    choices
        By task, the placements of its layers of which one holds for all its jobs; None: any placement of any job.
    keep_going
        Asked between constraints; False abandons the model (a time limit).
    """
    variables = create_variables(problem, tick, shortest, longest)
    steps = [
        lambda v: constraints.one_device_each(v, choices),
        constraints.colocated_layers_share_a_device,
        constraints.starts_are_cycles_apart_from_their_place,
        constraints.devices_run_one_call_at_a_time,
        constraints.jobs_start_when_released,
        constraints.tensors_arrive,
        constraints.jobs_meet_deadlines,
        constraints.weights_fit,
        constraints.cycle_covers_load,
        constraints.windows_cover_load,
        constraints.jobs_cover_critical_path,
        set_objective,
    ]
    for step in steps:
        if not keep_going():
            return None
        step(variables)
    return variables
