"""Variables of the MILP, and how the constraints ask for them.

Times are in units of `Variables.second` seconds and bytes in units of `Variables.byte` bytes, powers of
two, so that scaling rounds nothing and the tolerances of solvers mean the same for microseconds and for
hours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulp

from dnnplan.costs.mapping import MappingProblem
from dnnplan.formulations.mapping.ancestors import ancestors_of
from dnnplan.formulations.mapping.bounds import heads_and_tails
from dnnplan.formulations.mapping.milp.windows import power_of_two, serial_horizon
from dnnplan.instances import SolverError

Linear = Any
SCALED = 256.0


class BuildStoppedError(SolverError):
    """The time for building the model is over."""


@dataclass(frozen=True, eq=False)
class Option:
    """One way in which a transfer may happen: between which ends, in `seconds` (scaled), if `use` is 1.

    `free` options are zero-copy: they take no time and move no bytes.
    """

    source: int
    target: int
    use: Linear
    seconds: float
    bytes: float
    channel: int
    free: bool


@dataclass(eq=False)
class Move:
    """A transfer as an activity; at most one of its options is used.

    Parameters
    ----------
    kind
        ``send``, ``read``, ``write`` or ``load``.
    tensor, layer
        Its tensor (-1: weights), and the layer whose call asks for it (-1: whichever of several readers is
        first).
    begin
        Start (scaled seconds): a variable where it may wait, else the expression that it follows from.
    after, over_by
        It starts after the end of layer `after`, and has ended when layer `over_by` ends (-1: not known).
    """

    kind: str
    tensor: int
    layer: int
    options: list[Option]
    begin: Linear = None
    after: int = -1
    over_by: int = -1

    @property
    def seconds(self) -> Linear:
        """Scaled seconds that it takes, 0 if it does not happen."""
        return pulp.lpSum(o.seconds * o.use for o in self.options if o.seconds > 0)

    @property
    def target(self) -> int:
        """The end that it goes to; -1 if that depends."""
        targets = {o.target for o in self.options}
        return targets.pop() if len(targets) == 1 else -1

    @property
    def end(self) -> Linear:
        """When it ends."""
        return self.begin + self.seconds

    def on(self, channel: int) -> Linear:
        """1 if it takes time on a channel."""
        return pulp.lpSum(o.use for o in self.options if o.channel == channel and o.seconds > 0)

    def to(self, device: int) -> Linear:
        """1 if it happens and ends at a device."""
        return pulp.lpSum(o.use for o in self.options if o.target == device)

    @property
    def channels(self) -> set[int]:
        """Channels on which it may take time."""
        return {o.channel for o in self.options if o.channel >= 0 and o.seconds > 0}


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    x
        x[i][d] = 1: layer i runs on device d; only devices that can run it.
    start, end
        Start and end of the call of layer i (scaled seconds).
    both
        both[i, j][d, e] = 1: layer i runs on d and its reader j on e; only where the tensors can move.
    before
        before[i, j] = 1: i ends before j starts, because they share a slot.
    pin, load
        pin[w, d] = 1: weights w are pinned on d; load[i, d] = 1: the call of i loads its weights on d.
    keep
        keep[k, d] = 1: tensor k stays on d (host staging); without an entry it does.
    moves
        All transfers.
    completion, makespan
        Scaled seconds.
    """

    problem: MappingProblem
    model: pulp.LpProblem
    horizon: float
    second: float
    byte: float
    stop: Callable[[], bool] | None = None
    x: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    start: list[pulp.LpVariable] = field(default_factory=list)
    end: list[pulp.LpVariable] = field(default_factory=list)
    completion: list[pulp.LpVariable] = field(default_factory=list)
    makespan: pulp.LpVariable = None
    both: dict[tuple[int, int], dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=dict)
    before: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    pin: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    load: dict[tuple[int, int], Linear] = field(default_factory=dict)
    keep: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    reads: dict[tuple[int, int], dict[int, Linear]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    arrival: dict[int, Linear] = field(default_factory=dict)
    residency: Any = None
    serial: int = 0
    ancestors: list[int] = field(default_factory=list)
    earliest: list[float] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)

    # -- settings ----------------------------------------------------------------------------------------

    @property
    def overlap(self) -> bool:
        """Whether transfers occupy no device."""
        return self.problem.execution.overlap

    @property
    def contended(self) -> bool:
        """Whether transfers queue for channels."""
        return self.problem.execution.contention == "links"

    @property
    def measured(self) -> frozenset[str]:
        """Names in the objective and in limits."""
        return self.problem.measured

    @property
    def live(self) -> bool:
        """Whether what is resident matters at every moment."""
        return self.problem.execution.memory == "live" or "memory" in self.measured

    @property
    def pins_are_free(self) -> bool:
        """Whether pinning costs nothing, so that everything that may be pinned is."""
        return self.problem.execution.memory == "none" and not self.live

    # -- new variables and rows --------------------------------------------------------------------------

    def flag(self, name: str) -> pulp.LpVariable:
        """A new binary variable."""
        return self.model.add_variable(name, cat=pulp.LpBinary)

    def share(self, name: str) -> pulp.LpVariable:
        """A new variable in [0, 1] that is integer whenever the binary ones are."""
        return self.model.add_variable(name, 0, 1)

    def time(self, name: str, low: float = 0.0, high: float | None = None) -> pulp.LpVariable:
        """A new moment."""
        return self.model.add_variable(name, low, self.horizon if high is None else high)

    def next_number(self) -> int:
        """A number for the name of a variable, never given before."""
        self.serial += 1
        return self.serial

    def add(self, row: Any) -> None:
        """Add a row; rows that hold by themselves (no variables) are left out."""
        if isinstance(row, pulp.LpConstraint):
            self.model.addConstraint(row)

    def pause(self) -> None:
        """Stop building if there is no time left.

        Raises
        ------
        BuildStoppedError
            The time is over, or the caller wants to stop.
        """
        if self.stop is not None and self.stop():
            raise BuildStoppedError("the model was not finished in time")

    # -- questions ---------------------------------------------------------------------------------------

    def scaled(self, seconds: float) -> float:
        """Seconds in the unit of the model."""
        return float(seconds) / self.second

    def precedes(self, i: int, j: int) -> bool:
        """Whether layer i has to end before layer j starts, in every plan."""
        return bool(self.ancestors[j] >> i & 1)

    def work(self, layer: int) -> Linear:
        """Compute time of a layer: sum_d t[i,d] x[i,d]."""
        return pulp.lpSum(self.scaled(self.problem.duration[layer, d]) * x for d, x in self.x[layer].items())

    def kept(self, tensor: int, device: int) -> Linear:
        """keep[k, d], or 1."""
        return self.keep.get((tensor, device), 1)

    def option(self, tensor: int, ends: tuple[int, int], use: Linear, seconds: float, size: float) -> Option:
        """An option of a move (tensor -1: weights); `seconds` and `size` as in the problem."""
        free = self.problem.is_free(tensor, *ends)
        channel = int(self.problem.routes.channel[ends])
        return Option(ends[0], ends[1], use, self.scaled(seconds), 0.0 if free else size, channel, free)


