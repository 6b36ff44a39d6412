"""What the compiled search of orders knows of costs, precedences and a path, and how parts of a path change places.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.plan_state import MODULUS, MULTIPLIER, kernel

BoolArray = NDArray[np.bool_]
WAITING, FROM, TO = 0, 1, 2
"""Entries of `Path.counts`: nodes on the stack, and the places between which something has changed."""


class Net(NamedTuple):
    """What does not change: N nodes, node 0 first and node N - 1 last.

    Parameters
    ----------
    cost
        (N, N) of the column's node right after the row's; large where that is not allowed.
    near
        (N, K) nodes that may follow each node, the cheapest first; -1 behind them.
    before
        (N, N) whether the row's node has to come before the column's; transitively closed.
    after_start, after
        Direct successors of node v are ``after[after_start[v]:after_start[v + 1]]``.
    ahead_start, ahead
        Direct predecessors likewise.
    slack
        Gains up to this are rounding errors.
    """

    cost: FloatArray
    near: IntArray
    before: BoolArray
    after_start: IntArray
    after: IntArray
    ahead_start: IntArray
    ahead: IntArray
    slack: float


class Path(NamedTuple):
    """A path, and the scratch space of its search.

    Parameters
    ----------
    order, place
        (N,) nodes along the path, and place of each node.
    kept
        (N,) the path to go back to.
    stack, waiting
        (N,) nodes around which something has changed, and whether a node is among them.
    reach
        (N,) how far parts may go that begin or end at a place.
    moved
        (N,) nodes on their way to new places.
    counts, random
        Counters, and the last random number.
    """

    order: IntArray
    place: IntArray
    kept: IntArray
    stack: IntArray
    waiting: BoolArray
    reach: IntArray
    moved: IntArray
    counts: IntArray
    random: IntArray


@kernel
def draw(s: Path, n: int) -> int:
    """A random number from 0 to n - 1."""
    s.random[0] = (s.random[0] * MULTIPLIER) % MODULUS
    return int(s.random[0] % n)


@kernel
def chance(s: Path) -> float:
    """A random number between 0 and 1, neither of them."""
    s.random[0] = (s.random[0] * MULTIPLIER) % MODULUS
    return float(s.random[0] / MODULUS)


@kernel
def length(net: Net, order: IntArray) -> float:
    """Cost of a path."""
    total = 0.0
    for p in range(order.shape[0] - 1):
        total += net.cost[order[p], order[p + 1]]
    return total


@kernel
def push(s: Path, v: int) -> None:
    """Something has changed next to node v (the stack of Gambardella and Dorigo 2000, section 4.3)."""
    if not s.waiting[v]:
        s.waiting[v] = True
        s.stack[s.counts[WAITING]] = v
        s.counts[WAITING] += 1


@kernel
def pop(s: Path) -> int:
    """The node around which something has changed last."""
    s.counts[WAITING] -= 1
    v = s.stack[s.counts[WAITING]]
    s.waiting[v] = False
    return int(v)


@kernel
def first_after(net: Net, s: Path, p: int) -> int:
    """Place of the first node that has to come after the one at place p."""
    v = s.order[p]
    least = s.order.shape[0]
    for e in range(net.after_start[v], net.after_start[v + 1]):
        least = min(least, s.place[net.after[e]])
    return least


@kernel
def last_ahead(net: Net, s: Path, p: int) -> int:
    """Place of the last node that has to come before the one at place p."""
    v = s.order[p]
    most = -1
    for e in range(net.ahead_start[v], net.ahead_start[v + 1]):
        most = max(most, s.place[net.ahead[e]])
    return most


@kernel
def note(s: Path, p: int, q: int) -> None:
    """Places p to q have changed."""
    s.counts[FROM] = min(s.counts[FROM], p)
    s.counts[TO] = max(s.counts[TO], q)


@kernel
def exchange(s: Path, h: int, i: int, j: int) -> None:
    """Places h + 1 to i and i + 1 to j change places, and keep their directions. O(j - h)."""
    for p in (h, h + 1, i, i + 1, j, j + 1):
        push(s, s.order[p])
    left, right = i - h, j - i
    if left <= right:
        for k in range(left):
            s.moved[k] = s.order[h + 1 + k]
        for k in range(right):
            s.order[h + 1 + k] = s.order[i + 1 + k]
        for k in range(left):
            s.order[h + 1 + right + k] = s.moved[k]
    else:
        for k in range(right):
            s.moved[k] = s.order[i + 1 + k]
        for k in range(left - 1, -1, -1):
            s.order[h + 1 + right + k] = s.order[h + 1 + k]
        for k in range(right):
            s.order[h + 1 + k] = s.moved[k]
    for p in range(h + 1, j + 1):
        s.place[s.order[p]] = p
    note(s, h + 1, j)


@kernel
def keep(s: Path) -> None:
    """The path as it is becomes the one to go back to."""
    for p in range(s.counts[FROM], s.counts[TO] + 1):
        s.kept[p] = s.order[p]
    s.counts[FROM], s.counts[TO] = s.order.shape[0], 0


@kernel
def take_back(s: Path) -> None:
    """Back to the path that was kept."""
    for p in range(s.counts[FROM], s.counts[TO] + 1):
        s.order[p] = s.kept[p]
        s.place[s.order[p]] = p
    s.counts[FROM], s.counts[TO] = s.order.shape[0], 0
