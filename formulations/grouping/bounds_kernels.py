"""Compiled loops of the bounds on task graphs: cliques, sizes of groups, and nested sets of tasks.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

Words = NDArray[np.uint64]


@inner
def coloured(candidates: IntArray, near: NDArray[np.bool_], colour: IntArray) -> IntArray:
    """Candidates by colour, where tasks of a colour are not near each other (greedy); `colour` is filled in.

    A clique has at most one task of each colour, so that a task of colour c ends a clique of at most c tasks.
    """
    left = candidates.copy()
    count = left.shape[0]
    order = np.empty(count, dtype=np.int64)
    placed, number = 0, 0
    while count > 0:
        number += 1
        first, kept = placed, 0
        for x in range(count):
            t = left[x]
            free = True
            for y in range(first, placed):
                if near[t, order[y]]:
                    free = False
                    break
            if free:
                order[placed] = t
                colour[placed] = number
                placed += 1
            else:
                left[kept] = t
                kept += 1
        count = kept
    return order


@inner
def has_clique(candidates: IntArray, need: int, near: NDArray[np.bool_], steps: IntArray) -> bool:
    """Whether some `need` candidates are all near each other (Tomita and Seki 2003: branch and bound by colours).

    `steps` counts down to 0; then the answer is True, which keeps bounds valid.
    """
    if need <= 0:
        return True
    if candidates.shape[0] < need:
        return False
    colour = np.empty(candidates.shape[0], dtype=np.int64)
    order = coloured(candidates, near, colour)
    for x in range(order.shape[0] - 1, -1, -1):
        if colour[x] < need:
            return False
        steps[0] -= 1
        if steps[0] <= 0:
            return True
        t = order[x]
        beside = np.empty(x, dtype=np.int64)
        count = 0
        for y in range(x):
            if near[t, order[y]]:
                beside[count] = order[y]
                count += 1
        if has_clique(beside[:count], need - 1, near, steps):
            return True
    return False


@kernel
def smallest_diameters(distance: FloatArray, allowed: NDArray[np.bool_], most_steps: int) -> FloatArray:
    """(n + 1,) least diameter of a set of each size, of allowed pairs; never too large, infinite where there is none.

    Pairs of tasks become near by rising distance. A clique larger than all before has the last pair in it. Exact
    where no search took `most_steps`.
    """
    n = distance.shape[0]
    found = np.full(n + 1, np.inf)
    found[: min(n + 1, 2)] = 0.0
    near = np.zeros((n, n), dtype=np.bool_)
    order = np.argsort(distance.copy().reshape(n * n), kind="mergesort")
    largest = min(n, 1)
    beside = np.empty(n, dtype=np.int64)
    steps = np.zeros(1, dtype=np.int64)
    for pair in order:
        i, j = pair // n, pair % n
        if i >= j or not allowed[i, j]:
            continue
        near[i, j] = near[j, i] = True
        count = 0
        for t in range(n):
            if near[t, i] and near[t, j]:
                beside[count] = t
                count += 1
        steps[0] = most_steps
        if has_clique(beside[:count], largest - 1, near, steps):
            # One more pair makes the largest clique larger by no more than one.
            largest += 1
            found[largest] = distance[i, j]
    return found


@kernel
def by_sizes(slope: FloatArray, base: FloatArray, diameter: FloatArray) -> FloatArray:
    """(n + 1, n + 1) least cost of all other groups, by the number k of groups and the size a of the largest one.

    The others are k - 1 groups of n - a tasks in all, none of more than a. A group of s costs ``slope[k, s] *
    diameter[s] + base[s]``; it does not matter where it lies. Infinite where no sizes fit. O(n^4).
    """
    n = base.shape[0] - 1
    found = np.full((n + 1, n + 1), np.inf)
    for k in range(1, n + 1):
        table = np.full((k, n + 1), np.inf)
        table[0, 0] = 0.0
        for a in range(1, n + 1):
            cost = slope[k, a] * diameter[a] + base[a]
            for groups in range(1, k):
                for tasks in range(a, n + 1 - a):
                    table[groups, tasks] = min(table[groups, tasks], table[groups - 1, tasks - a] + cost)
            found[k, a] = table[k - 1, n - a]
    return found


@kernel
def sizes_of(n: int) -> IntArray:
    """(2^n,) tasks in each set."""
    found = np.zeros(1 << n, dtype=np.int64)
    for s in range(1, 1 << n):
        found[s] = found[s >> 1] + (s & 1)
    return found


@kernel
def diameters_of(distance: FloatArray) -> FloatArray:
    """(2^n,) largest distance of two tasks of each set: O(2^n n)."""
    n = distance.shape[0]
    found = np.zeros(1 << n)
    for s in range(1, 1 << n):
        i = 0
        while not (s >> i) & 1:
            i += 1
        largest = found[s & (s - 1)]
        for j in range(i + 1, n):
            if (s >> j) & 1 and distance[i, j] > largest:
                largest = distance[i, j]
        found[s] = largest
    return found


@kernel
def least_up_to(
    diameter: FloatArray,
    size: IntArray,
    costs: tuple[FloatArray, FloatArray, FloatArray],
    before: tuple[FloatArray, FloatArray],
    counts: tuple[int, int],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least cost of the branch points up to one, by the largest group A there.

    Parameters
    ----------
    diameter, size
        (2^n,) of each set.
    costs
        (n + 1, n + 1) slope by numbers of groups and size, (n + 1,) base, (n + 1, n + 1) least cost of the others.
    before
        (2^n,) least cost before this branch point where the largest group there contains the set; (n + 1,) the same
        where a group beside the largest one may have so many tasks.
    counts
        Least and largest number of groups here.

    Returns
    -------
    (2^n,) by A; (n + 1,) by numbers of groups here; (n + 1,) the second of `before` for the next one.
    """
    slope, base, others = costs
    around, apart = before
    n = base.shape[0] - 1
    found = np.full(size.shape[0], np.inf)
    by_count, beside = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    for s in range(1, size.shape[0]):
        a = size[s]
        spent = around[s]
        if a > 1:
            spent = min(spent, apart[a])
        for k in range(counts[0], min(counts[1], n - a + 1) + 1):
            value = spent + slope[k, a] * diameter[s] + base[a] + others[k, a]
            found[s] = min(found[s], value)
            by_count[k] = min(by_count[k], value)
            # The other groups have n - a tasks: one of them has at most this many.
            most = min(a, n - a - k + 2)
            beside[most] = min(beside[most], value)
    for a in range(n - 1, -1, -1):
        beside[a] = min(beside[a], beside[a + 1])
    return found, by_count, beside


