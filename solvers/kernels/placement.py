"""Simulated annealing over devices of groups for the largest load, with transfers counted once a device.

Importing this module loads numba. Loads change by what the tensors at the moved groups change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

BLOCK = 24
"""Groups in the largest block that moves at once."""


class LoadArrays(NamedTuple):
    """A load problem as arrays; lists of lists are offsets (`*_at`) into flat lists.

    `tensors` are those at each group, `groups` the readers of each tensor, `near` the groups that share a tensor,
    `farthest` the most that a device pays for a tensor from elsewhere.
    """

    work: FloatArray
    fixed: FloatArray
    allowed: IntArray
    allowed_at: IntArray
    source: IntArray
    always: IntArray
    receive: FloatArray
    farthest: FloatArray
    send: FloatArray
    tensors: IntArray
    tensors_at: IntArray
    groups: IntArray
    groups_at: IntArray
    near: IntArray
    near_at: IntArray
    weights: IntArray
    weights_at: IntArray
    weight_bytes: FloatArray
    room: FloatArray
    overlap: bool


def add_tensor(
    a: LoadArrays, k: int, place: IntArray, count: IntArray, moves: FloatArray, sign: float
) -> None:
    """Add (or take away) what tensor k costs under the current placement and reader counts."""
    m = moves.shape[0]
    source = a.source[k]
    home = place[source] if source >= 0 else m
    outside = a.always[k]
    for d in range(m):
        if d != home and count[k, d] > 0:
            moves[d] += sign * a.receive[k, home, d]
            outside = 1
    if source >= 0 and outside:
        moves[home] += sign * a.send[k, home]


cross = inner(add_tensor)


def put(
    a: LoadArrays,
    g: int,
    new: int,
    place: IntArray,
    count: IntArray,
    held: IntArray,
    sums: FloatArray,
) -> None:
    """Move group g to device `new`; `sums` rows: compute, transfers, bytes."""
    old = place[g]
    for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
        cross(a, a.tensors[e], place, count, sums[1], -1.0)
    for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
        k = a.tensors[e]
        if a.source[k] != g:
            count[k, old] -= 1
            count[k, new] += 1
    place[g] = new
    for e in range(a.tensors_at[g], a.tensors_at[g + 1]):
        cross(a, a.tensors[e], place, count, sums[1], 1.0)
    sums[0, old] -= a.work[g, old]
    sums[0, new] += a.work[g, new]
    sums[1, old] -= a.fixed[g, old]
    sums[1, new] += a.fixed[g, new]
    for e in range(a.weights_at[g], a.weights_at[g + 1]):
        w = a.weights[e]
        held[w, old] -= 1
        if held[w, old] == 0:
            sums[2, old] -= a.weight_bytes[w]
        if held[w, new] == 0:
            sums[2, new] += a.weight_bytes[w]
        held[w, new] += 1


shift = inner(put)


def guide(a: LoadArrays, sums: FloatArray, scale: float, squarings: int) -> tuple[float, float]:
    """(guiding cost, largest load): the norm of the loads of exponent 2**squarings; overfull memories cost extra."""
    total, largest, over = 0.0, 0.0, 0.0
    for d in range(sums.shape[1]):
        load = max(sums[0, d], sums[1, d]) if a.overlap else sums[0, d] + sums[1, d]
        largest = max(largest, load)
        power = load / scale
        for _ in range(squarings):
            power *= power
        total += power
        if sums[2, d] > a.room[d]:
            over += sums[2, d] / max(a.room[d], 1.0) - 1.0 + 0.01
    for _ in range(squarings):
        total = np.sqrt(total)
    if over > 0.0:
        largest = np.inf
    return total * scale + over * scale, largest


judge = inner(guide)


def block_of(
    a: LoadArrays, g: int, size: int, place: IntArray, block: IntArray, seen: IntArray, mark: int
) -> int:
    """Up to `size` groups around g on its device, breadth first with random turns; returns how many."""
    block[0] = g
    seen[g] = mark
    filled, done = 1, 0
    while done < filled < size:
        h = block[done]
        begin, end = a.near_at[h], a.near_at[h + 1]
        if end > begin:
            turn = np.random.randint(end - begin)  # noqa: NPY002
            for step in range(end - begin):
                other = a.near[begin + (turn + step) % (end - begin)]
                if seen[other] != mark and place[other] == place[g] and filled < size:
                    seen[other] = mark
                    block[filled] = other
                    filled += 1
        done += 1
    return filled


grow = inner(block_of)


def target_of(a: LoadArrays, g: int, place: IntArray) -> int:
    """A device for group g: that of a group it shares a tensor with, mostly, else any that it can run on."""
    begin, end = a.near_at[g], a.near_at[g + 1]
    if end > begin and np.random.random() < 0.6:  # noqa: NPY002
        return int(place[a.near[begin + np.random.randint(end - begin)]])  # noqa: NPY002
    begin, end = a.allowed_at[g], a.allowed_at[g + 1]
    return int(a.allowed[begin + np.random.randint(end - begin)])  # noqa: NPY002


aim = inner(target_of)


@kernel
def anneal(  # noqa: C901, PLR0912, PLR0915
    a: LoadArrays,
    place: IntArray,
    heat: tuple[float, float],
    squarings: int,
    iterations: int,
    seed: int,
) -> tuple[IntArray, float, IntArray]:
    """Moves, swaps and block moves while cooling; returns (best placement, its largest load, last placement)."""
    np.random.seed(seed)  # noqa: NPY002
    size, m = a.work.shape
    place = place.copy()
    count = np.zeros((a.source.shape[0], m), dtype=np.int64)
    held = np.zeros((a.weight_bytes.shape[0], m), dtype=np.int64)
    sums = np.zeros((3, m))
    for k in range(a.source.shape[0]):
        for e in range(a.groups_at[k], a.groups_at[k + 1]):
            count[k, place[a.groups[e]]] += 1
        cross(a, k, place, count, sums[1], 1.0)
    for g in range(size):
        d = place[g]
        sums[0, d] += a.work[g, d]
        sums[1, d] += a.fixed[g, d]
        for e in range(a.weights_at[g], a.weights_at[g + 1]):
            if held[a.weights[e], d] == 0:
                sums[2, d] += a.weight_bytes[a.weights[e]]
            held[a.weights[e], d] += 1
    scale = max((sums[0] + sums[1]).max(), 1e-300)
    now, best_value = judge(a, sums, scale, squarings)
    best = place.copy()
    saved = np.empty((3, m))
    block = np.empty(size, dtype=np.int64)
    back = np.empty(size, dtype=np.int64)
    seen = np.full(size, -1, dtype=np.int64)
    cooling = (heat[1] / heat[0]) ** (1.0 / max(iterations, 1))
    temperature = heat[0] * scale
    for step in range(iterations):
        temperature *= cooling
        g = np.random.randint(size)  # noqa: NPY002
        kind = np.random.random()  # noqa: NPY002
        count_moved = 1
        block[0] = g
        target = aim(a, g, place)
        other = -1
        if kind < 0.35:
            limit = 2 + np.random.randint(min(BLOCK, size))  # noqa: NPY002
            count_moved = grow(a, g, min(limit, size), place, block, seen, step)
        elif kind < 0.6:
            other = np.random.randint(size)  # noqa: NPY002
            target = place[other]
            if not np.isfinite(a.work[other, place[g]]):
                continue
        if target == place[g]:
            continue
        runs = True
        for b in range(count_moved):
            if not np.isfinite(a.work[block[b], target]):
                runs = False
        if not runs:
            continue
        saved[:] = sums
        home = place[g]
        for b in range(count_moved):
            back[b] = place[block[b]]
            shift(a, block[b], target, place, count, held, sums)
        if other >= 0:
            shift(a, other, home, place, count, held, sums)
        value, largest = judge(a, sums, scale, squarings)
        if not (value <= now or np.random.random() < np.exp((now - value) / temperature)):  # noqa: NPY002
            if other >= 0:
                shift(a, other, target, place, count, held, sums)
            for b in range(count_moved):
                shift(a, block[b], back[b], place, count, held, sums)
            sums[:] = saved
            continue
        now = value
        if largest < best_value:
            best_value = largest
            best[:] = place
    return best, best_value, place
