"""The mixed-integer linear programme of mapping and scheduling.

Assignment of unrelated machines with disjunctive constraints (Manne 1960; Pinedo, Scheduling, 2016, ch.
4.6), communication as products of assignments (Adams and Johnson 1994), transfers as activities of their
own where they queue or fill memory. Everything is linear in the units that `Variables` chooses.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pulp

from dnnplan.costs.mapping import MappingProblem
from dnnplan.formulations.mapping.milp import channels, constraints, direct, host, memory
from dnnplan.formulations.mapping.milp.extract import Values, extract
from dnnplan.formulations.mapping.milp.objective import OBJECTIVES, minimise
from dnnplan.formulations.mapping.milp.variables import BuildStoppedError, Variables, create_variables
from dnnplan.formulations.mapping.symmetry import symmetry_of, without_copies
from dnnplan.instances import Plan

__all__ = [
    "OBJECTIVES",
    "BuildStoppedError",
    "Model",
    "Values",
    "build",
    "extract",
    "write_lp",
    "write_mps",
]


@dataclass(frozen=True, eq=False)
class Model:
    """A built model.

    Parameters
    ----------
    variables
        The decisions, and the PuLP problem in `variables.model`.
    unit
        Value of one unit of the model's objective, in that of the instance.
    """

    variables: Variables
    unit: float

    @property
    def pulp(self) -> pulp.LpProblem:
        """The model for any solver that PuLP knows."""
        return self.variables.model

    def plan(self, values: dict[str, float]) -> Plan | None:
        """The plan of a solution (value by variable name)."""
        return extract(self.variables, Values(values))


def build(
    problem: MappingProblem,
    *,
    horizon: float | None = None,
    cutoff: float | None = None,
    ordered: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Model:
    """The MILP of the first stage of the objective.

    Parameters
    ----------
    horizon
        Seconds after which nothing happens in any plan that matters (the makespan of an incumbent, when only
        latency counts); None: a bound that always holds.
    cutoff
        Value that plans have to reach (that of an incumbent); None: any.
    ordered
        Whether identical devices are named in order (`mapping.symmetry`): fewer plans, the same optimum.
    stop
        Asked often while building.

    Raises
    ------
    BuildStoppedError
        `stop` said so.
    UnsupportedError
        The objective or a limit is not linear.
    """
    symmetry = symmetry_of(problem) if ordered else None
    if symmetry is not None:
        problem = without_copies(problem, symmetry)
    v = create_variables(problem, horizon, stop)
    constraints.one_device_each(v)
    if symmetry is not None:
        constraints.identical_devices_are_named_in_order(v, symmetry)
    constraints.colocated_layers_share_a_device(v)
    constraints.products_of_placements(v)
    constraints.one_call_a_slot(v)
    if problem.execution.staging == "direct":
        direct.tensors_are_sent(v)
    else:
        host.tensors_go_through_the_host(v)
    channels.weights_are_loaded(v)
    memory.weights_fit(v)
    if v.overlap:
        constraints.calls_compute_while_they_load(v)
    else:
        constraints.calls_run_their_steps(v)
    if problem.execution.staging == "direct":
        direct.sends_start_when_tensors_are_there(v)
        direct.readers_wait_for_sends(v)
    else:
        if v.overlap:
            host.host_transfers_start_in_turn(v)
        host.readers_wait_for_reads(v)
    constraints.precedences_hold(v)
    constraints.jobs_complete(v)
    constraints.makespan_covers_load(v)
    constraints.times_follow_critical_paths(v)
    if v.contended:
        channels.one_transfer_a_channel(v)
        channels.makespan_covers_channels(v)
    memory.memories_hold_what_is_resident(v)
    unit = minimise(v, cutoff)
    memory.events_are_ordered(v)
    return Model(v, unit)


def write_lp(problem: MappingProblem, path: str | os.PathLike[str]) -> None:
    """Write the model as an LP file."""
    build(problem).pulp.writeLP(os.fspath(path))


def write_mps(problem: MappingProblem, path: str | os.PathLike[str]) -> None:
    """Write the model as an MPS file."""
    build(problem).pulp.writeMPS(os.fspath(path))