@kernel
def least_around(value: FloatArray, n: int) -> FloatArray:
    """(2^n,) least value of all sets that contain each set: O(2^n n)."""
    found = value.copy()
    for i in range(n):
        bit = 1 << i
        for s in range(found.shape[0]):
            if not s & bit and found[s ^ bit] < found[s]:
                found[s] = found[s ^ bit]
    return found


@kernel
def least_by_width(
    ends: tuple[FloatArray, FloatArray],
    diameter: FloatArray,
    costs: tuple[FloatArray, FloatArray, FloatArray],
    before: tuple[FloatArray, FloatArray],
    counts: tuple[int, int],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least cost of the branch points up to one, by the size a of the largest group and an interval of its diameter.

    Parameters
    ----------
    ends
        (I,) lower and upper ends of the intervals.
    diameter
        (J, n + 1) least diameter of a set of each size here, by the interval before.
    costs
        As `least_up_to` takes them.
    before
        (n + 1, J) least cost before, where the largest group has at least so many tasks, by its interval; (n + 1,) as
        `least_up_to` takes it: intervals do not matter then, and the last one allows all pairs.
    counts
        As `least_up_to` takes them.

    Returns
    -------
    (n + 1, I) by a and interval; (n + 1,) by numbers of groups here; (n + 1,) the second of `before` for the next one.
    """
    slope, base, others = costs
    around, apart = before
    n = base.shape[0] - 1
    intervals = diameter.shape[0]
    found = np.full((n + 1, ends[0].shape[0]), np.inf)
    by_count, beside = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    for a in range(1, n + 1):
        for i in range(ends[0].shape[0]):
            for j in range(intervals + 1):
                # One turn more than intervals before: the largest group lay beside the largest one.
                inside = j < intervals
                spent = around[a, j] if inside else apart[a]
                least = diameter[j if inside else intervals - 1, a]
                if least > ends[1][i] or spent == np.inf or (a == 1 and not inside):
                    continue
                width = max(ends[0][i], least) if a > 1 else 0.0
                for k in range(counts[0], min(counts[1], n - a + 1) + 1):
                    value = spent + slope[k, a] * width + base[a] + others[k, a]
                    found[a, i] = min(found[a, i], value)
                    by_count[k] = min(by_count[k], value)
                    most = min(a, n - a - k + 2)
                    beside[most] = min(beside[most], value)
    for a in range(n - 1, -1, -1):
        beside[a] = min(beside[a], beside[a + 1])
    return found, by_count, beside
