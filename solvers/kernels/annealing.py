"""Simulated annealing over (order, device of each layer), decoded by list scheduling with insertion.

Importing this module loads numba; the compiled loop calls the compiled decoder.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.compiled import compiled
from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.list_schedule import schedule

SPREAD = 0.3
"""Weight of the mean of the devices' last ends beside the makespan: it tells plans of equal makespan apart."""


def shift(order: IntArray, position: IntArray, old: int, new: int) -> None:
    """Move the entry at index `old` of the order to index `new`."""
    item = order[old]
    step = 1 if new > old else -1
    q = old
    while q != new:
        order[q] = order[q + step]
        position[order[q]] = q
        q += step
    order[new] = item
    position[item] = new


def cost_of(
    placed: IntArray, end: FloatArray, extra: FloatArray, weight: float, spread: float
) -> tuple[float, float]:
    """(guiding cost, true cost): weight x makespan + sum of extra, with and without the spread of the devices."""
    last = np.zeros(extra.shape[1])
    total = 0.0
    for i in range(placed.shape[0]):
        total += extra[i, placed[i]]
        last[placed[i]] = max(last[placed[i]], end[i])
    true = weight * end.max() + total
    return true + weight * spread * last.mean(), true


def slide(a: Arrays, readers: tuple[IntArray, IntArray], position: IntArray, i: int) -> int:
    """A random index for layer i in the order, between its last producer and its first reader."""
    low, high = 0, position.shape[0] - 1
    for e in range(a.in_start[i], a.in_start[i + 1]):
        p = a.source[a.in_tensor[e]]
        if p >= 0:
            low = max(low, position[p] + 1)
    for e in range(readers[0][i], readers[0][i + 1]):
        high = min(high, position[readers[1][e]] - 1)
    if high <= low:
        return int(position[i])
    return int(low + np.random.randint(high - low + 1))  # noqa: NPY002


def move_chain(
    a: Arrays, readers: tuple[IntArray, IntArray], place: IntArray, i: int, device: int, length: int
) -> None:
    """Put up to `length` layers on a device (-1: the decoder's choice): i, a reader of it, one of that one's, ..."""
    j = i
    for _ in range(length):
        if device < 0 or a.duration[j, device] < np.inf:
            place[j] = device
        degree = readers[0][j + 1] - readers[0][j]
        if degree == 0:
            break
        j = readers[1][readers[0][j] + np.random.randint(degree)]  # noqa: NPY002


decode = compiled(schedule)
move_entry = inner(shift)
judge = inner(cost_of)
new_index = inner(slide)
change_devices = inner(move_chain)


@kernel
def anneal(
    a: Arrays,
    readers: tuple[IntArray, IntArray],
    order: IntArray,
    place: IntArray,
    extra: FloatArray,
    weight: float,
    temperature: tuple[float, float],
    iterations: int,
    seed: int,
) -> tuple[IntArray, IntArray, float, IntArray, IntArray]:
    """Best order and placement found, their cost, and the last order and placement, to go on from.

    The cost is weight x makespan + sum of extra[i, device of i].

    Metropolis acceptance with geometric cooling (Kirkpatrick, Gelatt, Vecchi 1983); a step moves a layer in the order,
    lets the decoder choose devices again for a stretch of it, or moves a chain of layers to one device.

    Parameters
    ----------
    readers
        (n + 1,) and (edges,): the layers that read from layer i are ``readers[1][readers[0][i]:readers[0][i+1]]``.
    order, place
        (n,) where to start.
    temperature
        First and last one, in the unit of the cost.
    """
    np.random.seed(seed)  # noqa: NPY002
    n, m = a.duration.shape
    bias = np.zeros((n, m))
    order = order.copy()
    place = place.copy()
    position = np.empty(n, dtype=np.int64)
    for q in range(n):
        position[order[q]] = q
    placed, _, end = decode(a, order, place, bias)
    current, best = judge(placed, end, extra, weight, SPREAD)
    best_order, best_place = order.copy(), placed.copy()
    place[:] = placed
    trial = place.copy()
    heat = temperature[0]
    ratio = (temperature[1] / temperature[0]) ** (1.0 / max(iterations, 1))
    for _ in range(iterations):
        heat *= ratio
        i = np.random.randint(n)  # noqa: NPY002
        kind = np.random.randint(10)  # noqa: NPY002
        old, new = position[i], position[i]
        if kind < 4:
            new = new_index(a, readers, position, i)
            if new == old:
                continue
            move_entry(order, position, old, new)
        elif kind < 6:
            # The decoder chooses again for a stretch of the order.
            trial[order[old : old + 1 + np.random.randint(12)]] = -1  # noqa: NPY002
        else:
            length = 1 + np.random.randint(1 if kind < 8 else 16)  # noqa: NPY002
            change_devices(a, readers, trial, i, np.random.randint(m), length)  # noqa: NPY002
        placed, _, end = decode(a, order, trial, bias)
        cost, true = np.inf, np.inf
        if placed.min() >= 0:
            cost, true = judge(placed, end, extra, weight, SPREAD)
        if cost <= current or np.random.random() < np.exp((current - cost) / heat):  # noqa: NPY002
            current = cost
            place[:] = placed
            if true < best:
                best = true
                best_order[:] = order
                best_place[:] = placed
        elif new != old:
            move_entry(order, position, new, old)
        trial[:] = place
    return best_order, best_place, best, order, place
