"""Variables of the CP-SAT model of serving."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

from ortools.sat.python import cp_model

from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.operations import Operation, Operations, operations_of

BoolVar: TypeAlias = cp_model.IntVar
Pair = tuple[Operation, Operation]
TICKS = 2.0**24
"""Whole units of time in the horizon: what rounding takes away is far below any gap of interest."""


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    tick
        Seconds of one unit of time. Releases and durations are rounded down, so that every plan has a counterpart in
        the model that is nowhere later and costs no more; its ends are whole ticks, and so deadlines are rounded down.
    start, end
        start[o], end[o]: of the batch of operation o, in ticks.
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
    unit, constant
        Value of one unit of the objective, and what every answer costs beside it.
    """

    problem: OfflineServing
    operations: Operations
    model: cp_model.CpModel
    tick: float
    start: dict[Operation, cp_model.IntVar] = field(default_factory=dict)
    end: dict[Operation, cp_model.IntVar] = field(default_factory=dict)
    size: dict[tuple[Operation, int], BoolVar] = field(default_factory=dict)
    same: dict[Pair, BoolVar] = field(default_factory=dict)
    ahead: dict[Pair, BoolVar] = field(default_factory=dict)
    pays: dict[tuple[Operation, int, int], BoolVar] = field(default_factory=dict)
    late: dict[int, BoolVar] = field(default_factory=dict)
    unit: float = 1.0
    constant: float = 0.0

    def together(self, o: Operation, u: Operation) -> BoolVar | int:
        """Whether two operations share a batch."""
        return self.same.get((o, u), self.same.get((u, o), 0))

    def ticks(self, seconds: float) -> int:
        """Whole ticks, rounded down; whole multiples stay what they are."""
        return math.floor(float(seconds) / self.tick * (1 + 1e-15) + 1e-9)

    def ticks_until(self, seconds: float) -> int:
        """The last whole tick that is no later: ends are whole ticks, and no later than those of the plan.

        A millionth of a tick is for what `ticks` may have rounded up along the way.
        """
        return math.floor(float(seconds) / self.tick + 1e-6)

    def lasts(self, q: int, b: int) -> int:
        """Ticks of a batch."""
        return self.ticks(self.problem.serving.latency[q, b])


def create(problem: OfflineServing) -> Variables:
    """All variables.

    Raises
    ------
    UnsupportedError
        Costs of parked samples, or too many operations.
    """
    ops, model = operations_of(problem), cp_model.CpModel()
    v = Variables(problem, ops, model, _tick(ops))
    horizon = v.ticks(ops.horizon) + 1
    names = {o: f"{o[0]}_{o[1]}" for o in ops.all}
    for o in ops.all:
        v.start[o] = model.new_int_var(v.ticks(float(ops.release[o[0]])), horizon, f"start_{names[o]}")
        v.end[o] = model.new_int_var(v.ticks(float(ops.release[o[0]])), horizon, f"end_{names[o]}")
        for b in ops.sizes(o[1]):
            v.size[o, b] = model.new_bool_var(f"size_{names[o]}_{b}")
    v.same = {(o, u): model.new_bool_var(f"same_{names[o]}_{names[u]}") for o, u in ops.alike}
    v.ahead = {(o, u): model.new_bool_var(f"ahead_{names[o]}_{names[u]}") for o, u in ops.disjoint}
    for j in range(problem.n):
        last = ops.last(j)
        for o in ops.all:
            if o[0] != j and ops.device(o) == ops.device(last):
                for b in ops.sizes(o[1]):
                    v.pays[o, j, b] = model.new_bool_var(f"pays_{names[o]}_{j}_{b}")
        if problem.name == "late":
            v.late[j] = model.new_bool_var(f"late_{j}")
    return v


def _tick(ops: Operations) -> float:
    """One second, or ten to some power of it, where all times are multiples of that; else a part of the horizon."""
    serving = ops.problem.serving
    times = [*ops.release.tolist(), *serving.latency.ravel().tolist(), *serving.transfer.ravel().tolist()]
    for power in range(7):
        scaled = [time * 10.0**power for time in times]
        if ops.horizon * 10.0**power <= TICKS and all(abs(x - round(x)) <= 1e-9 for x in scaled):
            return 10.0**-power
    return ops.horizon / TICKS or 1.0
