"""Ranks of layers for list schedules: downward ranks and optimistic cost tables, on arrays.

Written for numba and valid as plain Python: each function is the oracle of its compiled twin.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.routes import FloatArray, IntArray


def downward_ranks(a: Arrays, topological: IntArray, mean: FloatArray, mean_delay: FloatArray) -> FloatArray:
    """rank(j) = max over producers i of (rank(i) + mean time of i + mean delay) (Topcuoglu et al. 2002, eq. 9)."""
    rank = np.zeros(topological.shape[0])
    for q in range(topological.shape[0]):
        j = topological[q]
        for e in range(a.in_start[j], a.in_start[j + 1]):
            k = a.in_tensor[e]
            i = a.source[k]
            if i >= 0:
                rank[j] = max(rank[j], rank[i] + mean[i] + mean_delay[k])
    return rank


def optimistic_costs(a: Arrays, topological: IntArray, mean_delay: FloatArray) -> FloatArray:
    """OCT(i, d) = max over readers j of min over devices b of (OCT(j, b) + time of j on b + mean delay if b /= d).

    Arabnejad and Barbosa 2014, eq. 4. O(edges x devices): the least over b /= d may be taken over all b with the delay.

    Returns
    -------
    (n, m) seconds.
    """
    n, m = a.duration.shape
    cost = np.zeros((n, m))
    for q in range(n - 1, -1, -1):
        j = topological[q]
        away = np.inf
        for b in range(m):
            away = min(away, cost[j, b] + a.duration[j, b])
        for e in range(a.in_start[j], a.in_start[j + 1]):
            k = a.in_tensor[e]
            i = a.source[k]
            if i >= 0:
                for d in range(m):
                    least = min(cost[j, d] + a.duration[j, d], away + mean_delay[k])
                    cost[i, d] = max(cost[i, d], least)
    return cost
