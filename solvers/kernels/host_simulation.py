"""Times of complete plans under host staging without overlap where transfers wait for links: a simulation of events.

Written for numba and valid as plain Python, as `host_schedule`, whose place it takes where there is contention and
every device runs one call at a time. Its times are those of `dnnplan.costs.evaluate` (docs/cost-model.md, section 4.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.host_schedule import HostNet

IDLE, ACTIVE, QUEUED, NEXT = 0, 1, 2, 3
"""A device has no call, does something until a moment, waits for a link, or is to go on at once."""
READ, LOAD, COMPUTE, WRITE = 0, 1, 2, 3


def host_simulation(  # noqa: C901, PLR0912, PLR0915
    a: HostNet,
    order: IntArray,
    place: IntArray,
    pinned: NDArray[np.bool_],
    start: FloatArray,
    end: FloatArray,
    because: IntArray,
) -> float:
    """Simulate a plan, and return what devices and bytes cost (not the makespan); infinite if it cannot run.

    Parameters and results are those of `host_schedule`. A link serves requests in their order, those of one moment by
    (position of the call on its device, device, tensor; loads first). A device has one request at a time.
    """
    n, m = a.duration.shape
    copies = np.zeros((max(1, a.shared.max() + 1) if a.shared.shape[0] else 1, m), dtype=np.bool_)
    head, tail = np.full(m, -1, dtype=np.int64), np.full(m, -1, dtype=np.int64)
    follower, position = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    waiting, earliest = np.zeros(n, dtype=np.int64), a.release.copy()
    for q in range(n):
        i = order[q]
        d = place[i]
        if tail[d] < 0:
            head[d] = i
        else:
            follower[tail[d]] = i
            position[i] = position[tail[d]] + 1
        tail[d] = i
        for e in range(a.in_start[i], a.in_start[i + 1]):
            k = a.in_tensor[e]
            if a.source[k] >= 0:
                waiting[i] += 1
            elif a.ready[k] > earliest[i]:
                earliest[i] = a.ready[k]
    because[:] = -1
    status, stage, step = (
        np.zeros(m, dtype=np.int64),
        np.zeros(m, dtype=np.int64),
        np.zeros(m, dtype=np.int64),
    )
    until, asked, seconds = np.zeros(m), np.zeros(m), np.zeros(m)
    channel = np.full(m, -1, dtype=np.int64)
    taken = np.zeros(max(1, a.channels), dtype=np.bool_)
    now = 0.0
    cost = 0.0
    done = 0
    while done < n:
        changed = True
        while changed:
            changed = False
            for d in range(m):
                if status[d] == ACTIVE and until[d] <= now:
                    if channel[d] >= 0:
                        taken[channel[d]] = False
                        channel[d] = -1
                    status[d] = NEXT
                i = head[d]
                if status[d] == IDLE and i >= 0 and waiting[i] == 0 and earliest[i] <= now:
                    start[i] = now
                    status[d], stage[d], step[d] = NEXT, READ, a.in_start[i]
                while status[d] == NEXT:
                    changed = True
                    time, link, size = 0.0, -1, 0.0
                    if stage[d] == READ:
                        if step[d] == a.in_start[i + 1]:
                            for e in range(a.in_start[i], a.in_start[i + 1]):
                                row = a.shared[a.in_tensor[e]]
                                if row >= 0:
                                    copies[row, d] = True
                            stage[d] = LOAD
                            continue
                        e = step[d]
                        k = a.in_tensor[e]
                        p = a.source[k]
                        if (p < 0 or place[p] != d) and (a.shared[k] < 0 or not copies[a.shared[k], d]):
                            time, link, size = a.in_seconds[e, d], a.channel_in[d], a.in_bytes[e]
                        step[d] += 1
                    elif stage[d] == LOAD:
                        if not pinned[a.weight[i], d] and a.weight_bytes[i] > 0.0:
                            time, link, size = a.load[i, d], a.channel_in[d], a.weight_bytes[i]
                        stage[d] = COMPUTE
                    elif stage[d] == COMPUTE:
                        time = a.duration[i, d]
                        stage[d], step[d] = WRITE, a.out_start[i]
                    elif step[d] < a.out_start[i + 1]:
                        k = a.out_tensor[step[d]]
                        away = a.output[k]
                        for e in range(a.reader_start[k], a.reader_start[k + 1]):
                            if place[a.reader[e]] != d:
                                away = True
                                break
                        if away:
                            time, link, size = a.write[k, d], a.channel_out[d], a.size[k]
                        step[d] += 1
                    else:
                        end[i] = now
                        cost += a.extra[i, d]
                        done += 1
                        for o in range(a.out_start[i], a.out_start[i + 1]):
                            k = a.out_tensor[o]
                            for e in range(a.reader_start[k], a.reader_start[k + 1]):
                                waiting[a.reader[e]] -= 1
                                because[a.reader[e]] = i
                        head[d] = follower[i]
                        if head[d] >= 0 and waiting[head[d]] == 0:
                            because[head[d]] = i
                        status[d] = IDLE
                        continue
                    cost += size * a.price[d]
                    if time <= 0.0:
                        continue
                    if link < 0:
                        status[d], until[d] = ACTIVE, now + time
                    else:
                        status[d], asked[d], seconds[d] = QUEUED, now, time
                        channel[d] = link
        for c in range(a.channels):
            if taken[c]:
                continue
            best = -1
            for d in range(m):
                if status[d] != QUEUED or channel[d] != c:
                    continue
                if (
                    best < 0
                    or asked[d] < asked[best]
                    or (asked[d] == asked[best] and (position[head[d]], d) < (position[head[best]], best))
                ):
                    best = d
            if best >= 0:
                taken[c] = True
                status[best], until[best] = ACTIVE, now + seconds[best]
        later = np.inf
        for d in range(m):
            if status[d] == ACTIVE:
                later = min(later, until[d])
            elif status[d] == IDLE and head[d] >= 0 and waiting[head[d]] == 0:
                later = min(later, earliest[head[d]])
        if done < n and later == np.inf:
            return np.inf
        now = later
    return cost
