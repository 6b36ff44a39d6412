"""List scheduling with insertion on arrays: the decoder of HEFT and of all searches over priorities.

Written for numba and valid as plain Python: `schedule` is the oracle of its compiled twin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.routes import FloatArray, IntArray


def upward_ranks(a: Arrays, topological: IntArray, mean: FloatArray, mean_delay: FloatArray) -> FloatArray:
    """rank(i) = mean time of i + max over readers j of (mean delay + rank(j)) (Topcuoglu et al. 2002, eq. 8).

    Parameters
    ----------
    mean, mean_delay
        (n,) mean seconds over the devices that can run a layer; (K,) mean delay over pairs of devices.
    """
    rank = mean.copy()
    for p in range(topological.shape[0] - 1, -1, -1):
        j = topological[p]
        for e in range(a.in_start[j], a.in_start[j + 1]):
            k = a.in_tensor[e]
            i = a.source[k]
            if i >= 0:
                rank[i] = max(rank[i], mean[i] + mean_delay[k] + rank[j])
    return rank


def schedule(  # noqa: C901, PLR0912, PLR0915
    a: Arrays, order: IntArray, forced: IntArray, bias: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Place and time every layer, one after the other, each in the earliest gap of the best device.

    Parameters
    ----------
    order
        (n,) layers, producers before readers.
    forced
        (n,) device of a layer, or -1: the device of least end + bias.
    bias
        (n, m) seconds added to the end of a layer on a device when devices are compared; zeros for HEFT.

    Returns
    -------
    place, start, end
        (n,) device, or -1 where no device has room, and seconds. O(n m (inputs + log n)) but for crowded gaps.
    """
    n, m = a.duration.shape
    first_lane = np.zeros(m + 1, dtype=np.int64)
    for d in range(m):
        first_lane[d + 1] = first_lane[d] + max(a.lanes[d], 1)
    lanes = first_lane[m]
    busy_from = np.zeros((lanes, n))
    busy_to = np.zeros((lanes, n))
    count = np.zeros(lanes, dtype=np.int64)
    room = a.room.copy()
    place = np.full(n, -1, dtype=np.int64)
    start = np.zeros(n)
    end = np.zeros(n)
    for q in range(n):
        i = order[q]
        best = np.inf
        best_lane, best_spot, best_start = -1, 0, 0.0
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
            if ready == np.inf:
                continue
            if a.lanes[d] == 0:
                if ready + length + bias[i, d] < best:
                    best = ready + length + bias[i, d]
                    best_lane, best_spot, best_start = first_lane[d], -1, ready
                    place[i] = d
                continue
            for lane in range(first_lane[d], first_lane[d + 1]):
                # First busy span that ends after `ready`, by bisection; gaps before it are in the past.
                low, high = 0, count[lane]
                while low < high:
                    middle = (low + high) // 2
                    if busy_to[lane, middle] > ready:
                        high = middle
                    else:
                        low = middle + 1
                begin = ready
                while low < count[lane] and busy_from[lane, low] - begin < length:
                    begin = max(begin, busy_to[lane, low])
                    low += 1
                if begin + length + bias[i, d] < best:
                    best = begin + length + bias[i, d]
                    best_lane, best_spot, best_start = lane, low, begin
                    place[i] = d
        if best_lane < 0:
            place[i] = -1
            return place, start, end
        d = place[i]
        start[i] = best_start
        end[i] = best_start + a.duration[i, d]
        room[d] -= a.weight[i]
        if best_spot >= 0:
            for s in range(count[best_lane], best_spot, -1):
                busy_from[best_lane, s] = busy_from[best_lane, s - 1]
                busy_to[best_lane, s] = busy_to[best_lane, s - 1]
            busy_from[best_lane, best_spot] = start[i]
            busy_to[best_lane, best_spot] = end[i]
            count[best_lane] += 1
    return place, start, end


def device_order(
    place: NDArray[np.int64], start: FloatArray, end: FloatArray, order: IntArray, m: int
) -> list[list[int]]:
    """(m,) layers of each device by start; ties by end, then by their place in `order`."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    rows: list[list[int]] = [[] for _ in range(m)]
    for i in np.lexsort((position, end, start)).tolist():
        rows[place[i]].append(i)
    return rows
