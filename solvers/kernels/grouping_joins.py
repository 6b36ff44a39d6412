"""What all joins of two groups of a task graph would give.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.grouping_annealing import copy_state, energy
from dnnplan.solvers.kernels.grouping_state import State, Tables, measure_all, parting, regraft, sums


@kernel
def join_energies(a: Tables, s: State, spare: State, penalty: FloatArray) -> tuple[FloatArray, IntArray]:
    """Energies after each join, and which tasks stand for the groups, and the branch point up to which they are joined.

    Two groups are joined at one branch point, and with them all groups before it that they lie in. O(L n^2) joins.

    Returns
    -------
    (K,) energies and (K, 3) joins.
    """
    levels, n = s.home.shape
    measure_all(a, s)
    copy_state(s, spare)
    values = np.empty(levels * n * (n - 1) // 2)
    joins = np.empty((values.shape[0], 3), dtype=np.int64)
    found = np.empty(a.weights.shape[0])
    first = np.empty(n, dtype=np.int64)
    count = 0
    for level in range(levels):
        groups = 0
        for t in range(n):
            seen = False
            for x in range(groups):
                if s.home[level, first[x]] == s.home[level, t]:
                    seen = True
            if not seen:
                first[groups] = t
                groups += 1
        for x in range(groups):
            for y in range(x):
                t, u = first[x], first[y]
                regraft(a, s, t, u, parting(s, t, u), level)
                sums(a, s, found)
                values[count] = energy(a, penalty, found)
                joins[count, 0], joins[count, 1], joins[count, 2] = t, u, level
                count += 1
                copy_state(spare, s)
    return values[:count], joins[:count]