def create_variables(
    problem: MappingProblem, horizon: float | None, stop: Callable[[], bool] | None
) -> Variables:
    """Assignment, start and end of every layer, completion of every job, makespan.

    Parameters
    ----------
    horizon
        Seconds after which nothing happens in the plans that matter; None: a bound that is always valid.
    """
    seconds = serial_horizon(problem) if horizon is None else horizon
    second = power_of_two(seconds / SCALED)
    sizes = [*problem.weight_bytes.tolist(), *problem.size.tolist(), *problem.workspace.tolist(), 1.0]
    v = Variables(
        problem=problem,
        model=pulp.LpProblem("mapping", pulp.LpMinimize),
        horizon=seconds / second,
        second=second,
        byte=power_of_two(max(sizes) / SCALED),
        stop=stop,
        ancestors=ancestors_of(problem),
    )
    heads, tails = heads_and_tails(problem)
    for i, devices in enumerate(problem.allowed):
        v.x.append({d: v.flag(f"x_{i}_{d}") for d in devices if math.isfinite(heads[i, d] + tails[i, d])})
        low = float(problem.release[i])
        high = v.horizon - v.scaled(min((tails[i, d] for d in v.x[i]), default=0.0))
        if v.overlap:
            low = max(low, min((heads[i, d] for d in v.x[i]), default=0.0))
        v.earliest.append(v.scaled(low))
        v.latest.append(max(high, v.scaled(low)))
        v.start.append(v.time(f"start_{i}", v.earliest[i], v.latest[i]))
        v.end.append(v.time(f"end_{i}", v.earliest[i], v.latest[i]))
        if i % 64 == 0:
            v.pause()
    v.completion = [v.time(f"completion_{j}", v.scaled(job.release)) for j, job in enumerate(problem.jobs)]
    v.makespan = v.time("makespan")
    return v
