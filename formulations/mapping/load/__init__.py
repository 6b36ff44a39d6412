"""The compact mixed-integer linear programme of ``max_load``: which group runs on which device, without times.

The non-contiguous integer programme of Tarnawski et al. (NeurIPS 2020, section 6), with groups of colocated layers, one
indicator a device for each tensor that comes in or goes out, and identical devices told apart by the order in which the
heaviest groups use them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulp

from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.load import constraints
from dnnplan.formulations.mapping.load.extract import extract
from dnnplan.formulations.mapping.load.groups import LoadProblem, load_problem
from dnnplan.formulations.mapping.load.objective import minimise
from dnnplan.formulations.mapping.load.variables import Variables, create_variables

__all__ = ["LoadModel", "LoadProblem", "build", "load_problem"]

TOLERANCE = 1e-8
"""Of rows and integrality; HiGHS takes many times longer to keep 1e-9 here."""


@dataclass(frozen=True, eq=False)
class LoadModel:
    """A built model; loads are in units of `cutoff` seconds."""

    variables: Variables

    @property
    def pulp(self) -> pulp.LpProblem:
        """The model for any solver that PuLP knows."""
        return self.variables.model

    def placement(self, values: dict[str, float]) -> IntArray | None:
        """(G,) device of each group in a solution (value by variable name); None if it is not integral."""
        return extract(self.variables, values)

    def seconds(self, bound: float) -> float:
        """A dual bound of the model in seconds, lowered by what the tolerances of its rows may add up to.

        A placement whose rows and integers are kept to the tolerance is off by that much in each term of a load.
        """
        v = self.variables
        sums = [
            sum(c for c, _ in work) + sum(c for c, _ in moves)
            for work, moves in zip(v.work, v.moves, strict=True)
        ]
        slack = TOLERANCE * (2 + 2 * max(sums, default=0.0)) + 1e-9
        return max(0.0, (bound - slack) * v.cutoff)


def build(loads: LoadProblem, cutoff: float) -> LoadModel:
    """The model of all placements whose largest load is at most `cutoff` seconds.

    Tensors that cost next to nothing are left out, and weights that several groups share count once a device.
    """
    v = create_variables(loads, cutoff)
    constraints.one_device_each(v)
    constraints.readers_receive(v)
    constraints.writers_send(v)
    constraints.weights_fit(v)
    constraints.identical_devices_are_used_in_turn(v)
    minimise(v)
    return LoadModel(v)
