"""Variables of the MILP of a whole plan, and how the constraints ask for them.

Times are in units of `Variables.second` seconds and bytes in units of `Variables.byte` bytes, powers of two, as in the
MILP of mappings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pulp

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.grouping.levels import always
from dnnplan.formulations.grouping.milp.constraints import groups_have_leaders
from dnnplan.formulations.grouping.milp.variables import Leaders
from dnnplan.formulations.grouping.milp.variables import Variables as GraphVariables
from dnnplan.formulations.grouping.milp.variables import create_variables as graph_variables
from dnnplan.formulations.mapping.ancestors import ancestors_of
from dnnplan.formulations.mapping.bounds import heads_and_tails, least_duration
from dnnplan.formulations.mapping.milp.variables import SCALED
from dnnplan.formulations.mapping.milp.windows import power_of_two, serial_horizon
from dnnplan.formulations.whole.copies import Copies, copies_of

Linear = Any


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    copies
        Copies of layers: those of the network in which nothing is shared, in seconds.
    graph
        The task graph: who has parted, who leads a group; it has the model.
    horizon
        By when everything ends (scaled).
    second, byte
        Units of times and bytes.
    work, heads, tails
        (n, m) seconds of a call of each copy, before it and after it; of heads and tails those of the copies that may
        stand for it.
    x
        x[c][d] = 1: copy c, or the one that stands for it, runs on device d.
    run
        run[c][d] = 1: copy c is there, and runs on d.
    start, end
        When copy c, or the one that stands for it, starts and ends (scaled).
    both
        both[i, j][a, b] = 1: copy i is on a, and its reader j on b; only where tensors can move from a to b.
    """

    problem: WholeProblem
    copies: Copies
    graph: GraphVariables
    horizon: float
    second: float
    byte: float
    work: FloatArray
    heads: FloatArray
    tails: FloatArray
    ancestors: list[int]
    x: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    run: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    start: list[pulp.LpVariable] = field(default_factory=list)
    end: list[pulp.LpVariable] = field(default_factory=list)
    makespan: pulp.LpVariable = None
    both: dict[tuple[int, int], dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> pulp.LpProblem:
        """The model."""
        return self.graph.model

    @property
    def view(self) -> MappingProblem:
        """The network in which nothing is shared."""
        return self.copies.view

    @property
    def measured(self) -> set[str]:
        """Names of all measures in the objective and in limits."""
        rows = (self.problem.stages[0], *(row for row, _ in self.problem.sums_at_most))
        return {name for row in rows for name, _ in row} | set(self.problem.limits)

    def flag(self, name: str) -> pulp.LpVariable:
        """A new binary variable."""
        return self.graph.flag(name)

    def share(self, name: str) -> pulp.LpVariable:
        """A new variable in [0, 1]."""
        return self.graph.share(name)

    def time(self, name: str, low: float = 0.0, high: float | None = None) -> pulp.LpVariable:
        """A new moment."""
        moment = self.graph.share(name, self.horizon if high is None else high)
        moment.lowBound = low
        return moment

    def add(self, row: Any) -> None:
        """Add a row; rows that hold by themselves (no variables) are left out."""
        self.graph.add(row)

    def scaled(self, seconds: float) -> float:
        """Seconds in the unit of the model."""
        return float(seconds) / self.second

    def move(self, tensor: int, a: int, b: int) -> float:
        """Scaled time of a tensor from end `a` to end `b`; infinite without a route."""
        stays = a == b or self.view.is_free(tensor, a, b)
        return 0.0 if stays else self.scaled(self.view.move_seconds(tensor, a, b))

    def precedes(self, c: int, f: int) -> bool:
        """Whether copy c ends before copy f starts in every plan."""
        return bool(self.ancestors[f] >> c & 1)

    def own(self, copy: int) -> Linear:
        """1 if a copy is there: a variable, or the number where it always is."""
        level = self.copies.level(copy)
        return 1 if level is None else self.leaders(level).lead[self.copies.home[copy][1]]

    def leaders(self, level: int) -> Leaders:
        """Who stands for the groups of a branch point: the first task of each."""
        return groups_have_leaders(self.graph, level, tuple(range(self.problem.n)))

    def stands_for(self, copy: int) -> list[tuple[int, pulp.LpVariable]]:
        """(copy of a task before, variable that is 1 if it stands for this one)."""
        level = self.copies.level(copy)
        if level is None:
            return []
        t, member = self.copies.home[copy][1], self.leaders(level).member
        return [(other, member[s, t]) for s, other in enumerate(self.copies.leaders(copy)[:-1])]


def create_variables(
    problem: WholeProblem, horizon: float | None, keep_going: Callable[[], bool] = always
) -> Variables:
    """Task graph, and device, start and end of every copy; makespan.

    Starts are bounded by heads, ends by tails: moments that no plan within the horizon leaves.
    """
    assert problem.grouping is not None
    copies = copies_of(problem)
    view = copies.view
    seconds = serial_horizon(view) if horizon is None else horizon
    second = power_of_two(seconds / SCALED)
    least = dataclasses.replace(view, duration=copies.least(view.duration), load=copies.least(view.load))
    heads, tails = heads_and_tails(least)
    v = Variables(
        problem=problem,
        copies=copies,
        graph=graph_variables(problem.grouping, keep_going),
        horizon=seconds / second,
        second=second,
        byte=power_of_two(max([*view.weight_bytes.tolist(), 1.0]) / SCALED),
        work=least_duration(view),
        heads=heads,
        tails=tails,
        ancestors=ancestors_of(view),
    )
    for c in range(view.n):
        devices = sorted({d for other in copies.leaders(c) for d in view.allowed[other]})
        devices = [d for d in devices if np.isfinite(heads[c, d] + tails[c, d])]
        v.x.append({d: v.flag(f"x_{c}_{d}") for d in devices})
        there = copies.level(c) is None
        own = [d for d in devices if d in view.allowed[c]]
        v.run.append({d: v.x[c][d] if there else v.flag(f"run_{c}_{d}") for d in own})
        low = v.scaled(min((heads[c, d] for d in devices), default=0.0))
        high = v.horizon - v.scaled(min((tails[c, d] for d in devices), default=0.0))
        high = max(low, high) if math.isfinite(low) else v.horizon
        v.start.append(v.time(f"start_{c}", low, high))
        v.end.append(v.time(f"end_{c}", low, high))
    v.makespan = v.time("makespan")
    return v
