"""All partitions of a few tasks with what they refine, and what each adds to the sums of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.criteria import Criteria, symmetric_distances
from dnnplan.solvers.grouping.slots import groups_of

MOST_TASKS = 11
"""Tasks up to which all partitions are listed: 678,570, with 7.5 million ways to join two groups of one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Lattice:
    """The N partitions of n tasks, by their number of groups.

    Parameters
    ----------
    rows
        (N, n) group of each task.
    count
        (N,) numbers of groups.
    coarser, finer
        Offsets and a flat list: the partitions with two groups joined, and those with one group cut in two.
    """

    rows: NDArray[np.int8]
    count: IntArray
    coarser: tuple[IntArray, NDArray[np.int32]]
    finer: tuple[IntArray, NDArray[np.int32]]

    @property
    def size(self) -> int:
        """N, a Bell number."""
        return len(self.rows)

    def groups(self, chain: list[int]) -> Groups:
        """A chain of partitions as a task graph."""
        return groups_of(self.rows[chain].astype(np.int64))


@lru_cache(maxsize=1)
def lattice_of(n: int) -> Lattice:
    """The partitions of n tasks: O(B(n) n^2) for the Bell number B(n); the last one asked for is kept."""
    from dnnplan.solvers.kernels.partition_lattice import list_merges, transposed

    rows = _growth_strings(n)
    count = rows.max(axis=1).astype(np.int64) + 1
    order = np.argsort(count, kind="stable")
    rows, count = np.ascontiguousarray(rows[order]), count[order]
    codes = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        codes = codes * 16 + column
    places = np.argsort(codes)
    start = np.concatenate([[0], np.cumsum(count * (count - 1) // 2)]).astype(np.int64)
    merges = list_merges(rows, count, start, codes[places], places)
    return Lattice(rows=rows, count=count, coarser=(start, merges), finer=transposed(start, merges))


def _growth_strings(n: int) -> NDArray[np.int8]:
    """(N, n) all restricted growth strings: each number is at most one more than the largest before it."""
    rows = np.zeros((1, 1), dtype=np.int8)
    for _ in range(1, n):
        choices = rows.max(axis=1).astype(np.int64) + 2
        parent = np.repeat(np.arange(len(rows)), choices)
        first = np.concatenate([[0], np.cumsum(choices)])
        last = np.arange(len(parent)) - first[parent]
        rows = np.column_stack([rows[parent], last.astype(np.int8)])
    return rows


def level_costs(problem: GroupingProblem, criteria: Criteria, lattice: Lattice) -> list[FloatArray]:
    """(C, N) what each partition adds to each sum, branch point by branch point."""
    from dnnplan.solvers.kernels.partition_lattice import measure_partitions

    distance, costs, found = symmetric_distances(problem), problem.costs, []
    for level, row in enumerate(range(problem.rows.start, problem.rows.stop)):
        measures = measure_partitions(
            lattice.rows,
            lattice.count,
            distance[level],
            (costs.bytes[row], costs.compute[row], costs.load[row]),
            (problem.share_compute, problem.share_load),
        )
        found.append(np.ascontiguousarray(criteria.weights @ measures))
    return found
