"""Dynamic programme over segments of a linear order of groups: the best split into one segment a device.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.placement import LoadArrays


def tensor_cost(a: LoadArrays, k: int, inside: IntArray, readers_in: IntArray, device: int) -> float:
    """Seconds that tensor k costs a device which has the groups marked inside."""
    total = a.groups_at[k + 1] - a.groups_at[k]
    source = a.source[k]
    if source >= 0 and inside[source]:
        return float(a.send[k, device]) if a.always[k] or readers_in[k] < total else 0.0
    if readers_in[k] == 0:
        return 0.0
    return float(a.farthest[k, device])


cost_of = inner(tensor_cost)


@inner
def segment_loads(
    a: LoadArrays, order: IntArray, device: int, end: int, limit: float, loads: FloatArray
) -> int:
    """Loads of the segments of `order` that end before position `end`, by their begin, in `loads`.

    Returns the least begin looked at: earlier ones compute for `limit` seconds or more, or do not fit.
    """
    inside = np.zeros(order.shape[0], dtype=np.int64)
    readers_in = np.zeros(a.source.shape[0], dtype=np.int64)
    held = np.zeros(a.weight_bytes.shape[0], dtype=np.int64)
    work, moves, used = 0.0, 0.0, 0.0
    for j in range(end - 1, -1, -1):
        g = order[j]
        work += a.work[g, device]
        moves += a.fixed[g, device]
        for e in range(a.weights_at[g], a.weights_at[g + 1]):
            if held[a.weights[e]] == 0:
                used += a.weight_bytes[a.weights[e]]
            held[a.weights[e]] = 1
        if work >= limit or used > a.room[device]:
            return j + 1
        for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
            moves -= cost_of(a, a.tensors[e], inside, readers_in, device)
        inside[g] = 1
        for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
            if a.source[a.tensors[e]] != g:
                readers_in[a.tensors[e]] += 1
        for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
            moves += cost_of(a, a.tensors[e], inside, readers_in, device)
        loads[j] = max(work, moves) if a.overlap else work + moves
    return 0


@kernel
def split(
    a: LoadArrays,
    order: IntArray,
    devices: IntArray,
    radix: IntArray,
    host: int,
    serial: bool,
    halt: NDArray[np.uint8],
) -> tuple[FloatArray, IntArray, IntArray]:
    """Best consecutive segments of each prefix of `order` on each multiset of devices: by their largest or total load.

    Parameters
    ----------
    devices
        (C,) a device of each class of identical ones.
    radix
        (C + 1,) a state counts the devices that may be used, ``sum over classes c of count(c) x radix[c]``; the count
        of c is below ``radix[c + 1] / radix[c]``.
    host
        A device that also takes any single group, as often as wanted; -1: none.
    serial
        Whether loads add up (segments run one after the other) or the largest counts.
    halt
        (1,) not 0 from the moment on when nobody waits for the rest, which is left infinite then.

    Returns
    -------
    value, begin, last
        (G + 1, states) the value, where the last segment begins, and its class (C: the host).
    """
    size, states, classes = order.shape[0], radix[-1], devices.shape[0]
    value = np.full((size + 1, states), np.inf)
    begin = np.full((size + 1, states), -1)
    last = np.full((size + 1, states), -1)
    value[0, :] = 0.0
    loads = np.zeros(size)
    for i in range(1, size + 1):
        if halt[0]:
            break
        if host >= 0:
            for state in range(states):
                value[i, state] = value[i - 1, state] + a.work[order[i - 1], host]
                begin[i, state] = i - 1
                last[i, state] = classes
        for c in range(classes):
            first = segment_loads(a, order, devices[c], i, np.inf, loads)
            for j in range(first, i):
                for state in range(states):
                    if state % radix[c + 1] // radix[c] == 0:
                        continue
                    before = value[j, state - radix[c]]
                    now = before + loads[j] if serial else max(before, loads[j])
                    if now < value[i, state]:
                        value[i, state] = now
                        begin[i, state] = j
                        last[i, state] = c
    return value, begin, last
