"""Minimum cuts in the support of a fractional path: where too little flows. Importing this module loads numba."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
EPSILON = 1e-9
"""Capacities below this count as used up."""
PREDECESSOR, SUCCESSOR, PRECEDENCE = 0, 1, 2
"""Kinds of cuts, as `dnnplan.formulations.ordering.bounds.precedence_cuts` names them."""


class Support(NamedTuple):
    """Arcs with a positive value, and the reverse of each with capacity 0, sorted by the node that they leave.

    Parameters
    ----------
    start
        (N + 1,) arcs from node v are ``start[v]`` to ``start[v + 1] - 1``.
    head, reverse
        (2 A,) node that an arc enters, and number of the opposite arc.
    capacity
        (2 A,) value of the arc.
    """

    start: IntArray
    head: IntArray
    reverse: IntArray
    capacity: FloatArray


class Scratch(NamedTuple):
    """Residual capacities, nodes that may not be passed, nodes that are reached, a queue, arcs that reached them."""

    residual: FloatArray
    blocked: BoolArray
    seen: BoolArray
    queue: IntArray
    entry: IntArray


class Found(NamedTuple):
    """Cuts that are violated: kind, the one or two nodes that they are for, flow, and the side of the first node."""

    kind: IntArray
    first: IntArray
    second: IntArray
    flow: FloatArray
    side: BoolArray


def support(size: int, tail: IntArray, head: IntArray, value: FloatArray) -> Support:
    """The support of arcs with positive values."""
    count = len(tail)
    tails, heads = np.concatenate([tail, head]), np.concatenate([head, tail])
    opposite = np.concatenate([np.arange(count) + count, np.arange(count)])
    order = np.argsort(tails, kind="stable")
    place = np.empty(2 * count, dtype=np.int64)
    place[order] = np.arange(2 * count)
    start = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(np.bincount(tails, minlength=size), out=start[1:])
    capacity = np.concatenate([value, np.zeros(count)])
    return Support(start, heads[order], place[opposite[order]], capacity[order])


def scratch(s: Support) -> Scratch:
    """Empty scratch space for a support."""
    n = len(s.start) - 1
    return Scratch(
        np.empty_like(s.capacity),
        np.zeros(n, dtype=np.bool_),
        np.zeros(n, dtype=np.bool_),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )


@inner
def reach(s: Support, w: Scratch, source: int, sink: int) -> bool:
    """Breadth-first search along what is left of the capacities, to the sink at most."""
    w.seen[:] = False
    w.seen[source] = True
    w.queue[0] = source
    done, count = 0, 1
    while done < count:
        v = w.queue[done]
        done += 1
        for e in range(s.start[v], s.start[v + 1]):
            u = s.head[e]
            if w.residual[e] > EPSILON and not w.seen[u] and not w.blocked[u]:
                w.seen[u] = True
                w.entry[u] = e
                if u == sink:
                    return True
                w.queue[count] = u
                count += 1
    return False


@inner
def flow(s: Support, w: Scratch, source: int, sink: int, enough: float) -> float:
    """Flow from a source to a sink past blocked nodes, up to `enough`; then `seen` is the source's side of a least cut.

    Edmonds and Karp (1972). Paths of least length; in a support of O(N) arcs, with flows up to 1, some ten of them.
    """
    w.residual[:] = s.capacity
    total = 0.0
    while total < enough and reach(s, w, source, sink):
        least = np.inf
        v = sink
        while v != source:
            least = min(least, w.residual[w.entry[v]])
            v = s.head[s.reverse[w.entry[v]]]
        v = sink
        while v != source:
            e = w.entry[v]
            w.residual[e] -= least
            w.residual[s.reverse[e]] += least
            v = s.head[s.reverse[e]]
        total += least
    return total


@inner
def keep(found: Found, count: int, kind: int, first: int, second: int, amount: float, w: Scratch) -> int:
    """Note a violated cut, if there is room."""
    if count < found.kind.shape[0]:
        found.kind[count], found.first[count], found.second[count] = kind, first, second
        found.flow[count] = amount
        found.side[count] = w.seen
        return count + 1
    return count


@kernel
def separate(
    s: Support, w: Scratch, before: BoolArray, pairs: IntArray, enough: float, turn: int, found: Found
) -> int:
    """Cuts whose flow is less than `enough`, weak forms of Balas, Fischetti and Pulleyblank (1995); how many.

    Looks at all nodes, then at all pairs of a direct precedence, from number `turn` on, until there is no more room.
    """
    n = before.shape[0]
    count = 0
    for number in range(1, n - 1):
        j = 1 + (number + turn) % (n - 2)
        w.blocked[:] = before[:, j]
        amount = flow(s, w, j, n - 1, enough)
        if amount < enough:
            count = keep(found, count, PREDECESSOR, j, n - 1, amount, w)
        w.blocked[:] = before[j]
        amount = flow(s, w, 0, j, enough)
        if amount < enough:
            count = keep(found, count, SUCCESSOR, 0, j, amount, w)
    for number in range(pairs.shape[0]):
        if count == found.kind.shape[0]:
            break
        pair = (number + turn) % pairs.shape[0]
        i, j = pairs[pair, 0], pairs[pair, 1]
        if i == 0 or j == n - 1:
            continue
        w.blocked[:] = before[:, i] | before[j]
        amount = flow(s, w, i, j, enough)
        if amount < enough:
            count = keep(found, count, PRECEDENCE, i, j, amount, w)
    return count
