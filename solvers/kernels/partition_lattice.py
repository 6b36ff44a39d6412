"""All partitions of a few tasks, and least sums along chains of refinements.

Partitions are rows of group numbers: tasks are numbered by their group, groups in the order of their smallest task
(restricted growth strings). They are sorted by their number of groups, the partition into one group first.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import kernel
from dnnplan.costs.routes import FloatArray, IntArray

Rows = NDArray[np.int8]
Numbers = NDArray[np.int32]


@kernel
def list_merges(rows: Rows, count: IntArray, start: IntArray, codes: IntArray, places: IntArray) -> Numbers:
    """Numbers of the partitions that arise when two groups are joined; ``[start[q]:start[q + 1]]`` are those of q.

    Parameters
    ----------
    rows, count
        (N, n) partitions and (N,) numbers of groups.
    start
        (N + 1,) offsets.
    codes, places
        (N,) rows as numbers to base 16, sorted, and which partition each is.
    """
    number, n = rows.shape
    found = np.empty(start[number], dtype=np.int32)
    for q in range(number):
        e = start[q]
        for a in range(count[q]):
            for b in range(a + 1, count[q]):
                code = 0
                for t in range(n):
                    group = rows[q, t]
                    if group == b:
                        group = a
                    elif group > b:
                        group -= 1
                    code = code * 16 + group
                found[e] = places[np.searchsorted(codes, code)]
                e += 1
    return found


@kernel
def transposed(start: IntArray, targets: Numbers) -> tuple[IntArray, Numbers]:
    """The same pairs listed by their other end."""
    number = start.shape[0] - 1
    first = np.zeros(number + 1, dtype=np.int64)
    for e in range(targets.shape[0]):
        first[targets[e] + 1] += 1
    for q in range(number):
        first[q + 1] += first[q]
    place = first.copy()
    found = np.empty(targets.shape[0], dtype=np.int32)
    for q in range(number):
        for e in range(start[q], start[q + 1]):
            found[place[targets[e]]] = q
            place[targets[e]] += 1
    return first, found


@kernel
def measure_partitions(
    rows: Rows,
    count: IntArray,
    distance: FloatArray,
    figures: tuple[FloatArray, FloatArray, FloatArray],
    shares: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """(4, N) what each partition adds to variety, task_variety, size and execution_cost at one branch point.

    Parameters
    ----------
    distance
        (n, n) dissimilarities.
    figures, shares
        (n,) bytes, compute and load of the block for each task; (n + 1,) visits by the number of tasks, for computing
        and loading.
    """
    number, n = rows.shape
    size, compute, load = figures
    found = np.zeros((4, number))
    largest = np.zeros((4, n))
    members = np.zeros(n, dtype=np.int64)
    for q in range(number):
        groups = count[q]
        largest[:, :groups] = 0.0
        members[:groups] = 0
        for t in range(n):
            g = rows[q, t]
            members[g] += 1
            largest[1, g] = max(largest[1, g], size[t])
            largest[2, g] = max(largest[2, g], compute[t])
            largest[3, g] = max(largest[3, g], load[t])
            for u in range(t):
                if rows[q, u] == g:
                    largest[0, g] = max(largest[0, g], distance[u, t])
        for g in range(groups):
            found[0, q] += largest[0, g]
            found[1, q] += largest[0, g] * members[g]
            found[2, q] += largest[1, g]
            found[3, q] += largest[2, g] * shares[0][members[g]] + largest[3, g] * shares[1][members[g]]
        found[0, q] /= groups
        found[1, q] /= n
    return found


@kernel
def least_coarser(value: FloatArray, start: IntArray, coarser: Numbers) -> tuple[FloatArray, Numbers]:
    """(N,) least value of each partition and of all that it refines, and which one has it.

    ``least(Q) = min(value(Q), least(P) for P = Q with two groups joined)``, from few groups to many.
    """
    number = value.shape[0]
    least = value.copy()
    origin = np.empty(number, dtype=np.int32)
    for q in range(number):
        best, place = value[q], q
        for e in range(start[q], start[q + 1]):
            p = coarser[e]
            if least[p] < best:
                best, place = least[p], origin[p]
        least[q] = best
        origin[q] = place
    return least, origin
