"""Variables of the CP-SAT model, and how the constraints ask for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.formulations.mapping.symmetry import Symmetry

BoolVar: TypeAlias = cp_model.IntVar
Linear: TypeAlias = Any


@dataclass(eq=False)
class Move:
    """A transfer as a variable activity: it takes place if `present`, from `start` to `end`.

    `kind` is ``send``, ``write``, ``read`` or ``load``; `device` is the other end than the host (for sends:
    the receiver, m for the host); `layer` the layer that asks for it.
    """

    kind: str
    tensor: int
    device: int
    layer: int
    present: BoolVar
    start: Linear
    end: Linear


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    problem, original
        The view in ticks, and the one in seconds that it was rounded from.
    x
        x[i][d] = 1: layer i runs on device d; only devices that can run it.
    start, end
        Ticks at which layer i starts and ends (a call's transfers without overlap included).
    work
        work[i]: ticks of compute of layer i, a linear expression of x.
    busy
        busy[i]: further ticks between start and end (transfers without overlap), a list of terms.
    pin
        pin[w, d] = 1: weights w are pinned on device d.
    keep
        keep[k, d] = 1: tensor k stays on device d (host staging).
    moves
        Transfers that are activities of their own or fill a channel.
    pairs
        pairs[i, j][b] = 1: layer i and its reader j both run on b; only where a constraint asked for it.
    completion, makespan
        Ticks.
    symmetry
        Identical devices, if the model names them in order.
    """

    problem: MappingProblem
    original: MappingProblem
    model: cp_model.CpModel
    horizon: int
    x: list[dict[int, BoolVar]]
    start: list[cp_model.IntVar]
    end: list[cp_model.IntVar]
    makespan: cp_model.IntVar
    completion: list[cp_model.IntVar]
    work: list[Linear] = field(default_factory=list)
    busy: list[list[Linear]] = field(default_factory=list)
    pin: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    keep: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    pairs: dict[tuple[int, int], dict[int, BoolVar]] = field(default_factory=dict)
    extra: dict[tuple[str, int], Any] = field(default_factory=dict)
    unit: float = 1.0
    symmetry: Symmetry | None = None

    @property
    def tick(self) -> float:
        """Seconds in a tick."""
        return self.problem.tick if self.problem.tick is not None else 1.0

    @property
    def never(self) -> BoolVar:
        """The constant 0 as a literal."""
        return self.model.new_constant(0)

    @property
    def always(self) -> BoolVar:
        """The constant 1 as a literal."""
        return self.model.new_constant(1)

    def on(self, layer: int, device: int) -> BoolVar:
        """x[layer, device], the constant 0 where the layer cannot run."""
        return self.x[layer].get(device) if device in self.x[layer] else self.never

    def pin_of(self, layer: int, device: int) -> BoolVar:
        """pin[w, d] of the weights of a layer; created at first use where weights are a choice."""
        if self.problem.execution.weights == "streamed":
            return self.never
        key = (int(self.problem.weight_of[layer]), device)
        if key not in self.pin:
            self.pin[key] = self.flag(f"pin_{key[0]}_{device}")
        return self.pin[key]

    def devices_of(self, layers: tuple[int, ...]) -> list[int]:
        """Devices on which one of the layers may run."""
        return sorted({d for i in layers for d in self.x[i]})

    def flag(self, name: str) -> BoolVar:
        """A new Boolean."""
        return self.model.new_bool_var(name)

    def time(self, name: str) -> cp_model.IntVar:
        """A new moment between 0 and the horizon."""
        return self.model.new_int_var(0, self.horizon, name)

    @property
    def channelled(self) -> bool:
        """Whether transfers queue for channels."""
        return self.problem.execution.contention == "links"

    @property
    def live(self) -> bool:
        """Whether what is resident matters at every moment: memory is limited then, or measured."""
        return self.problem.execution.memory == "live" or "memory" in self.problem.measured

    @property
    def prices_moves(self) -> bool:
        """Whether the objective or a limit depends on which transfers take place, besides their time."""
        names = self.problem.measured
        if "traffic" in names:
            return True
        return bool(names & {"energy", "edp"}) and bool(self.problem.routes.energy_per_byte.any())


def create_variables(
    problem: MappingProblem, original: MappingProblem, model: cp_model.CpModel, horizon: float | None
) -> Variables:
    """Assignment, start and end of every layer, completion of every job, makespan."""
    ticks = _horizon(problem) if horizon is None else math.ceil(horizon / (problem.tick or 1.0)) + 1
    x = [{d: model.new_bool_var(f"x_{i}_{d}") for d in allowed} for i, allowed in enumerate(problem.allowed)]
    return Variables(
        problem=problem,
        original=original,
        model=model,
        horizon=ticks,
        x=x,
        start=[model.new_int_var(0, ticks, f"start_{i}") for i in range(problem.n)],
        end=[model.new_int_var(0, ticks, f"end_{i}") for i in range(problem.n)],
        makespan=model.new_int_var(0, ticks, "makespan"),
        completion=[model.new_int_var(0, ticks, f"completion_{j}") for j in range(len(problem.jobs))],
        busy=[[] for _ in range(problem.n)],
    )


def _horizon(problem: MappingProblem) -> int:
    """Ticks in which everything can be done one after the other, each in its slowest way."""
    finite = [[problem.duration[i, d] for d in allowed] for i, allowed in enumerate(problem.allowed)]
    total = sum(max(row, default=0.0) for row in finite)
    total += float(problem.release.max(initial=0.0)) + float(problem.tensor_release.max(initial=0.0))
    for row in problem.load.tolist():
        total += max((v for v in row if math.isfinite(v)), default=0.0)
    ends = range(problem.m + 1)
    for k, readers in enumerate(problem.readers):
        times = [problem.move_seconds(k, a, b) for a in ends for b in ends]
        reads = [
            problem.read_seconds(k, d, problem.read_sizes[k, i]) for i in readers for d in range(problem.m)
        ]
        slowest = max((v for v in times + reads if math.isfinite(v)), default=0.0)
        total += slowest * (len(readers) + 2)
    return int(total) + 1
