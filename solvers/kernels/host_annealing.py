"""Simulated annealing of devices, order and pins under host staging without overlap, on compiled schedules.

Importing this module loads numba; the compiled loop calls the compiled schedule.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.compiled import compiled
from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.annealing import move_entry
from dnnplan.solvers.kernels.host_schedule import CHOSEN, HostNet, choose_pins, host_schedule
from dnnplan.solvers.kernels.host_simulation import host_simulation

SPREAD = 0.02
"""Weight of the mean end of the devices beside the makespan: it tells plans of equal makespan apart."""


def window(a: HostNet, position: IntArray, i: int) -> tuple[int, int]:
    """First and last index in the order that layer i can move to: behind its producers, before its readers."""
    low, high = 0, position.shape[0] - 1
    for e in range(a.in_start[i], a.in_start[i + 1]):
        p = a.source[a.in_tensor[e]]
        if p >= 0:
            low = max(low, position[p] + 1)
    for o in range(a.out_start[i], a.out_start[i + 1]):
        k = a.out_tensor[o]
        for e in range(a.reader_start[k], a.reader_start[k + 1]):
            high = min(high, position[a.reader[e]] - 1)
    return low, high


def next_of(a: HostNet, i: int) -> int:
    """A random reader of layer i, or -1."""
    count = 0
    chosen = -1
    for o in range(a.out_start[i], a.out_start[i + 1]):
        k = a.out_tensor[o]
        for e in range(a.reader_start[k], a.reader_start[k + 1]):
            count += 1
            if np.random.randint(count) == 0:  # noqa: NPY002
                chosen = a.reader[e]
    return chosen


def producer_of(a: HostNet, i: int) -> int:
    """A random producer of what layer i reads, or -1."""
    count = 0
    chosen = -1
    for e in range(a.in_start[i], a.in_start[i + 1]):
        p = a.source[a.in_tensor[e]]
        if p >= 0:
            count += 1
            if np.random.randint(count) == 0:  # noqa: NPY002
                chosen = p
    return chosen


scheduled = compiled(host_schedule)
simulated = compiled(host_simulation)
pin = inner(choose_pins)
room_to_move = inner(window)
reader_of = inner(next_of)
source_of = inner(producer_of)


def total(a: HostNet, place: IntArray, end: FloatArray, cost: float, spread: float) -> tuple[float, float]:
    """(guiding cost, true cost) of a timed plan."""
    last = np.zeros(a.duration.shape[1])
    for i in range(place.shape[0]):
        last[place[i]] = max(last[place[i]], end[i])
    true = a.seconds * last.max() + cost
    return true + a.seconds * spread * last.mean(), true


def put(a: HostNet, place: IntArray, i: int, d: int, length: int) -> int:
    """Put up to `length` layers of a chain from i on, or of one that ends with i, to device d; how many changed.

    Layers that cannot run there stay.
    """
    changed = 0
    forward = np.random.random() < 0.5  # noqa: NPY002
    for _ in range(length):
        if a.duration[i, d] < np.inf and place[i] != d:
            place[i] = d
            changed += 1
        i = reader_of(a, i) if forward else source_of(a, i)
        if i < 0:
            break
    return changed


def put_stretch(a: HostNet, place: IntArray, i: int, d: int) -> int:
    """Put layer i and those that follow and precede it in a chain on its device to device d; how many changed."""
    home = place[i]
    if home == d:
        return 0
    changed = 0
    j = i
    while j >= 0 and place[j] == home:
        if a.duration[j, d] == np.inf:
            break
        place[j] = d
        changed += 1
        j = reader_of(a, j)
    j = source_of(a, i)
    while j >= 0 and place[j] == home:
        if a.duration[j, d] == np.inf:
            break
        place[j] = d
        changed += 1
        j = source_of(a, j)
    return changed


def exchange(a: HostNet, place: IntArray, first: int, second: int) -> int:
    """Exchange two devices wherever layers allow it; how many layers changed."""
    changed = 0
    for i in range(place.shape[0]):
        d = place[i]
        other = second if d == first else first
        if d in (first, second) and d != other and a.duration[i, other] < np.inf:
            place[i] = other
            changed += 1
    return changed


def critical(because: IntArray, end: FloatArray) -> int:
    """A random layer of the chain of waits that ends last."""
    i = int(np.argmax(end))
    length = 0
    j = i
    while j >= 0:
        length += 1
        j = because[j]
    for _ in range(np.random.randint(length)):  # noqa: NPY002
        i = because[i]
    return i


def timed(
    a: HostNet,
    order: IntArray,
    place: IntArray,
    pinned: NDArray[np.bool_],
    start: FloatArray,
    end: FloatArray,
    because: IntArray,
) -> float:
    """Time a plan, with the wait for links where there is contention; what devices and bytes cost."""
    if a.channels > 0:
        return float(simulated(a, order, place, pinned, start, end, because))
    return float(scheduled(a, order, place, pinned, start, end, because))


def shift_one(wish: IntArray, old: int, new: int) -> None:
    """Move the entry at index `old` to index `new`."""
    item = wish[old]
    step = 1 if new > old else -1
    q = old
    while q != new:
        wish[q] = wish[q + step]
        q += step
    wish[new] = item


shift_wish = inner(shift_one)
time_plan = inner(timed)
judged = inner(total)
put_chain = inner(put)
move_stretch = inner(put_stretch)
exchange_devices = inner(exchange)
on_critical_path = inner(critical)


@kernel
def anneal_host(  # noqa: C901, PLR0912, PLR0915
    a: HostNet,
    order: IntArray,
    place: IntArray,
    wish: IntArray,
    groups: IntArray,
    weights: int,
    temperature: tuple[float, float],
    iterations: int,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray, float, IntArray, IntArray, IntArray]:
    """Best order, devices and wishes found, their cost, and the last ones, to go on from.

    Metropolis acceptance with geometric cooling; half of the steps begin at a layer of the critical path. A step moves
    a chain to a device, to that of a neighbour, or swaps the devices of two chains; moves a whole stretch of a chain,
    or exchanges two devices; moves a layer in the order; or changes which weights are pinned first.

    Parameters
    ----------
    order, place, wish
        (n,) topological order, devices, and the order in which weights are pinned, named by layers.
    groups
        (n,) colocation group of each layer or -1; layers of groups stay where they are.
    weights
        How many weights there are.
    temperature
        First and last one, in the unit of the cost.
    """
    np.random.seed(seed)  # noqa: NPY002
    n, m = a.duration.shape
    order, place, wish = order.copy(), place.copy(), wish.copy()
    position = np.empty(n, dtype=np.int64)
    for q in range(n):
        position[order[q]] = q
    pinned = np.zeros((weights, m), dtype=np.bool_)
    start, end = np.zeros(n), np.zeros(n)
    because = np.full(n, -1, dtype=np.int64)
    kept_because, kept_end = because.copy(), end.copy()
    best, current = np.inf, np.inf
    if pin(a, place, wish, pinned):
        cost = time_plan(a, order, place, pinned, start, end, because)
        current, best = judged(a, place, end, cost, SPREAD)
        kept_because[:] = because
        kept_end[:] = end
    best_order, best_place, best_wish = order.copy(), place.copy(), wish.copy()
    trial = place.copy()
    heat = temperature[0]
    ratio = (temperature[1] / temperature[0]) ** (1.0 / max(iterations, 1))
    for _ in range(iterations):
        heat *= ratio
        i = np.random.randint(n)  # noqa: NPY002
        if np.random.random() < 0.5:  # noqa: NPY002
            i = on_critical_path(kept_because, kept_end)
        kind = np.random.randint(23)  # noqa: NPY002
        old, new = position[i], position[i]
        wish_from, wish_to = -1, -1
        changed = 0
        if kind < 5:
            low, high = room_to_move(a, position, i)
            if high <= low:
                continue
            new = low + np.random.randint(high - low + 1)  # noqa: NPY002
            if new == old:
                continue
            move_entry(order, position, old, new)
            changed = 1
        elif kind < 7 and a.pins == CHOSEN:
            wish_from = np.random.randint(n)  # noqa: NPY002
            wish_to = 0 if kind == 5 else np.random.randint(n)  # noqa: NPY002
            shift_wish(wish, wish_from, wish_to)
            changed = 1
        elif kind < 12:
            j = source_of(a, i) if np.random.random() < 0.5 else reader_of(a, i)  # noqa: NPY002
            if j >= 0 and place[j] != place[i]:
                length = 1 if np.random.random() < 0.5 else 1 + np.random.randint(24)  # noqa: NPY002
                changed = put_chain(a, trial, i, place[j], length)
        elif kind < 14:
            j = np.random.randint(n)  # noqa: NPY002
            length = 1 if np.random.random() < 0.5 else 1 + np.random.randint(24)  # noqa: NPY002
            first, second = place[i], place[j]
            if first != second:
                changed = put_chain(a, trial, i, second, length) + put_chain(a, trial, j, first, length)
        elif kind < 16:
            changed = move_stretch(a, trial, i, np.random.randint(m))  # noqa: NPY002
        elif kind < 17:
            changed = exchange_devices(a, trial, place[i], np.random.randint(m))  # noqa: NPY002
        else:
            length = 1 if np.random.random() < 0.4 else 1 + np.random.randint(24)  # noqa: NPY002
            changed = put_chain(a, trial, i, np.random.randint(m), length)  # noqa: NPY002
        for j in range(n):
            if groups[j] >= 0:
                trial[j] = place[j]
        if changed == 0:
            continue
        cost, true = np.inf, np.inf
        if pin(a, trial, wish, pinned):
            cost = time_plan(a, order, trial, pinned, start, end, because)
            cost, true = judged(a, trial, end, cost, SPREAD)
        if cost <= current or np.random.random() < np.exp((current - cost) / heat):  # noqa: NPY002
            current = cost
            place[:] = trial
            kept_because[:] = because
            kept_end[:] = end
            if true < best:
                best = true
                best_order[:] = order
                best_place[:] = place
                best_wish[:] = wish
        else:
            if new != old:
                move_entry(order, position, new, old)
            if wish_from >= 0:
                shift_wish(wish, wish_to, wish_from)
            trial[:] = place
    return best_order, best_place, best_wish, best, order, place, wish
