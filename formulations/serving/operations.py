"""What the models of serving agree on: operations, pairs of them, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.evaluate import LATE
from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.shares import shares_of
from dnnplan.instances import UnsupportedError

Operation = tuple[int, int]
"""(sample, stage)."""
MOST_OPERATIONS = 160
"""The pairs of operations are as many as their square."""


@dataclass(frozen=True, eq=False)
class Operations:
    """The operations of a problem, times counted from the first arrival.

    An operation is one stage of one sample; those of one batch run together.
    """

    problem: OfflineServing

    @cached_property
    def all(self) -> tuple[Operation, ...]:
        """Operations of all samples, those of a sample in order."""
        p = self.problem
        return tuple((j, q) for j in range(p.n) for q in range(int(p.first[j]), int(p.beyond[j])))

    @cached_property
    def origin(self) -> float:
        """Seconds of the first arrival."""
        return float(self.problem.samples.arrival.min(initial=np.inf)) if self.problem.n else 0.0

    @cached_property
    def release(self) -> FloatArray:
        """(n,) arrivals."""
        release: FloatArray = self.problem.samples.arrival - self.origin
        return release

    @cached_property
    def deadline(self) -> FloatArray:
        """(n,) seconds until which a sample has to have left, tolerance included."""
        deadline: FloatArray = self.problem.deadline * (1 + LATE) - self.origin
        return deadline

    def last(self, j: int) -> Operation:
        """The last operation of a sample."""
        return j, int(self.problem.beyond[j]) - 1

    def device(self, o: Operation) -> int:
        """Device of an operation."""
        return int(self.problem.serving.device[o[1]])

    @cached_property
    def alike(self) -> tuple[tuple[Operation, Operation], ...]:
        """Pairs of operations that could share a batch: same stage, different samples."""
        return tuple((o, u) for o, u in combinations(self.all, 2) if o[1] == u[1])

    @cached_property
    def disjoint(self) -> tuple[tuple[Operation, Operation], ...]:
        """Ordered pairs of operations of different samples on one device."""
        return tuple(
            (o, u) for o, u in permutations(self.all, 2) if o[0] != u[0] and self.device(o) == self.device(u)
        )

    @cached_property
    def counts(self) -> dict[int, int]:
        """Samples that run each stage."""
        found: dict[int, int] = {}
        for _, q in self.all:
            found[q] = found.get(q, 0) + 1
        return found

    def sizes(self, q: int) -> range:
        """Sizes that a batch of a stage can have."""
        return range(1, min(self.problem.serving.max_batch, self.counts[q]) + 1)

    @cached_property
    def part(self) -> FloatArray:
        """(Q, B + 1) least seconds of a batch for each of its samples; column 0 is not used."""
        part = shares_of(self.problem.serving.latency).part
        return np.concatenate([np.zeros((len(part), 1)), part], axis=1)

    @cached_property
    def horizon(self) -> float:
        """Seconds in which everything is done one after the other, in the slowest batches."""
        serving = self.problem.serving
        slowest = serving.latency.max(axis=1) + serving.transfer.max(axis=1)
        return float(self.release.max(initial=0.0)) + float(sum(slowest[q] for _, q in self.all))

    def earliest(self, o: Operation) -> float:
        """Least start of an operation."""
        j, q = o
        serving = self.problem.serving
        before = slice(int(self.problem.first[j]), q)
        return float(self.release[j]) + float(
            serving.latency[before, 1:].min(axis=1).sum() + serving.transfer[before, 1:].min(axis=1).sum()
        )

    @cached_property
    def in_order(self) -> tuple[tuple[int, int], ...]:
        """Pairs of samples of which the first one may go first at every stage: same network, depth, weight and SLO.

        The one that came first, of two that come one after the other among samples that are alike. Proof: two such
        samples that are at the same stage can trade all that follows; the completions stay, and with deadlines the
        earlier one is due earlier. For deadlines this holds only where nobody is late: there it is left out.
        """
        if self.problem.name == "late":
            return ()
        p = self.problem
        last: dict[tuple[int, int, float], int] = {}
        found = []
        for j in range(p.n):
            key = (int(p.first[j]), int(p.beyond[j]), float(p.weight[j]))
            if key in last:
                found.append((last[key], j))
            last[key] = j
        return tuple(found)


def operations_of(problem: OfflineServing) -> Operations:
    """The operations of a problem that models cover.

    Raises
    ------
    UnsupportedError
        Parked samples that come back from memory, or too many operations.
    """
    if problem.serving.switch.any():
        raise UnsupportedError(
            "models of serving have no cost of parked samples (stage_switch); use labels or auto"
        )
    count = int(problem.samples.depth.sum())
    if count > MOST_OPERATIONS:
        raise UnsupportedError(
            f"models of serving: {count} operations (stages of samples), expected at most {MOST_OPERATIONS}; use auto"
        )
    return Operations(problem)


def batches_by(
    starts: dict[Operation, float], same: dict[tuple[Operation, Operation], bool]
) -> list[tuple[int, tuple[int, ...]]]:
    """Batches in the order of their starts, from what is in one batch; stages of a sample in order where starts tie."""
    groups: dict[Operation, list[Operation]] = {o: [o] for o in starts}
    for (o, u), together in same.items():
        if together and groups[o] is not groups[u]:
            merged = groups[o] + groups[u]
            for member in merged:
                groups[member] = merged
    found = {id(group): group for group in groups.values()}
    ranked = sorted(found.values(), key=lambda group: (min(starts[o] for o in group), group[0][1]))
    return [(group[0][1], tuple(sorted(j for j, _ in group))) for group in ranked]
