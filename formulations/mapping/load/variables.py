"""Variables of the load MILP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pulp

from dnnplan.formulations.mapping.load.groups import LoadProblem

Linear = Any
NEGLIGIBLE = 1e-8
"""Costs, relative to the cutoff, that are left out: the bound only gets lower by it."""


@dataclass(eq=False)
class Variables:
    """The decisions, and the sums that they make up.

    Parameters
    ----------
    cutoff
        Seconds in a unit of load.
    x
        x[g][d]: 1 if group g runs on device d, for the devices that it can run on within the cutoff.
    largest
        T, the largest load.
    receives, sends
        (tensor, device) -> 1 if the device receives it, (tensor, device) -> 1 if it sends it away.
    work, moves
        For each device the terms (coefficient, variable) of its compute and of its transfers.
    """

    loads: LoadProblem
    cutoff: float
    model: pulp.LpProblem
    x: list[dict[int, pulp.LpVariable]]
    largest: pulp.LpVariable
    receives: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    sends: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    work: list[list[tuple[float, Linear]]] = field(default_factory=list)
    moves: list[list[tuple[float, Linear]]] = field(default_factory=list)

    def on(self, group: int, device: int) -> Linear:
        """X of a group and a device; 0 where it cannot run."""
        return self.x[group].get(device, 0)


def create_variables(loads: LoadProblem, cutoff: float) -> Variables:
    """X and T, and what groups add to the load of their device whatever the others do."""
    model = pulp.LpProblem("load", pulp.LpMinimize)
    x = [
        {
            d: model.add_variable(f"x_{g}_{d}", cat=pulp.LpBinary)
            for d in range(loads.m)
            if loads.work[g, d] <= cutoff * (1 + 1e-9)
        }
        for g in range(loads.size)
    ]
    v = Variables(loads, cutoff, model, x, model.add_variable("T", 0, 1))
    v.work = [[] for _ in range(loads.m)]
    v.moves = [[] for _ in range(loads.m)]
    for g, row in enumerate(x):
        for d, variable in row.items():
            if loads.work[g, d] > NEGLIGIBLE * cutoff:
                v.work[d].append((float(loads.work[g, d]) / cutoff, variable))
            if loads.fixed[g, d] > NEGLIGIBLE * cutoff:
                v.moves[d].append((float(loads.fixed[g, d]) / cutoff, variable))
    return v
