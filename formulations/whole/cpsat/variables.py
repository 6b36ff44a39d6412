"""Variables of the model of a whole plan, and how the constraints ask for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.objectives import UNITS
from dnnplan.costs.rounding import rounded_down
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.grouping.cpsat import Variables as GraphVariables
from dnnplan.formulations.grouping.cpsat.constraints import groups_have_leaders
from dnnplan.formulations.grouping.cpsat.variables import create_variables as graph_variables
from dnnplan.formulations.mapping.bounds import least_duration
from dnnplan.formulations.mapping.symmetry import Symmetry
from dnnplan.formulations.whole.copies import Copies, copies_of

BoolVar: TypeAlias = Any
Linear: TypeAlias = Any


@dataclass(eq=False)
class Send:
    """A tensor of a copy on its way to a device: it is needed there and not made there.

    `start` and `end` are there only where transfers queue for channels.
    """

    tensor: int
    device: int
    needed: BoolVar
    start: Linear = None
    end: Linear = None


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    problem, copies, original
        The whole problem; its copies of layers, times in ticks; the same network in seconds.
    graph
        The task graph: who has parted, who leads a group.
    x
        x[c][d] = 1: copy c, or the one that stands for it, runs on device d.
    run
        run[c][d] = 1: copy c is there, and runs on d.
    start, end
        Ticks at which copy c, or the one that stands for it, starts and ends.
    pin
        pin[c][d] = 1: the weights of copy c stay on d.
    sends
        Tensors on their way, by (tensor, device); the host is device m.
    work
        (n, m) ticks of a call of each copy on each device, loads of weights that are never pinned included.
    """

    problem: WholeProblem
    copies: Copies
    original: MappingProblem
    graph: GraphVariables
    horizon: int
    tick: float
    x: list[dict[int, BoolVar]] = field(default_factory=list)
    run: list[dict[int, BoolVar]] = field(default_factory=list)
    start: list[cp_model.IntVar] = field(default_factory=list)
    end: list[cp_model.IntVar] = field(default_factory=list)
    pin: list[dict[int, BoolVar]] = field(default_factory=list)
    makespan: Any = None
    sends: dict[tuple[int, int], Send] = field(default_factory=dict)
    extra: dict[tuple[str, int], Any] = field(default_factory=dict)
    symmetry: Symmetry | None = None
    work: Any = None
    unit: float = 1.0
    constant: float = 0.0

    @property
    def model(self) -> cp_model.CpModel:
        """The model."""
        return self.graph.model

    @property
    def view(self) -> MappingProblem:
        """The network in which nothing is shared, in ticks."""
        return self.copies.view

    @property
    def queues(self) -> bool:
        """Whether transfers queue for channels."""
        return self.view.execution.contention == "links"

    @property
    def measured(self) -> set[str]:
        """Names of all measures in the objective and in limits."""
        rows = (self.problem.stages[0], *(row for row, _ in self.problem.sums_at_most))
        return {name for row in rows for name, _ in row} | set(self.problem.limits)

    @property
    def prices_sends(self) -> bool:
        """Whether the objective or a limit depends on which tensors move."""
        if "traffic" in self.measured:
            return True
        return "energy" in self.measured and bool(self.view.routes.energy_per_byte.any())

    @property
    def pins(self) -> bool:
        """Whether it is a decision which weights stay on their device."""
        execution = self.view.execution
        return bool(self.view.host and execution.weights == "choice" and execution.memory != "none")

    def own(self, copy: int) -> BoolVar | None:
        """Literal that a copy is there; None where it always is."""
        level = self.copies.level(copy)
        if level is None:
            return None
        return self.leaders(level).lead[self.copies.home[copy][1]]

    def leaders(self, level: int) -> Any:
        """Who stands for the groups of a branch point: the first task of each."""
        return groups_have_leaders(self.graph, level, tuple(range(self.problem.n)))

    def stands_for(self, copy: int) -> list[tuple[int, BoolVar]]:
        """(copy of a task before, literal that it stands for this one)."""
        level = self.copies.level(copy)
        if level is None:
            return []
        t = self.copies.home[copy][1]
        member = self.leaders(level).member
        return [(other, member[s, t]) for s, other in enumerate(self.copies.leaders(copy)[:-1])]

    def flag(self, name: str) -> BoolVar:
        """A new Boolean."""
        return self.model.new_bool_var(name)

    def time(self, name: str) -> cp_model.IntVar:
        """A new moment between 0 and the horizon."""
        return self.model.new_int_var(0, self.horizon, name)


def create_variables(problem: WholeProblem, tick: float, horizon: float | None) -> Variables:
    """Task graph, and device, start and end of every copy; makespan."""
    original = problem.mapping(problem.apart)
    copies = copies_of(problem, rounded_down(original, tick))
    view = copies.view
    assert problem.grouping is not None
    ticks = _latest(view) if horizon is None else math.floor(horizon / tick * (1 + 1e-12))
    v = Variables(
        problem, copies, original, graph_variables(problem.grouping, cp_model.CpModel()), ticks, tick
    )
    v.work = least_duration(view)
    for c in range(view.n):
        devices = sorted({d for other in copies.leaders(c) for d in view.allowed[other]})
        v.x.append({d: v.flag(f"x_{c}_{d}") for d in devices})
        v.start.append(v.time(f"start_{c}"))
        v.end.append(v.time(f"end_{c}"))
        own = [d for d in devices if d in view.allowed[c]]
        there = copies.level(c) is None
        v.run.append({d: v.x[c][d] if there else v.flag(f"run_{c}_{d}") for d in own})
        v.pin.append({d: v.flag(f"pin_{c}_{d}") for d in own} if v.pins else {})
    v.makespan = v.time("makespan")
    return v


def _latest(view: MappingProblem) -> int:
    """Ticks in which everything is done one after the other, each in its slowest way, and nothing is shared."""
    finite = np.where(np.isfinite(view.duration), view.duration, 0.0)
    loads = np.where(np.isfinite(view.load), view.load, 0.0)
    total = float(np.maximum(finite, loads).max(axis=1).sum()) + float(view.release.max(initial=0.0))
    moves = np.where(np.isfinite(view.move), view.move, 0.0).max(axis=(1, 2), initial=0.0)
    total += sum(float(moves[k]) * (len(view.readers[k]) + 2) for k in range(len(view.tensors)))
    return int(total + float(view.tensor_release.max(initial=0.0))) + 1


def graph_names(v: Variables) -> set[str]:
    """Measures of the task graph that the objective or a limit names."""
    return v.measured - set(UNITS) - {"deadline"}
