"""Compiled loops of the bounds on serving: preemptive schedules of shares, and what samples pay for each other.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray


class Needs(NamedTuple):
    """What n samples need on one device; P is the largest number of stages.

    Parameters
    ----------
    release
        (n,) seconds, not decreasing.
    first, depth
        (n,) first stage, and number of stages.
    rest
        (n, P + 1) sum of the shares of the stages after p = 0 ... P of them.
    own
        (n, P + 1) sum of their least latencies.
    lump
        (n,) lump of the last stage.
    psi
        (Q, m + 1, m + 1) least payments (`dnnplan.formulations.serving.shares.payments`), m >= n.
    level, step
        (n,) and (K,) weights are sums of steps: a sample of level k has the weight step[0] + ... + step[k].
    """

    release: FloatArray
    first: IntArray
    depth: IntArray
    rest: FloatArray
    own: FloatArray
    lump: FloatArray
    psi: FloatArray
    level: IntArray
    step: FloatArray


@inner
def sift_down(heap: FloatArray, size: int, value: float) -> None:
    """Put a value in place of the least one."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value


@inner
def sift_up(heap: FloatArray, size: int, value: float) -> None:
    """Add a value to a heap of `size` values."""
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent] <= value:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = value


@kernel
def shortest_first(release: FloatArray, work: FloatArray) -> FloatArray:
    """Completions, ascending, of jobs of one machine that always runs the one with the least work left.

    Preemptive shortest remaining processing time (Schrage 1968): for each k the k-th completion is the earliest
    possible. `release` does not decrease. O(n log n).
    """
    n = release.shape[0]
    heap, found = np.empty(n), np.empty(n)
    size, done, j = 0, 0, 0
    now = 0.0
    while done < n:
        if size == 0:
            now = max(now, release[j])
        while j < n and release[j] <= now:
            sift_up(heap, size, work[j])
            size += 1
            j += 1
        least = heap[0]
        if j < n and now + least > release[j]:
            # Run until the next job comes.
            sift_down(heap, size, least - (release[j] - now))
            now = release[j]
            continue
        now += least
        found[done] = now
        done += 1
        size -= 1
        if size > 0:
            sift_down(heap, size, heap[size])
    return found


@inner
def shares_to_go(
    needs: Needs, progress: IntArray, time: float, level: int, left: FloatArray, alone: FloatArray
) -> float:
    """Least sum of the completions of all samples of a level from a moment on, by shares.

    The larger of two bounds. (1) The k-th completion is neither before the k-th of shortest remaining work first,
    nor before the k-th smallest of the samples' own least latencies. (2) Shortest remaining work first, plus the lump
    of each sample (`share_bound`).

    Parameters
    ----------
    progress
        (n,) stages that each sample has run.
    time
        Seconds from which the device is free.
    left, alone
        (n,) scratch.
    """
    n = needs.release.shape[0]
    count, lumps = 0, 0.0
    for j in range(n):
        if progress[j] < needs.depth[j] and needs.level[j] >= level:
            value = max(needs.release[j], time) + needs.own[j, progress[j]]
            i = count
            while i > 0 and alone[i - 1] > value:
                alone[i] = alone[i - 1]
                i -= 1
            alone[i] = value
            count += 1
            lumps += needs.lump[j]
    now, done, waiting, j = time, 0, 0, 0
    larger, plain = 0.0, 0.0
    while done < count:
        while j < n and needs.release[j] <= now:
            if progress[j] < needs.depth[j] and needs.level[j] >= level:
                value = needs.rest[j, progress[j]]
                i = waiting
                while i > 0 and left[i - 1] < value:
                    left[i] = left[i - 1]
                    i -= 1
                left[i] = value
                waiting += 1
            j += 1
        if waiting == 0:
            while progress[j] >= needs.depth[j] or needs.level[j] < level:
                j += 1
            now = needs.release[j]
            continue
        least = left[waiting - 1]
        if j < n and now + least > needs.release[j]:
            left[waiting - 1] = least - (needs.release[j] - now)
            now = needs.release[j]
            continue
        now += least
        waiting -= 1
        plain += now
        larger += max(now, alone[done])
        done += 1
    return max(larger, plain + lumps)


@inner
def by_shares(needs: Needs, progress: IntArray, level: int, order: IntArray, need: IntArray) -> int:
    """Sort samples of a level by the shares that are left, largest first, and count those that need each stage."""
    count = 0
    for j in range(needs.release.shape[0]):
        p = progress[j]
        if p >= needs.depth[j] or needs.level[j] < level:
            continue
        i = count
        while i > 0 and needs.rest[order[i - 1], progress[order[i - 1]]] < needs.rest[j, p]:
            order[i] = order[i - 1]
            i -= 1
        order[i] = j
        count += 1
        for k in range(p, needs.depth[j]):
            need[needs.first[j] + k] += 1
    return count


@kernel
def pairs_to_go(
    needs: Needs, progress: IntArray, level: int, order: IntArray, price: FloatArray, known: FloatArray
) -> float:
    """Least sum of the completions of all samples of a level, counted from a moment from which all are there.

    Operation (i, q) is paid for by every sample that is complete no earlier, and half by the others of its batch:
    with l later ones at least psi(q, m, l), where m samples still need stage q (`pair_bound`). The least of
    all sequences is an assignment of samples to places l; any prices of places give a bound on it (linear
    programming duality). They come from the order of the remaining shares.

    Parameters
    ----------
    order, price
        (n,) scratch.
    known
        (Q, P + 1) scratch.
    """
    need = np.zeros(needs.psi.shape[0], dtype=np.int64)
    count = by_shares(needs, progress, level, order, need)
    if count == 0:
        return 0.0
    price[0], total = 0.0, 0.0
    for place in range(count - 1):
        slope = 0.0
        for near in range(2):
            j = order[place + near]
            for k in range(progress[j], needs.depth[j]):
                q = needs.first[j] + k
                slope += needs.psi[q, need[q], place + 1] - needs.psi[q, need[q], place]
        price[place + 1] = price[place] + 0.5 * slope
        total += price[place + 1]
    known[:, :] = np.inf
    for i in range(count):
        j = order[i]
        q, d = needs.first[j] + progress[j], needs.depth[j] - progress[j]
        if known[q, d] == np.inf:
            for place in range(count):
                value = -price[place]
                for k in range(q, q + d):
                    value += needs.psi[k, need[k], place]
                known[q, d] = min(known[q, d], value)
        total += known[q, d]
    return total
