"""Orders by dynamic programming over sets of tasks, on bit masks: Held and Karp (1962), sets closed under precedence.

Memory is 2^n x n numbers; sets that miss a predecessor of one of their tasks are passed over.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray

NONE = -1


def best_costs(first: FloatArray, switch: FloatArray, predecessors: IntArray) -> tuple[FloatArray, IntArray]:
    """Least cost of every set of tasks, by the task that runs last.

    Parameters
    ----------
    first
        (n,) cost of starting with each task; infinite where that is not allowed.
    switch
        (n, n) cost of the column's task right after the row's.
    predecessors
        (n,) bit masks of the tasks that come before each.

    Returns
    -------
    cost
        (2^n, n) infinite where there is no such order.
    parent
        (2^n, n) the task before the last one; -1 for the first.

    Notes
    -----
    f({j}, j) = first(j); f(S, j) = min over i in S without j of f(S without j, i) + switch(i, j), where all
    predecessors of j are in S. O(2^n n^2).
    """
    n = first.shape[0]
    cost = np.full((1 << n, n), np.inf)
    parent = np.full((1 << n, n), NONE, dtype=np.int64)
    for j in range(n):
        if predecessors[j] == 0:
            cost[1 << j, j] = first[j]
    for done in range(1, 1 << n):
        for j in range(n):
            if done >> j & 1 or predecessors[j] & ~done:
                continue
            best, by = np.inf, NONE
            for i in range(n):
                if done >> i & 1 and cost[done, i] + switch[i, j] < best:
                    best, by = cost[done, i] + switch[i, j], i
            if by >= 0:
                cost[done | 1 << j, j] = best
                parent[done | 1 << j, j] = by
    return cost, parent
