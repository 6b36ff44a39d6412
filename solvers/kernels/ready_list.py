"""List scheduling in which the schedule so far decides which layer comes next: min-min and its relatives on arrays.

Written for numba and valid as plain Python: the plain function is the oracle of its compiled twin.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.routes import FloatArray, IntArray

EARLIEST_END, LATEST_END, SUFFERAGE, EARLIEST_START = 0, 1, 2, 3
"""Rules: of the best ends of all ready layers the least, or the largest; the largest loss on the second-best device;
the least start of all pairs of ready layer and device."""


def ready_list(  # noqa: C901, PLR0912, PLR0915
    a: Arrays, waits: tuple[IntArray, IntArray], rule: int, level: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
    """Place and time the layers, each step one of those whose producers are placed; devices are filled in time order.

    Parameters
    ----------
    waits
        (n + 1,) and (e,): the layers that wait for layer i are ``waits[1][waits[0][i]:waits[0][i + 1]]``.
    level
        (n,) breaks ties: higher first, then the smaller index.

    Returns
    -------
    place, start, end, order
        (n,) device, or -1 from the first layer on that no device has room for; seconds; layers as they were placed.
    """
    n, m = a.duration.shape
    first_lane = np.zeros(m + 1, dtype=np.int64)
    for d in range(m):
        first_lane[d + 1] = first_lane[d] + max(a.lanes[d], 1)
    free_from = np.zeros(first_lane[m])
    room = a.room.copy()
    waiting = np.zeros(n, dtype=np.int64)
    for e in range(waits[1].shape[0]):
        waiting[waits[1][e]] += 1
    arrival = np.zeros((n, m))
    ready = np.empty(n, dtype=np.int64)
    count = 0
    fresh = np.empty(n, dtype=np.int64)
    new = 0
    for i in range(n):
        if waiting[i] == 0:
            fresh[new] = i
            new += 1
    place = np.full(n, -1, dtype=np.int64)
    start, end = np.zeros(n), np.zeros(n)
    order = np.full(n, -1, dtype=np.int64)
    for step in range(n):
        for f in range(new):
            i = fresh[f]
            ready[count] = i
            count += 1
            for d in range(m):
                moment = a.release[i]
                for e in range(a.in_start[i], a.in_start[i + 1]):
                    k = a.in_tensor[e]
                    p = a.source[k]
                    origin = place[p] if p >= 0 else m
                    at = end[p] if p >= 0 else a.ready[k]
                    if origin != d:
                        if a.row[k] >= 0:
                            at += a.table[a.row[k], origin, d]
                        else:
                            at += a.latency[origin, d] + a.size[k] * a.per_byte[origin, d]
                    moment = max(moment, at)
                arrival[i, d] = moment
        new = 0
        best_key, best_level, chosen, device, slot = -np.inf, -np.inf, -1, -1, -1
        for r in range(count):
            i = ready[r]
            least, second, where = np.inf, np.inf, -1
            for d in range(m):
                if a.duration[i, d] == np.inf or arrival[i, d] == np.inf or a.weight[i] > room[d]:
                    continue
                begin = arrival[i, d]
                if a.lanes[d] > 0:
                    begin = max(begin, free_from[first_lane[d] : first_lane[d + 1]].min())
                value = begin if rule == EARLIEST_START else begin + a.duration[i, d]
                if value < least:
                    least, second, where = value, least, d
                elif value < second:
                    second = value
            if where < 0:
                return place, start, end, order
            if rule == LATEST_END:
                key = least
            elif rule == SUFFERAGE:
                key = second - least
            else:
                key = -least
            better = key > best_key or (
                key == best_key and (level[i] > best_level or (level[i] == best_level and i < ready[chosen]))
            )
            if chosen < 0 or better:
                best_key, best_level, chosen, device = key, level[i], r, where
        i, d = ready[chosen], device
        count -= 1
        ready[chosen] = ready[count]
        begin = arrival[i, d]
        if a.lanes[d] > 0:
            slot = first_lane[d] + free_from[first_lane[d] : first_lane[d + 1]].argmin()
            begin = max(begin, free_from[slot])
            free_from[slot] = begin + a.duration[i, d]
        place[i], start[i], end[i] = d, begin, begin + a.duration[i, d]
        room[d] -= a.weight[i]
        order[step] = i
        for e in range(waits[0][i], waits[0][i + 1]):
            j = waits[1][e]
            waiting[j] -= 1
            if waiting[j] == 0:
                fresh[new] = j
                new += 1
    return place, start, end, order
