"""List scheduling on a circle: every call takes its turn in each cycle, and a cycle repeats for ever.

Written for numba and valid as plain Python: `modulo_schedule` is the oracle of its compiled twin.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.routes import FloatArray, IntArray


def modulo_schedule(  # noqa: C901, PLR0912, PLR0915
    a: Arrays, order: IntArray, forced: IntArray, after: FloatArray, cycle: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Place and time every layer, one after the other, where it ends first in the free arcs of its device.

    Rau's modulo reservation table (MICRO 1994) with continuous time; calls that are placed stay.

    Parameters
    ----------
    a
        Releases (`release`, `ready`) in seconds under this cycle.
    order
        (n,) layers, producers before readers.
    forced
        (n,) device of a layer, or -1: the device on which it ends first.
    after
        (n, m) seconds that count as part of its end when devices are compared, e.g. of its outputs to the host.

    Returns
    -------
    place, start, end
        (n,) device, or -1 where no device has a free arc of that length, and seconds. O(n m (inputs + arcs)).
    """
    n, m = a.duration.shape
    arc_from = np.zeros((m, 2 * n))
    arc_to = np.zeros((m, 2 * n))
    count = np.zeros(m, dtype=np.int64)
    room = a.room.copy()
    place = np.full(n, -1, dtype=np.int64)
    start = np.zeros(n)
    end = np.zeros(n)
    for q in range(n):
        i = order[q]
        best, best_start, best_device = np.inf, 0.0, -1
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
            if ready == np.inf or length > cycle:
                continue
            begin = ready
            if a.lanes[d] > 0 and length > 0.0 and count[d] > 0:
                phase = ready - np.floor(ready / cycle) * cycle
                low, high = 0, count[d]
                while low < high:
                    middle = (low + high) // 2
                    if arc_to[d, middle] > phase:
                        high = middle
                    else:
                        low = middle + 1
                moment, found = phase, False
                for step in range(count[d] + 1):
                    s = low + step
                    lap = 0.0
                    while s >= count[d]:
                        s -= count[d]
                        lap += cycle
                    if arc_from[d, s] + lap - moment >= length:
                        found = True
                        break
                    moment = max(moment, arc_to[d, s] + lap)
                if not found:
                    continue
                begin = ready + (moment - phase)
            if begin + length + after[i, d] < best:
                best, best_start, best_device = begin + length + after[i, d], begin, d
        if best_device < 0:
            return place, start, end
        d = best_device
        place[i] = d
        start[i] = best_start
        end[i] = best_start + a.duration[i, d]
        room[d] -= a.weight[i]
        if a.lanes[d] == 0 or a.duration[i, d] <= 0.0:
            continue
        phase = best_start - np.floor(best_start / cycle) * cycle
        pieces = 1 if phase + a.duration[i, d] <= cycle else 2
        for piece in range(pieces):
            begin = phase if piece == 0 else 0.0
            finish = min(phase + a.duration[i, d], cycle) if piece == 0 else phase + a.duration[i, d] - cycle
            s = count[d]
            while s > 0 and arc_from[d, s - 1] > begin:
                arc_from[d, s] = arc_from[d, s - 1]
                arc_to[d, s] = arc_to[d, s - 1]
                s -= 1
            arc_from[d, s] = begin
            arc_to[d, s] = finish
            count[d] += 1
    return place, start, end
