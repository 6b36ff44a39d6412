"""Times of complete plans under host staging without overlap: every tensor through the host, or kept where it is.

Written for numba and valid as plain Python: `host_schedule` is the oracle of its compiled twin, and its times are those
of `dnnplan.costs.evaluate` for the same order, devices and pins where there is no contention
(docs/cost-model.md, section 4.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray

MAX_LANES = 8
"""Devices with more slots count as unlimited."""
PINNED, STREAMED, CHOSEN = 0, 1, 2


class HostNet(NamedTuple):
    """A mapping problem under host staging without overlap, as flat arrays.

    Parameters
    ----------
    duration, load
        (n, m) seconds of compute and of loading the weights; infinite compute where a layer cannot run.
    in_start, in_tensor, in_seconds, in_bytes
        Layer i reads tensors ``in_tensor[in_start[i]:in_start[i + 1]]``; (E, m) seconds and (E,) bytes of reading each.
    out_start, out_tensor
        The tensors that a layer writes, likewise.
    source, output, ready, size, write
        (K,) producing layer or -1, whether an output, moment of an input, bytes; (K, m) seconds of writing.
    reader_start, reader
        (K + 1,) and (E,) the layers that read a tensor.
    shared
        (K,) row of a tensor that several layers read in tables of copies, or -1.
    release
        (n,) seconds.
    weight, weight_bytes
        (n,) index of a layer's weights, and bytes.
    pins
        Whether weights are all pinned, all streamed, or chosen.
    weight_room, memory, memory_room
        (m,) bytes for pinned weights, memory of each device; bytes of each memory.
    lanes
        (m,) calls at a time; 0: any number.
    extra, price
        (n, m) cost of a layer on a device; (m,) cost of a byte between a device and the host.
    seconds
        Cost of a second of makespan.
    channels, channel_in, channel_out
        Channels that serve one transfer at a time (0: no contention); (m,) those from and to the host, or -1.
    """

    duration: FloatArray
    load: FloatArray
    in_start: IntArray
    in_tensor: IntArray
    in_seconds: FloatArray
    in_bytes: FloatArray
    out_start: IntArray
    out_tensor: IntArray
    source: IntArray
    output: NDArray[np.bool_]
    ready: FloatArray
    size: FloatArray
    write: FloatArray
    reader_start: IntArray
    reader: IntArray
    shared: IntArray
    release: FloatArray
    weight: IntArray
    weight_bytes: FloatArray
    pins: int
    weight_room: FloatArray
    memory: IntArray
    memory_room: FloatArray
    lanes: IntArray
    extra: FloatArray
    price: FloatArray
    seconds: float
    channels: int
    channel_in: IntArray
    channel_out: IntArray


def choose_pins(a: HostNet, place: IntArray, wish: IntArray, pinned: NDArray[np.bool_]) -> bool:
    """Pin weights in the order in which `wish` names their layers, while they fit; False if too many must be pinned.

    Parameters
    ----------
    pinned
        (weights, m) is filled.
    """
    pinned[:] = False
    if a.pins == STREAMED:
        return True
    room = a.weight_room.copy()
    memory = a.memory_room.copy()
    for q in range(wish.shape[0]):
        i = wish[q]
        d = place[i]
        w = a.weight[i]
        size = a.weight_bytes[i]
        if pinned[w, d]:
            continue
        if size <= room[d] and size <= memory[a.memory[d]]:
            pinned[w, d] = True
            room[d] -= size
            memory[a.memory[d]] -= size
        elif a.pins == PINNED:
            return False
    return True


def host_schedule(  # noqa: C901, PLR0912, PLR0915
    a: HostNet,
    order: IntArray,
    place: IntArray,
    pinned: NDArray[np.bool_],
    start: FloatArray,
    end: FloatArray,
    because: IntArray,
) -> float:
    """Time all layers, one after the other in `order`, and return what devices and bytes cost (not the makespan).

    Every copy that saves a transfer is kept. O(tensors x readers + tables of shared copies).

    Parameters
    ----------
    start, end, because
        (n,) are filled: seconds, and the layer that the start waited for, or -1.
    """
    m = a.duration.shape[1]
    copies = np.full((max(1, a.shared.max() + 1), m), -1.0) if a.shared.shape[0] else np.full((1, m), -1.0)
    free = np.zeros((m, MAX_LANES))
    holder = np.full((m, MAX_LANES), -1, dtype=np.int64)
    last_start = np.zeros(m)
    last = np.full(m, -1, dtype=np.int64)
    cost = 0.0
    for q in range(order.shape[0]):
        i = order[q]
        d = place[i]
        begin = a.release[i]
        cause = -1
        busy = 0.0
        moved = 0.0
        for e in range(a.in_start[i], a.in_start[i + 1]):
            k = a.in_tensor[e]
            p = a.source[k]
            moment = end[p] if p >= 0 else a.ready[k]
            row = a.shared[k]
            if p < 0 or place[p] != d:
                if row >= 0 and copies[row, d] >= 0.0:
                    moment = copies[row, d]
                else:
                    busy += a.in_seconds[e, d]
                    moved += a.in_bytes[e]
            if moment > begin:
                begin = moment
                cause = p
        if a.lanes[d] > 0:
            lane = 0
            for s in range(1, a.lanes[d]):
                if free[d, s] < free[d, lane]:
                    lane = s
            if free[d, lane] > begin:
                begin = free[d, lane]
                cause = holder[d, lane]
        if last_start[d] > begin:
            begin = last_start[d]
            cause = last[d]
        start[i] = begin
        last_start[d] = begin
        last[d] = i
        time = begin + busy
        for e in range(a.in_start[i], a.in_start[i + 1]):
            row = a.shared[a.in_tensor[e]]
            if row >= 0 and copies[row, d] < 0.0:
                p = a.source[a.in_tensor[e]]
                if p < 0 or place[p] != d:
                    copies[row, d] = time
        if not pinned[a.weight[i], d] and a.weight_bytes[i] > 0.0:
            time += a.load[i, d]
            moved += a.weight_bytes[i]
        time += a.duration[i, d]
        for o in range(a.out_start[i], a.out_start[i + 1]):
            k = a.out_tensor[o]
            away = a.output[k]
            for e in range(a.reader_start[k], a.reader_start[k + 1]):
                if place[a.reader[e]] != d:
                    away = True
                    break
            if away:
                time += a.write[k, d]
                moved += a.size[k]
        end[i] = time
        because[i] = cause
        if a.lanes[d] > 0:
            free[d, lane] = time
            holder[d, lane] = i
        cost += a.extra[i, d] + moved * a.price[d]
    return cost
