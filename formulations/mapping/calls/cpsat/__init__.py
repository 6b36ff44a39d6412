"""Latency with at most q calls on an accelerator as a CP-SAT model (Tarnawski et al., NeurIPS 2020, section 4).

Layers of one label are a call; the host runs all others one by one. With q = 1 the model is exact and its bound holds.
With q > 1 it has only plans in which a copy of a tensor is not kept from one call of a device to the next, and
in which colocated layers share a call: a restriction, whose plans count and whose bound does not.
"""

from __future__ import annotations

from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.rounding import rounded_down
from dnnplan.formulations.mapping.calls.cpsat import constraints
from dnnplan.formulations.mapping.calls.cpsat.extract import extract, hint
from dnnplan.formulations.mapping.calls.cpsat.objective import minimise_latency
from dnnplan.formulations.mapping.calls.cpsat.variables import CallVariables, create_variables

__all__ = ["CallVariables", "build", "extract", "hint"]


def build(problem: MappingProblem, tick: float, *, horizon: float, proofs: bool = False) -> CallVariables:
    """The model of a problem to which `dnnplan.formulations.mapping.calls.applies`, in ticks of `tick` seconds.

    Parameters
    ----------
    horizon
        Seconds by which every plan of interest ends.
    proofs
        With what only proofs need: an order of identical devices.
    """
    v = create_variables(problem, rounded_down(problem, tick), cp_model.CpModel(), horizon)
    constraints.one_place_each(v)
    constraints.weights_fit(v)
    constraints.calls_move_what_crosses(v)
    constraints.calls_last(v)
    constraints.layers_wait_for_producers(v)
    constraints.calls_are_convex(v)
    constraints.calls_of_a_device_in_turn(v)
    if proofs:
        constraints.identical_devices_in_order(v)
    minimise_latency(v)
    return v
