"""Labels of chains of partitions: vectors of sums, of which none is as good as another in everything.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.partition_lattice import Numbers

Singles = NDArray[np.float32]
FULL = -2
"""Returned where the room for labels is used up."""


@inner
def hopeless(
    label: FloatArray,
    p: int,
    bounds: tuple[FloatArray, Singles, FloatArray, IntArray],
    least: FloatArray,
    hint: IntArray,
) -> bool:
    """Whether no chain that ends in this label can be wanted.

    The chain costs at least ``least[i] = prices[i] @ label + above[i, p]`` at every price i. A corner j stands for
    what is still wanted: chains below ``threshold[i, j]`` at every price; ``tightest[j]`` has the prices in the order
    in which they are worth a look. The corner that the last label stayed below is looked at first.
    """
    prices, above, threshold, tightest = bounds
    count, corners = threshold.shape
    for i in range(count):
        value = np.float64(above[i, p])
        for c in range(label.shape[0]):
            value += prices[i, c] * label[c]
        least[i] = value
    for step in range(-1, corners):
        j = hint[0] if step < 0 else step
        wanted = True
        for x in range(count):
            i = tightest[j, x]
            if least[i] >= threshold[i, j]:
                wanted = False
                break
        if wanted:
            hint[0] = j
            return False
    return True


@inner
def gather(
    p: int,
    cost: FloatArray,
    behind: tuple[IntArray, FloatArray],
    finer: tuple[IntArray, Numbers],
    here: tuple[IntArray, FloatArray, Numbers, Numbers],
) -> tuple[FloatArray, Numbers, Numbers]:
    """Candidates of a partition: its own labels, and those of all partitions that split one of its groups."""
    own, labels_behind = behind
    span, labels, source, previous = here
    total = own[p, 1] - own[p, 0]
    for e in range(finer[0][p], finer[0][p + 1]):
        q = finer[1][e]
        total += span[q, 1] - span[q, 0]
    found = np.empty((total, cost.shape[0]))
    origin = np.empty(total, dtype=np.int32)
    place = np.empty(total, dtype=np.int32)
    m = 0
    for t in range(own[p, 0], own[p, 1]):
        for c in range(cost.shape[0]):
            found[m, c] = labels_behind[t, c] + cost[c, p]
        origin[m] = p
        place[m] = t
        m += 1
    for e in range(finer[0][p], finer[0][p + 1]):
        q = finer[1][e]
        for t in range(span[q, 0], span[q, 1]):
            found[m] = labels[t]
            origin[m] = source[t]
            place[m] = previous[t]
            m += 1
    return found, origin, place


@inner
def dominated(label: FloatArray, labels: FloatArray, begin: int, end: int) -> bool:
    """Whether a kept label is as good in everything; the first sums of kept ones are no larger already."""
    if label.shape[0] == 2:
        return bool(end > begin and labels[end - 1, 1] <= label[1])
    for t in range(begin, end):
        better = True
        for c in range(1, label.shape[0]):
            if labels[t, c] > label[c]:
                better = False
                break
        if better:
            return True
    return False


@inner
def in_order(found: FloatArray) -> IntArray:
    """Candidates by their first sum; of equal ones the least in the second sum comes first."""
    order = np.argsort(found[:, 0], kind="mergesort")
    if found.shape[1] < 2:
        return order
    x = 0
    while x < order.shape[0]:
        best, y = x, x + 1
        while y < order.shape[0] and found[order[y], 0] == found[order[x], 0]:
            if found[order[y], 1] < found[order[best], 1]:
                best = y
            y += 1
        order[x], order[best] = order[best], order[x]
        x = y
    return order


@kernel
def extend(
    rows: tuple[int, int],
    cost: FloatArray,
    behind: tuple[IntArray, FloatArray],
    finer: tuple[IntArray, Numbers],
    bounds: tuple[FloatArray, Singles, FloatArray, IntArray],
    here: tuple[IntArray, FloatArray, Numbers, Numbers],
    filled: int,
) -> tuple[int, int]:
    """Labels of one branch point for the partitions from ``rows[0]`` down to ``rows[1]``.

    A label of partition P stands for a chain that begins, at this branch point, with P or a refinement of it.

    Parameters
    ----------
    cost
        (C, N) what each partition adds to each sum here.
    behind
        (N, 2) ranges and labels of the branch point behind this one.
    finer
        The partitions that split one group, as offsets and a flat list.
    bounds
        Prices (I, C), least priced sums above (I, N), thresholds (I, J), and (J, I) prices in order: see `hopeless`.
    here
        (N, 2) ranges, labels, the partition each label begins with and the label it continues; filled in.
    filled
        Labels that are there already.

    Returns
    -------
    Labels that are there now, and the next partition to look at; the former is `FULL` where there is no more room.
    """
    span, labels, source, previous = here
    least = np.empty(bounds[0].shape[0])
    hint = np.zeros(1, dtype=np.int64)
    for p in range(rows[0], rows[1], -1):
        found, origin, place = gather(p, cost, behind, finer, here)
        begin = filled
        for x in in_order(found):
            label = found[x]
            if dominated(label, labels, begin, filled) or hopeless(label, p, bounds, least, hint):
                continue
            if filled == labels.shape[0]:
                return FULL, p
            labels[filled] = label
            source[filled] = origin[x]
            previous[filled] = place[x]
            filled += 1
        span[p, 0] = begin
        span[p, 1] = filled
    return filled, rows[1]
