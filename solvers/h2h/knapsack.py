"""Step 2 of H2H: which weights stay on an accelerator, as a 0/1 knapsack for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray

Knapsack = Literal["exact", "published"]
UNIT = 4_000.0
"""Bytes of 1,000 numbers of 32 bit: the unit that the published variant rounds sizes up to."""
STATES = 200_000
"""Undominated fillings up to which the knapsack is exact; beyond, sizes are rounded up to a grid."""
GRID = 50_000


def never() -> bool:
    """A run without limits."""
    return False


def pin_by_knapsack(
    problem: MappingProblem,
    place: Sequence[int],
    variant: Knapsack = "exact",
    finished: Callable[[], bool] = never,
) -> list[set[int]]:
    """(m,) weights that stay on each device.

    max sum_w s(w,d) z(w), sum_w b(w) z(w) <= capacity(d), z binary, where s(w,d) are the seconds that the layers on d
    spend on loading w.

    Parameters
    ----------
    variant
        ``exact``: as above. ``published``: what the public code does instead, largest weights first, in units of
        1,000 numbers, rounded up.
    finished
        Asked between items; from when it says so on, what saves most for its size comes first.
    """
    saved: list[dict[int, float]] = [{} for _ in range(problem.m)]
    size: dict[int, float] = {}
    for i, d in enumerate(place):
        w = int(problem.weight_of[i])
        saved[d][w] = saved[d].get(w, 0.0) + float(problem.load[i, d])
        size[w] = float(problem.weight_bytes[i])
    if problem.execution.memory == "none":
        return [set(weights) for weights in saved]
    room = [float(c) for c in problem.capacity]
    pinned: list[set[int]] = []
    for d, weights in enumerate(saved):
        memory = int(problem.memory_of[d])
        capacity = min(float(problem.weight_capacity[d]), room[memory])
        items = sorted(weights)
        if variant == "published":
            chosen = _largest_first(items, [size[w] for w in items], capacity)
        else:
            chosen = fill([size[w] for w in items], [weights[w] for w in items], capacity, finished)
        pinned.append({items[q] for q in chosen})
        room[memory] -= sum(size[w] for w in pinned[-1])
    return pinned


def _largest_first(items: Sequence[int], sizes: Sequence[float], capacity: float) -> list[int]:
    free = capacity / UNIT
    chosen = []
    for q in sorted(range(len(items)), key=lambda q: (-math.ceil(sizes[q] / UNIT), q)):
        units = math.ceil(sizes[q] / UNIT)
        if units <= free:
            chosen.append(q)
            free -= units
    return chosen


def fill(
    sizes: Sequence[float],
    values: Sequence[float],
    capacity: float,
    finished: Callable[[], bool] = never,
) -> list[int]:
    """Items of the most value that fit (0/1 knapsack).

    Undominated fillings, item after item (Nemhauser and Ullmann 1969). Where they become more than `STATES`, sizes are
    rounded up to 1/50,000 of the capacity, which bounds them: the answer still fits, and is optimal for those sizes.
    Where the run is finished before, items are taken by value for their size.
    """
    everything = [q for q in range(len(sizes)) if sizes[q] <= capacity]
    if sum(sizes[q] for q in everything) <= capacity:
        return everything
    own, worth = [sizes[q] for q in everything], [values[q] for q in everything]
    chosen = _undominated(own, worth, capacity, STATES, finished)
    if chosen is None:
        step = capacity / GRID
        grid = [math.ceil(size / step) for size in own]
        chosen = _undominated(grid, worth, float(GRID), GRID + 1, finished)
    if chosen is None:
        chosen = _by_density(own, worth, capacity)
    return [everything[q] for q in chosen]


def _by_density(sizes: Sequence[float], values: Sequence[float], capacity: float) -> list[int]:
    chosen = []
    for q in sorted(range(len(sizes)), key=lambda q: (-values[q] / max(sizes[q], 1e-300), q)):
        if sizes[q] <= capacity:
            chosen.append(q)
            capacity -= sizes[q]
    return sorted(chosen)


def _undominated(
    sizes: Sequence[float],
    values: Sequence[float],
    capacity: float,
    limit: int,
    finished: Callable[[], bool],
) -> list[int] | None:
    """Chosen items, or None if there are more than `limit` fillings that none beats, or the run is finished."""
    weight, worth = np.zeros(1), np.zeros(1)
    came: list[tuple[FloatArray, FloatArray]] = [(weight, worth)]
    for size, value in zip(sizes, values, strict=True):
        fits = weight + size <= capacity
        both = np.concatenate([weight, weight[fits] + size])
        gains = np.concatenate([worth, worth[fits] + value])
        order = np.lexsort((-gains, both))
        both, gains = both[order], gains[order]
        best = np.maximum.accumulate(gains)
        keep = np.concatenate([[True], gains[1:] > best[:-1]])
        weight, worth = both[keep], gains[keep]
        if len(weight) > limit or finished():
            return None
        came.append((weight, worth))
    chosen: list[int] = []
    at = int(np.argmax(worth))
    size_left, gain_left = float(weight[at]), float(worth[at])
    for q in range(len(sizes) - 1, -1, -1):
        before, gain = came[q]
        found = np.flatnonzero((before == size_left) & (gain == gain_left))
        if len(found):
            continue
        chosen.append(q)
        source = np.flatnonzero((before + sizes[q] == size_left) & (gain + values[q] == gain_left))
        size_left, gain_left = float(before[source[0]]), float(gain[source[0]])
    return sorted(chosen)
