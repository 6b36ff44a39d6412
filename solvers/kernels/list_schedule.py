"""List scheduling with insertion on arrays: the decoder of HEFT and of all searches over priorities.

Written for numba and valid as plain Python: `schedule` is the oracle of its compiled twin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray

MAX_LANES = 8


class Arrays(NamedTuple):
    """The mapping problem as the kernels see it: a delay for each (tensor, from, to), no other transfers.

    Parameters
    ----------
    duration
        (n, m) seconds; infinite where a layer cannot run.
    in_start, in_tensor
        Tensors that layer i reads: ``in_tensor[in_start[i]:in_start[i + 1]]``.
    source, size, ready
        (K,) producing layer or -1, bytes, moment at which an input is at its start.
    latency, per_byte
        (m+1, m+1) delay of a transfer; 0 on the diagonal.
    row, table
        (K,) index into `table` or -1, and (R, m+1, m+1) delays from cost tables.
    lanes
        (m,) how many layers run at a time; 0: any number.
    release, weight, room
        (n,) seconds and bytes to be pinned; (m,) bytes for them.
    """

    duration: FloatArray
    in_start: IntArray
    in_tensor: IntArray
    source: IntArray
    size: FloatArray
    ready: FloatArray
    latency: FloatArray
    per_byte: FloatArray
    row: IntArray
    table: FloatArray
    lanes: IntArray
    release: FloatArray
    weight: FloatArray
    room: FloatArray


def arrays_of(problem: MappingProblem) -> Arrays:
    """The arrays of a view. Host staging counts as a delay of write and read between different devices."""
    m, routes = problem.m, problem.routes
    latency, per_byte = routes.latency.copy(), routes.per_byte.copy()
    overridden = sorted({k for k, _, _ in problem.override})
    row = np.full(len(problem.tensors), -1, dtype=np.int64)
    row[overridden] = np.arange(len(overridden))
    table = np.zeros((max(1, len(overridden)), m + 1, m + 1))
    for r, k in enumerate(overridden):
        table[r] = problem.move[k]
    if problem.execution.staging == "host":
        latency[:m, :m] = latency[:m, m][:, None] + latency[m, :m][None, :]
        per_byte[:m, :m] = per_byte[:m, m][:, None] + per_byte[m, :m][None, :]
        table[:, :m, :m] = table[:, :m, m][:, :, None] + table[:, m, :m][:, None, :]
    diagonal = np.arange(m + 1)
    latency[diagonal, diagonal] = per_byte[diagonal, diagonal] = 0.0
    table[:, diagonal, diagonal] = 0.0
    if not problem.host:
        latency[m, :] = per_byte[m, :] = 0.0
        table[:, m, :] = 0.0
    counts = np.array([len(tensors) for tensors in problem.inputs], dtype=np.int64)
    pinned = not problem.host or problem.execution.weights == "resident"
    limited = problem.execution.memory != "none" and pinned
    duration = problem.duration
    if problem.host and problem.execution.weights == "streamed":
        combine = np.maximum if problem.execution.overlap else np.add
        duration = combine(duration, problem.load)
    return Arrays(
        duration=np.ascontiguousarray(duration),
        in_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        in_tensor=np.array([k for tensors in problem.inputs for k in tensors], dtype=np.int64),
        source=problem.source,
        size=problem.size,
        ready=problem.tensor_release,
        latency=latency,
        per_byte=per_byte,
        row=row,
        table=table,
        lanes=np.where(problem.slots > MAX_LANES, 0, problem.slots),
        release=problem.release,
        weight=problem.weight_bytes if limited else np.zeros(problem.n),
        room=np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of]) if limited else np.full(m, np.inf),
    )


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


def schedule(
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


def device_order(place: NDArray[np.int64], start: FloatArray, end: FloatArray, order: IntArray, m: int) -> list[list[int]]:
    """(m,) layers of each device by start; ties by end, then by their place in `order`."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    rows: list[list[int]] = [[] for _ in range(m)]
    for i in np.lexsort((position, end, start)).tolist():
        rows[place[i]].append(i)
    return rows
