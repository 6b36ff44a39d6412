"""A list schedule around layers that stay: those keep their devices and their order, the others go into the gaps.

Written for numba and valid as plain Python: `schedule_around` is the oracle of its compiled twin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.routes import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


def schedule_around(  # noqa: C901, PLR0912, PLR0915
    a: Arrays, order: IntArray, forced: IntArray, stays: BoolArray, bias: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Place and time every layer, one after the other; those that stay keep their order on their device.

    Parameters
    ----------
    order
        (n,) layers, producers before readers.
    forced
        (n,) device of a layer, or -1: the device of least end + bias.
    stays
        (n,) layers that start after every layer before them in `order` that stays on the same device.
    bias
        (n, m) seconds added to the end of a layer on a device when devices are compared.

    Returns
    -------
    place, start, end
        (n,) device, or -1 where none has room, and seconds. O(n m (inputs + n)).
    """
    n, m = a.duration.shape
    first_lane = np.zeros(m + 1, dtype=np.int64)
    for d in range(m):
        first_lane[d + 1] = first_lane[d] + max(a.lanes[d], 1)
    busy_from = np.zeros((first_lane[m], n))
    busy_to = np.zeros((first_lane[m], n))
    count = np.zeros(first_lane[m], dtype=np.int64)
    room = a.room.copy()
    floor = np.zeros(m)
    place = np.full(n, -1, dtype=np.int64)
    start, end = np.zeros(n), np.zeros(n)
    for q in range(n):
        i = order[q]
        best, best_start = np.inf, 0.0
        best_lane, best_spot, best_device = -1, -1, -1
        for d in range(m):
            length = a.duration[i, d]
            if (forced[i] >= 0 and forced[i] != d) or length == np.inf or a.weight[i] > room[d]:
                continue
            ready = a.release[i]
            for e in range(a.in_start[i], a.in_start[i + 1]):
                k = a.in_tensor[e]
                p = a.source[k]
                origin = place[p] if p >= 0 else m
                moment = end[p] if p >= 0 else a.ready[k]
                if origin != d:
                    if a.row[k] >= 0:
                        moment += a.table[a.row[k], origin, d]
                    else:
                        moment += a.latency[origin, d] + a.size[k] * a.per_byte[origin, d]
                ready = max(ready, moment)
            if stays[i]:
                ready = max(ready, floor[d])
            if ready == np.inf:
                continue
            for lane in range(first_lane[d], first_lane[d + 1]):
                spot, begin = -1, ready
                if a.lanes[d] > 0:
                    spot = 0
                    while spot < count[lane] and busy_to[lane, spot] <= ready:
                        spot += 1
                    while spot < count[lane] and busy_from[lane, spot] - begin < length:
                        begin = max(begin, busy_to[lane, spot])
                        spot += 1
                if begin + length + bias[i, d] < best:
                    best, best_start = begin + length + bias[i, d], begin
                    best_lane, best_spot, best_device = lane, spot, d
        if best_device < 0:
            return place, start, end
        place[i] = best_device
        start[i] = best_start
        end[i] = best_start + a.duration[i, best_device]
        room[best_device] -= a.weight[i]
        if stays[i]:
            # One layer at a time: the next one that stays comes behind; otherwise it starts no earlier.
            floor[best_device] = end[i] if a.lanes[best_device] == 1 else start[i]
        if best_spot >= 0:
            for s in range(count[best_lane], best_spot, -1):
                busy_from[best_lane, s] = busy_from[best_lane, s - 1]
                busy_to[best_lane, s] = busy_to[best_lane, s - 1]
            busy_from[best_lane, best_spot] = start[i]
            busy_to[best_lane, best_spot] = end[i]
            count[best_lane] += 1
    return place, start, end
