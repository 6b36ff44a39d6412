"""Annealing of sequences of batches: for any number of samples and devices."""

from __future__ import annotations

import time
from collections.abc import Sequence as Batches
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnplan.costs.serving.evaluate import LATE
from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch
from dnnplan.solvers.serving.constructive import propose_simple

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.serving_moves import Given, Sequence

KERNEL = "dnnplan.solvers.kernels.serving_moves:anneal"
COMPILER_SECONDS, LOADING_SECONDS = 15.0, 1.0
CHUNK_SECONDS, FIRST_MOVES = 0.15, 200
"""Time between looks at the limits; moves in the first chunk."""
MOVES_PER_WORK = 50_000
HEATS = (0.3, 0.1, 0.03, 0.6)
"""How much worse a kept sequence may be at the start of a cycle, by the mean cost of a sample, cycle after cycle."""
FIRST_CYCLE, CYCLE_GROWTH = 12, 1.3
REACH = 12
"""Places that a batch moves at most."""
TIE = 1e-4
"""Of late samples, what all latencies together cost: earlier is better where numbers are equal."""


class LocalSearch:
    """Simulated annealing: batches move, merge and split, samples change batches; starts are the earliest possible.

    Kirkpatrick, Gelatt and Vecchi (1983), in cycles of growing length from the best sequence so far. O(operations) for
    each move.
    """

    summary = "annealing: batches move, merge and split; any number of devices"
    capabilities = Capabilities(problem="serving", objectives=OBJECTIVES)

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """Simple plans, then moves until the limits (60 s of them where there is none)."""
        propose_simple(problem, search)
        improve_batches(problem, search)


def improve_batches(
    problem: OfflineServing, search: TaskSearch[Any], seconds: float = UNLIMITED_SECONDS
) -> None:
    """Improve the incumbent for some seconds; by work alone under a work limit."""
    if problem.n < 2 or search.best is None or search.finished():
        return
    if not worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
        return
    until = search.seconds + min(seconds, search.remaining)
    walk = _Walk(problem, search.settings.seed)
    moves = FIRST_MOVES
    while not search.finished():
        if search.settings.work_limit is None and search.seconds >= until:
            return
        began = time.perf_counter()
        walk.step(search, moves)
        search.work += moves / MOVES_PER_WORK
        if search.settings.work_limit is None:
            spent = time.perf_counter() - began
            moves = int(np.clip(moves * CHUNK_SECONDS / max(spent, 1e-4), 10, 4 * moves))


class _Walk:
    """A sequence, and where it is in its cycles of cooling."""

    def __init__(self, problem: OfflineServing, seed: int) -> None:
        self.problem = problem
        self.given = _given(problem)
        self.sequence = _sequence(problem, seed)
        self.cycle, self.chunk, self.length = -1, 0, 0

    def step(self, search: TaskSearch[Any], moves: int) -> None:
        """Some moves; a better plan is proposed."""
        from dnnplan.solvers.kernels.serving_moves import NOW, anneal

        if self.chunk >= self.length:
            self._begin(search)
        mean = abs(float(self.sequence.value[NOW])) / self.problem.n
        heat = HEATS[self.cycle % len(HEATS)] * mean * (1.0 - self.chunk / self.length)
        self.chunk += 1
        count = anneal(self.given, self.sequence, moves, heat, REACH)
        if count:
            s = self.sequence
            search.propose(
                [
                    (int(s.best_stage[k]), tuple(s.best_member[k, : s.best_size[k]].tolist()))
                    for k in range(count)
                ]
            )

    def _begin(self, search: TaskSearch[Any]) -> None:
        """A new cycle from the best plan of all."""
        from dnnplan.solvers.kernels.serving_moves import BEST, NOW, cost_of

        assert search.best is not None
        self.cycle, self.chunk = self.cycle + 1, 0
        self.length = FIRST_CYCLE if self.cycle == 0 else int(self.length * CYCLE_GROWTH) + 1
        _write(self.sequence, search.best.decisions)
        self.sequence.value[NOW] = cost_of(self.given, self.sequence)
        self.sequence.value[BEST] = self.sequence.value[NOW]


def _given(problem: OfflineServing) -> Given:
    from dnnplan.solvers.kernels.serving_moves import Given

    serving, late = problem.serving, problem.name == "late"
    arrival = problem.samples.arrival
    longest = float(np.ptp(arrival)) + float(serving.latency.max(axis=1).sum()) * problem.n
    total = float(problem.weight.sum()) * longest or 1.0
    return Given(
        release=arrival,
        weight=problem.weight,
        deadline=problem.deadline * (1 + LATE),
        first=problem.first,
        beyond=problem.beyond,
        device=serving.device,
        latency=serving.latency,
        transfer=serving.transfer,
        switch=serving.switch,
        second=TIE / total if late else 1.0,
        late=1.0 if late else 0.0,
    )


def _sequence(problem: OfflineServing, seed: int) -> Sequence:
    from dnnplan.solvers.kernels.serving_moves import Sequence

    count, largest, n = int(problem.samples.depth.sum()) + 1, problem.serving.max_batch, problem.n
    devices = len(problem.serving.devices)

    def numbers(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype=np.int64)

    return Sequence(
        stage=numbers(count),
        size=numbers(count),
        member=numbers(count, largest),
        old_stage=numbers(count),
        old_size=numbers(count),
        old_member=numbers(count, largest),
        best_stage=numbers(count),
        best_size=numbers(count),
        best_member=numbers(count, largest),
        following=numbers(n),
        ready=np.zeros(n),
        free=np.zeros(devices),
        ran=numbers(n + devices),
        random=np.array([1 + (seed * 7919 + 31) % 2_147_483_646], dtype=np.int64),
        state=numbers(1),
        value=np.zeros(2),
    )


def _write(s: Sequence, batches: Batches[tuple[int, Batches[int]]]) -> None:
    from dnnplan.solvers.kernels.serving_moves import BATCHES

    for k, (stage, members) in enumerate(batches):
        s.stage[k], s.size[k] = stage, len(members)
        s.member[k, : len(members)] = members
    s.state[BATCHES] = len(batches)
