"""The linear relaxation of a mapping problem: fractional devices, pins and pairs of devices.

Every plan in which each layer is a call gives a point of it, whose cost is at most that of the plan; so its optimum
bounds all of them. Rows are in `transfers`, `timing` and `loads`; docs/formulations.md has them in symbols.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.bounds.linear import LinearProgram, as_terms

Terms = list[tuple[int, float]]
FULL_PAIRS = 80_000
"""Variables for pairs of devices up to which transfers that are not uniform get one each."""


@dataclass(frozen=True, eq=False)
class Move:
    """A transfer that a plan may make: the fraction of it as terms, and what the whole of it costs.

    `device` is busy for `busy` seconds (-1: none), `channel` for `seconds` (-1: none).
    """

    terms: Terms
    device: int
    channel: int
    seconds: float
    bytes: float
    joules: float


@dataclass(eq=False)
class Relaxation:
    """The variables of a relaxation, while it is built and after.

    Parameters
    ----------
    problem
        The view, durations infinite where a layer may not run (any more).
    unit
        Seconds in the unit of time of the programme: every moment is at most 1.
    x, begin, makespan
        (n, m) fraction of a layer on a device (-1: cannot run there); (n,) begin of its work, after reads without
        overlap; end of all.
    completion
        (jobs,) completion of each job.
    pin
        {(weights, device): variable}.
    loaded
        {(layer, device): terms} fraction of the weights that is loaded, where that takes any time.
    moves, written
        All transfers; the writes of each tensor.
    loading
        {(layer, device): terms} time that loads add to the call.
    pairs, same
        {(producer, reader): (m, m) fraction on a pair of devices} and {...: (m,) on the same device}.
    """

    problem: MappingProblem
    unit: float
    full: bool
    program: LinearProgram = field(default_factory=LinearProgram)
    x: IntArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    begin: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    makespan: int = -1
    completion: list[int] = field(default_factory=list)
    pin: dict[tuple[int, int], int] = field(default_factory=dict)
    loaded: dict[tuple[int, int], Terms] = field(default_factory=dict)
    pairs: dict[tuple[int, int], IntArray] = field(default_factory=dict)
    same: dict[tuple[int, int], IntArray] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    written: dict[int, list[Move]] = field(default_factory=dict)
    loading: dict[tuple[int, int], Terms] = field(default_factory=dict)

    def row(self, terms: Terms, at_least: float = 0.0) -> int:
        """Add ``terms >= at_least``."""
        return self.program.row(terms, at_least)

    def on_same(self, i: int, j: int) -> IntArray:
        """(m,) variables for both layers on a device (-1 where they cannot): at most the fraction of either."""
        if (i, j) not in self.same:
            if self.full:
                self.same[i, j] = np.diagonal(self.on_pair(i, j)).copy()
            else:
                together = np.full(self.problem.m, -1, dtype=np.int64)
                for d in np.flatnonzero((self.x[i] >= 0) & (self.x[j] >= 0)):
                    z = together[d] = self.program.variable(0.0, 1.0)
                    self.row([(int(self.x[i, d]), 1.0), (z, -1.0)])
                    self.row([(int(self.x[j, d]), 1.0), (z, -1.0)])
                self.same[i, j] = together
        return self.same[i, j]

    def on_pair(self, i: int, j: int) -> IntArray:
        """(m, m) variables for the devices of two layers, whose marginals are x (Adams and Johnson 1994)."""
        if (i, j) not in self.pairs:
            m = self.problem.m
            pair = np.full((m, m), -1, dtype=np.int64)
            reach = reachable(self.problem, i, j)
            for a in np.flatnonzero(self.x[i] >= 0):
                for b in np.flatnonzero(self.x[j] >= 0):
                    if reach[a, b]:
                        pair[a, b] = self.program.variable(0.0, 1.0)
            for a in np.flatnonzero(self.x[i] >= 0):
                terms = [*as_terms(pair[a], 1.0), (int(self.x[i, a]), -1.0)]
                self.program.row(terms, 0.0, equal=True)
            for b in np.flatnonzero(self.x[j] >= 0):
                terms = [*as_terms(pair[:, b], 1.0), (int(self.x[j, b]), -1.0)]
                self.program.row(terms, 0.0, equal=True)
            self.pairs[i, j] = pair
        return self.pairs[i, j]

    def arriving(self, i: int, j: int, d: int) -> Terms:
        """Fraction of layer j on device d with its producer i (-1: the host) elsewhere."""
        terms: Terms = [(int(self.x[j, d]), 1.0)]
        if i >= 0 and (z := int(self.on_same(i, j)[d])) >= 0:
            terms.append((z, -1.0))
        return terms

    def leaving(self, i: int, j: int, d: int) -> Terms:
        """Fraction of layer i on device d with its reader j elsewhere."""
        terms: Terms = [(int(self.x[i, d]), 1.0)]
        if (z := int(self.on_same(i, j)[d])) >= 0:
            terms.append((z, -1.0))
        return terms

    def largest(self, parts: list[Terms]) -> Terms:
        """A fraction that is at least every part: the part itself if there is one, else a variable."""
        if len(parts) == 1:
            return parts[0]
        top = self.program.variable(0.0, 1.0)
        for part in parts:
            self.row([(top, 1.0), *scaled(part, -1.0)])
        return [(top, 1.0)]


def scaled(terms: Terms, factor: float) -> Terms:
    """The terms times a factor."""
    return [(variable, value * factor) for variable, value in terms]


def reachable(problem: MappingProblem, i: int, j: int) -> NDArray[np.bool_]:
    """(m, m) whether all tensors that j reads from i have a route (direct staging)."""
    m = problem.m
    reach = np.ones((m, m), dtype=bool)
    for k in problem.inputs[j]:
        if int(problem.source[k]) == i:
            reach &= np.isfinite(problem.move[k, :m, :m]) | np.eye(m, dtype=bool)
    return reach


def relax(problem: MappingProblem, allowed: NDArray[np.bool_], unit: float) -> Relaxation:
    """All variables and rows; the objective is left to the caller.

    Parameters
    ----------
    allowed
        (n, m) where each layer may run; every layer needs one device.
    unit
        Seconds that no plan of interest exceeds: plans that take longer are none of the relaxation. Infinite: time
        does not matter, and has no rows.
    """
    from dnnplan.formulations.mapping.bounds.loads import add_loads
    from dnnplan.formulations.mapping.bounds.timing import add_timing
    from dnnplan.formulations.mapping.bounds.transfers import add_transfers

    view = replace(problem, duration=np.where(allowed, problem.duration, np.inf))
    relaxation = Relaxation(view, unit, full=needs_pairs(view))
    add_assignment(relaxation)
    add_pins(relaxation)
    add_transfers(relaxation)
    if np.isfinite(unit):
        add_timing(relaxation)
        add_loads(relaxation)
    return relaxation


def needs_pairs(problem: MappingProblem) -> bool:
    """Whether transfers differ by pair of devices, under direct staging, and are few enough."""
    if problem.execution.staging != "direct" or problem.m < 2:
        return False
    routes, m = problem.routes, problem.m
    other = ~np.eye(m, dtype=bool)
    uniform = not problem.override and all(
        np.ptp(np.where(np.isfinite(a[:m, :m][other]), a[:m, :m][other], -1.0)) == 0
        for a in (routes.latency, routes.per_byte)
    )
    sizes = np.isfinite(problem.duration).sum(axis=1)
    pairs = int((sizes[problem.edges[:, 1]] * sizes[problem.edges[:, 2]]).sum())
    return not uniform and pairs <= FULL_PAIRS


def add_assignment(r: Relaxation) -> None:
    """sum_d x(i,d) = 1; x(i,d) = x(j,d) for colocated layers."""
    problem, program = r.problem, r.program
    finite = np.isfinite(problem.duration)
    r.x = np.full(finite.shape, -1, dtype=np.int64)
    for i, d in zip(*np.nonzero(finite), strict=True):
        r.x[i, d] = program.variable(0.0, 1.0)
    for i in range(problem.n):
        program.row(as_terms(r.x[i], 1.0), 1.0, equal=True)
    for group in problem.colocate:
        for j in group[1:]:
            for d in range(problem.m):
                ends = [(int(v), c) for v, c in ((r.x[group[0], d], 1.0), (r.x[j, d], -1.0)) if v >= 0]
                if ends:
                    program.row(ends, 0.0, equal=True)


def add_pins(r: Relaxation) -> None:
    """What is pinned fits: sum_w bytes(w) pin(w,d) <= capacity; resident weights are pinned where their layers are.

    ``loaded(i,d) = x(i,d) - min(x(i,d), pin(w(i),d))`` where weights are streamed or a choice.
    """
    problem = r.problem
    weights = problem.execution.weights if problem.host else "resident"
    limited = problem.execution.memory != "none"
    heavy = problem.weight_bytes > 0
    users = np.bincount(problem.weight_of[heavy], minlength=len(problem.weights))
    for i, d in zip(*np.nonzero((r.x >= 0) & heavy[:, None]), strict=True):
        w, x = int(problem.weight_of[i]), int(r.x[i, d])
        if weights == "streamed":
            r.loaded[int(i), int(d)] = [(x, 1.0)]
        elif limited:
            shared = users[w] > 1
            if not shared and weights == "resident":
                r.pin[w, int(d)] = x
                continue
            if (w, int(d)) not in r.pin:
                r.pin[w, int(d)] = r.program.variable(0.0, 1.0)
            pin = r.pin[w, int(d)]
            if weights == "resident":
                r.row([(pin, 1.0), (x, -1.0)])
                continue
            here = r.program.variable(0.0, 1.0) if shared else pin
            r.row([(x, 1.0), (here, -1.0)])
            if shared:
                r.row([(pin, 1.0), (here, -1.0)])
            r.loaded[int(i), int(d)] = [(x, 1.0), (here, -1.0)]
    add_capacities(r)


def add_capacities(r: Relaxation) -> None:
    """Pinned bytes fit each device's share and each memory; under live memory beside what any layer needs."""
    problem = r.problem
    size = dict(zip(problem.weight_of.tolist(), problem.weight_bytes.tolist(), strict=True))
    for capacities, owner in (
        (problem.weight_capacity, np.arange(problem.m)),
        (problem.capacity, problem.memory_of),
    ):
        for place, capacity in enumerate(capacities):
            if not np.isfinite(capacity):
                continue
            held = [(v, -size[w] / max(capacity, 1.0)) for (w, d), v in r.pin.items() if owner[d] == place]
            if held:
                r.row(held, -capacity / max(capacity, 1.0))
