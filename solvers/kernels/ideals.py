"""Dynamic programme over ideals: the best split of a graph into one convex set of groups a device.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.placement import LoadArrays
from dnnplan.solvers.kernels.segments import cost_of


def load_inside(a: LoadArrays, inside: IntArray, readers_in: IntArray, device: int) -> float:
    """Load of a device with the groups marked inside; infinite if their weights do not fit."""
    work, moves, used = 0.0, 0.0, 0.0
    held = np.zeros(a.weight_bytes.shape[0], dtype=np.int64)
    for g in range(inside.shape[0]):
        if inside[g]:
            work += a.work[g, device]
            moves += a.fixed[g, device]
            for e in range(a.weights_at[g], a.weights_at[g + 1]):
                if held[a.weights[e]] == 0:
                    used += a.weight_bytes[a.weights[e]]
                held[a.weights[e]] = 1
    if used > a.room[device]:
        return np.inf
    for k in range(a.source.shape[0]):
        readers_in[k] = 0
        for e in range(a.groups_at[k], a.groups_at[k + 1]):
            readers_in[k] += inside[a.groups[e]]
        moves += cost_of(a, k, inside, readers_in, device)
    return max(work, moves) if a.overlap else work + moves


load_of = inner(load_inside)


@kernel
def extend_ideals(  # noqa: C901
    a: LoadArrays,
    member: IntArray,
    work: FloatArray,
    devices: IntArray,
    radix: IntArray,
    limit: float,
    rows: tuple[int, int],
    tables: tuple[FloatArray, IntArray, IntArray],
) -> None:
    """Fill the rows of the tables from all earlier ones.

    Parameters
    ----------
    member, work
        (N, G) 1: the ideal has the group; ideals by size, the empty one first. (N, C) compute of each class.
    devices, radix
        As in `dnnplan.solvers.kernels.segments.split`.
    limit
        Sets that compute for longer on every device are not looked at.
    tables
        (N, states) least largest load of an ideal on a multiset of devices, the ideal that the last device adds to, and
        its class.
    """
    value, before, last = tables
    size, states = member.shape[1], value.shape[1]
    inside = np.zeros(size, dtype=np.int64)
    readers_in = np.zeros(a.source.shape[0], dtype=np.int64)
    for i in range(rows[0], rows[1]):
        for j in range(i):
            subset = False
            for c in range(devices.shape[0]):
                # What a class cannot run makes both infinite: the difference is no number, and is looked at.
                if not work[i, c] - work[j, c] > limit:
                    subset = True
            if not subset:
                continue
            for g in range(size):
                if member[j, g] > member[i, g]:
                    subset = False
                    break
                inside[g] = member[i, g] - member[j, g]
            if not subset:
                continue
            for c in range(devices.shape[0]):
                load = load_of(a, inside, readers_in, devices[c])
                for state in range(states):
                    if state % radix[c + 1] // radix[c] == 0:
                        continue
                    least = max(value[j, state - radix[c]], load)
                    if least < value[i, state]:
                        value[i, state] = least
                        before[i, state] = j
                        last[i, state] = c
