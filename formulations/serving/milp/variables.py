"""Variables of the MILP of serving."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulp

from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.mapping.milp.windows import power_of_two
from dnnplan.formulations.serving.operations import Operation, Operations, operations_of

Pair = tuple[Operation, Operation]


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    second
        Seconds of one unit of time of the model.
    start, end
        start[o], end[o]: of the batch of operation o.
    size
        size[o, b] = 1: o is in a batch of b samples.
    same
        same[o, u] = 1: o and u share a batch; o listed before u.
    ahead
        ahead[o, u] = 1: the batch of o ends before that of u starts, on one device.
    pays
        pays[o, j, b] = 1: sample j waits for o, which is in a batch of b samples.
    late
        late[j] = 1: sample j leaves after its deadline.
    unit, constant, largest
        Value of one unit of the objective, what every answer costs beside it, and what it can be in units.
    """

    problem: OfflineServing
    operations: Operations
    model: pulp.LpProblem
    second: float
    start: dict[Operation, pulp.LpVariable] = field(default_factory=dict)
    end: dict[Operation, pulp.LpVariable] = field(default_factory=dict)
    size: dict[tuple[Operation, int], pulp.LpVariable] = field(default_factory=dict)
    same: dict[Pair, pulp.LpVariable] = field(default_factory=dict)
    ahead: dict[Pair, pulp.LpVariable] = field(default_factory=dict)
    pays: dict[tuple[Operation, int, int], pulp.LpVariable] = field(default_factory=dict)
    late: dict[int, pulp.LpVariable] = field(default_factory=dict)
    unit: float = 1.0
    constant: float = 0.0
    largest: float = 1.0

    def together(self, o: Operation, u: Operation) -> pulp.LpVariable | int:
        """Whether two operations share a batch."""
        return self.same.get((o, u), self.same.get((u, o), 0))

    def flag(self, name: str) -> pulp.LpVariable:
        """A variable that is 0 or 1."""
        return self.model.add_variable(name, cat=pulp.LpBinary)


def create(problem: OfflineServing) -> Variables:
    """All variables.

    Raises
    ------
    UnsupportedError
        Costs of parked samples, or too many operations.
    """
    ops = operations_of(problem)
    second = power_of_two(ops.horizon / 256.0)
    v = Variables(problem, ops, pulp.LpProblem("serving", pulp.LpMinimize), second)
    names = {o: f"{o[0]}_{o[1]}" for o in ops.all}
    horizon = ops.horizon / second
    for o in ops.all:
        v.start[o] = v.model.add_variable(f"start_{names[o]}", ops.earliest(o) / second, horizon)
        v.end[o] = v.model.add_variable(f"end_{names[o]}", ops.earliest(o) / second, horizon)
        for b in ops.sizes(o[1]):
            v.size[o, b] = v.flag(f"size_{names[o]}_{b}")
    v.same = {(o, u): v.flag(f"same_{names[o]}_{names[u]}") for o, u in ops.alike}
    v.ahead = {(o, u): v.flag(f"ahead_{names[o]}_{names[u]}") for o, u in ops.disjoint}
    for j in range(problem.n):
        last = ops.last(j)
        for o in ops.all:
            if o[0] != j and ops.device(o) == ops.device(last):
                for b in ops.sizes(o[1]):
                    v.pays[o, j, b] = v.model.add_variable(f"pays_{names[o]}_{j}_{b}", 0, 1)
        if problem.name == "late":
            v.late[j] = v.flag(f"late_{j}")
    return v
