"""Simulated annealing of placement and order of list schedules on a circle: late jobs are brought into time.

Importing this module loads numba; the compiled loop calls the compiled decoder.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.compiled import compiled
from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.annealing import change_devices as move_path
from dnnplan.solvers.kernels.modulo_schedule import modulo_schedule

NEAR = 12
"""Entries of the order by which most slides go at most."""


def lateness(place: IntArray, end: FloatArray, after: FloatArray, due: FloatArray) -> float:
    """Seconds by which layers are done after the deadlines of their jobs, summed; infinite if one has no device."""
    total = 0.0
    for i in range(place.shape[0]):
        if place[i] < 0:
            return np.inf
        total += max(0.0, end[i] + after[i, place[i]] - due[i])
    return total


def slot(a: Arrays, readers: tuple[IntArray, IntArray], position: IntArray, i: int, near: bool) -> int:
    """A random index for layer i in the order, between its last producer and its first reader."""
    low, high = 0, position.shape[0] - 1
    for e in range(a.in_start[i], a.in_start[i + 1]):
        p = a.source[a.in_tensor[e]]
        if p >= 0:
            low = max(low, position[p] + 1)
    for e in range(readers[0][i], readers[0][i + 1]):
        high = min(high, position[readers[1][e]] - 1)
    if near:
        low, high = max(low, position[i] - NEAR), min(high, position[i] + NEAR)
    return int(low + np.random.randint(high - low + 1))  # noqa: NPY002


def put(order: IntArray, position: IntArray, old: int, new: int) -> None:
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


def replace(
    a: Arrays,
    readers: tuple[IntArray, IntArray],
    twins: tuple[IntArray, IntArray],
    trial: IntArray,
    i: int,
    kind: float,
) -> None:
    """Another device, or -1 (the decoder's choice), for a layer, its twins in other jobs, or a path from it."""
    m = a.duration.shape[1]
    device = -1 if np.random.random() < 0.2 else np.random.randint(m)  # noqa: NPY002
    if kind >= 0.75 and kind < 0.85:
        for e in range(twins[0][i], twins[0][i + 1]):
            j = twins[1][e]
            if device < 0 or a.duration[j, device] < np.inf:
                trial[j] = device
        return
    length = 1 if kind < 0.75 else 2 + np.random.randint(7)  # noqa: NPY002
    move_path(a, readers, trial, i, device, length)


decode = compiled(modulo_schedule)
judge = inner(lateness)
new_index = inner(slot)
move_entry = inner(put)
change_devices = inner(replace)


@kernel
def anneal_modulo(
    a: Arrays,
    lists: tuple[tuple[IntArray, IntArray], tuple[IntArray, IntArray]],
    state: tuple[IntArray, IntArray],
    limits: tuple[FloatArray, FloatArray],
    cycle: float,
    temperature: tuple[float, float],
    iterations: int,
    seed: int,
) -> tuple[IntArray, IntArray, FloatArray, float, int]:
    """Order, placement and starts where the search ended, their lateness, and steps taken; ends at lateness 0.

    Parameters
    ----------
    a, cycle
        As `modulo_schedule` takes them.
    lists
        (n + 1,) offsets and flat lists: layers that read from layer i; the same layer in all jobs of its task.
    state
        (n,) order and (n,) placement to begin with.
    limits
        (n, m) seconds from the end of a layer to its job being done, and (n,) deadline of its job, seconds.
    temperature
        First and last one, seconds of lateness.
    """
    np.random.seed(seed)  # noqa: NPY002
    readers, twins = lists
    after, due = limits
    order, place = state[0].copy(), state[1].copy()
    n = order.shape[0]
    position = np.empty(n, dtype=np.int64)
    for q in range(n):
        position[order[q]] = q
    placed, start, end = decode(a, order, place, after, cycle)
    current = judge(placed, end, after, due)
    if current < np.inf:
        place[:] = placed
    trial = place.copy()
    heat = temperature[0]
    ratio = (temperature[1] / temperature[0]) ** (1.0 / max(iterations, 1))
    steps = 0
    while steps < iterations and current > 0.0:
        steps += 1
        heat *= ratio
        i = np.random.randint(n)  # noqa: NPY002
        kind = np.random.random()  # noqa: NPY002
        old = position[i]
        new = old
        trial[:] = place
        if kind < 0.6:
            new = new_index(a, readers, position, i, np.random.random() < 0.7)  # noqa: NPY002
            if kind >= 0.5:
                trial[i] = -1
            elif new == old:
                continue
            move_entry(order, position, old, new)
        else:
            change_devices(a, readers, twins, trial, i, kind)
        placed, begin, end = decode(a, order, trial, after, cycle)
        late = judge(placed, end, after, due)
        if late < np.inf and (
            late <= current or np.random.random() < np.exp((current - late) / heat)  # noqa: NPY002
        ):
            current = late
            place[:] = placed
            start = begin
        else:
            move_entry(order, position, new, old)
    return order, place, start, current, steps
