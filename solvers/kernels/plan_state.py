"""What the compiled local search knows of a problem and of a plan, and how both give times and costs.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import bare
from dnnplan.costs.routes import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
MULTIPLIER, MODULUS = 48271, 2147483647
"""The minimal standard generator (Park and Miller, CACM 31(10), 1988), the same in plain and compiled code."""
DIRTY, LOWEST, LATE, CHANGES, MOVED = 0, 1, 2, 3, 4
"""Entries of `State.counts`: layers to time again, the first of them in the order, tails to compute again, entries of
the journal of ends, and of that of moves."""


class Random(Protocol):
    """Anything with the last random number in it."""

    @property
    def random(self) -> IntArray:
        """(1,) the last random number."""


class Net(NamedTuple):
    """What does not change: n layers, m devices, edges from producers to readers.

    Parameters
    ----------
    duration, base, extra, paid
        (n, m) seconds (infinite: not allowed), earliest start for releases and inputs, cost beside time, and seconds at
        the price of the device.
    pred_start, pred, pred_size, pred_row
        Producers of layer i are ``pred[pred_start[i]:pred_start[i + 1]]``; bytes and row of `table` (-1: none) of the
        tensor; bytes -1: a precedence, no tensor.
    succ_start, succ, succ_size, succ_row
        The same for readers.
    latency, per_byte, table
        (m, m) and (R, m, m) delays.
    unary
        (m,) whether a device runs one layer at a time; otherwise any number.
    allowed_start, allowed
        Devices of layer i.
    group_start, group
        Layers that share a device with layer i, without i.
    weight, room
        (n,) bytes on the device, (m,) bytes there are.
    final, final_delay, final_job
        (F,) layers whose end counts, (n, m) seconds that follow the end of a layer, (F,) their jobs.
    job_weight, job_due
        (J,) cost of a second of completion after the due date; 0: none.
    tensor_price
        (m + 1, m + 1) cost of a byte from end to end, the host last.
    in_start, in_tensor, out_start, out_tensor, reader_start, reader, source, size
        Tensors of each layer, and readers of each tensor, where bytes are priced.
    """

    duration: FloatArray
    base: FloatArray
    extra: FloatArray
    paid: FloatArray
    pred_start: IntArray
    pred: IntArray
    pred_size: FloatArray
    pred_row: IntArray
    succ_start: IntArray
    succ: IntArray
    succ_size: FloatArray
    succ_row: IntArray
    latency: FloatArray
    per_byte: FloatArray
    table: FloatArray
    unary: BoolArray
    allowed_start: IntArray
    allowed: IntArray
    group_start: IntArray
    group: IntArray
    weight: FloatArray
    room: FloatArray
    final: IntArray
    final_delay: FloatArray
    final_job: IntArray
    job_weight: FloatArray
    job_due: FloatArray
    tensor_price: FloatArray
    in_start: IntArray
    in_tensor: IntArray
    out_start: IntArray
    out_tensor: IntArray
    reader_start: IntArray
    reader: IntArray
    source: IntArray
    size: FloatArray


class State(NamedTuple):
    """One plan and its times, with what is needed to take a change back.

    Parameters
    ----------
    order, position, place
        (n,) layers, their index in the order, their devices.
    before, after, first, last
        (n,) neighbours on the device, (m,) its ends; -1: none.
    end, tail
        (n,) seconds: end of the layer, and least from there to the end of the plan.
    dirty, late, late_list
        (n,) what is to be timed again.
    old_layer, old_end
        (n,) journal of ends.
    move_layer, move_position, move_place
        Journal of moves: where the layer was.
    total
        (1,) cost beside time.
    used, held
        (m,) bytes on devices; (n + m + 1,) scratch.
    counts, random
        Counters and the state of the generator.
    """

    order: IntArray
    position: IntArray
    place: IntArray
    before: IntArray
    after: IntArray
    first: IntArray
    last: IntArray
    end: FloatArray
    tail: FloatArray
    dirty: BoolArray
    late: BoolArray
    late_list: IntArray
    old_layer: IntArray
    old_end: FloatArray
    move_layer: IntArray
    move_position: IntArray
    move_place: IntArray
    total: FloatArray
    used: FloatArray
    held: BoolArray
    counts: IntArray
    random: IntArray


@bare
def draw(s: Random, n: int) -> int:
    """A random number below n."""
    s.random[0] = s.random[0] * MULTIPLIER % MODULUS
    return int(s.random[0] % n)


@bare
def chance(s: Random) -> float:
    """A random number above 0 and below 1."""
    s.random[0] = s.random[0] * MULTIPLIER % MODULUS
    return float(s.random[0] / MODULUS)


@bare
def delay(net: Net, size: float, row: int, a: int, b: int) -> float:
    """Seconds from device a to b."""
    if a == b or size < 0.0:
        return 0.0
    if row >= 0:
        return float(net.table[row, a, b])
    return float(net.latency[a, b] + size * net.per_byte[a, b])


@bare
def end_of(net: Net, s: State, i: int) -> float:
    """End of layer i from the ends of what it waits for."""
    d = s.place[i]
    ready = net.base[i, d]
    p = s.before[i]
    if p >= 0 and net.unary[d] and s.end[p] > ready:
        ready = s.end[p]
    for e in range(net.pred_start[i], net.pred_start[i + 1]):
        p = net.pred[e]
        moment = s.end[p] + delay(net, net.pred_size[e], net.pred_row[e], s.place[p], d)
        ready = max(ready, moment)
    return float(ready + net.duration[i, d])


@bare
def tail_of(net: Net, s: State, i: int) -> float:
    """Seconds that follow the end of layer i, from the tails of what waits for it."""
    d = s.place[i]
    tail = net.final_delay[i, d]
    j = s.after[i]
    if j >= 0 and net.unary[d]:
        tail = max(tail, net.duration[j, d] + s.tail[j])
    for e in range(net.succ_start[i], net.succ_start[i + 1]):
        j = net.succ[e]
        b = s.place[j]
        follows = delay(net, net.succ_size[e], net.succ_row[e], d, b) + net.duration[j, b] + s.tail[j]
        tail = max(tail, follows)
    return float(tail)


@bare
def tensor_cost(net: Net, s: State, k: int) -> float:
    """Price of the sends of tensor k: one to each device where a reader is and the producer is not."""
    m = net.room.shape[0]
    origin = m
    if net.source[k] >= 0:
        origin = s.place[net.source[k]]
    cost = 0.0
    for e in range(net.reader_start[k], net.reader_start[k + 1]):
        d = s.place[net.reader[e]]
        if d != origin and not s.held[d]:
            s.held[d] = True
            cost += net.size[k] * net.tensor_price[origin, d]
    for e in range(net.reader_start[k], net.reader_start[k + 1]):
        s.held[s.place[net.reader[e]]] = False
    return cost


@bare
def priced(net: Net, s: State, i: int) -> float:
    """Price of all sends of tensors that layer i reads or writes."""
    cost = 0.0
    for e in range(net.in_start[i], net.in_start[i + 1]):
        cost += tensor_cost(net, s, net.in_tensor[e])
    for e in range(net.out_start[i], net.out_start[i + 1]):
        cost += tensor_cost(net, s, net.out_tensor[e])
    return cost
