"""Path-preserving 3-exchange on sequences with precedences, in iterated local search.

A sequence ... h | left | right | ... becomes ... h | right | left | ...: both parts keep their direction, so that
costs may be asymmetric. That is allowed if nothing in `left` has to come before anything in `right`. The labelling
procedure of Gambardella and Dorigo (2000, section 4) tests it in constant time: while `left` grows by a node, its
successors are marked, and `right` ends before the first marked node. Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.plan_state import chance, draw

SLACK = 1e-9
"""Relative to the largest cost: smaller gains are rounding errors, and could go round in circles."""


class Net(NamedTuple):
    """Costs and precedences of N nodes: tasks, then an artificial first and last node.

    Parameters
    ----------
    cost
        (N, N) cost of the column's node right after the row's; large where that is not allowed.
    after_start, after
        Direct and indirect successors of node v: ``after[after_start[v]:after_start[v + 1]]``.
    before_start, before
        Predecessors likewise.
    slack
        Smallest gain that counts.
    """

    cost: FloatArray
    after_start: IntArray
    after: IntArray
    before_start: IntArray
    before: IntArray
    slack: float


class Walk(NamedTuple):
    """A sequence and the scratch space of its search.

    Parameters
    ----------
    order, place
        (N,) nodes in sequence, and place of each node.
    mark
        (N,) label that each node was marked with last.
    queue, queued
        Nodes around which something has changed: a ring, and whether a node is in it.
    state
        Label in use, head and length of the queue.
    random
        The last random number.
    """

    order: IntArray
    place: IntArray
    mark: IntArray
    queue: IntArray
    queued: IntArray
    state: IntArray
    scratch: IntArray
    random: IntArray


@kernel
def length_of(net: Net, order: IntArray) -> float:
    """Cost of a sequence."""
    total = 0.0
    for p in range(order.shape[0] - 1):
        total += net.cost[order[p], order[p + 1]]
    return total


@kernel
def push(w: Walk, node: int) -> None:
    """Put a node into the queue, unless it is there."""
    if w.queued[node] == 0:
        n = w.queue.shape[0]
        w.queue[(w.state[1] + w.state[2]) % n] = node
        w.queued[node] = 1
        w.state[2] += 1


@inner
def pop(w: Walk) -> int:
    """The node that has been longest in the queue."""
    node = int(w.queue[w.state[1]])
    w.state[1] = (w.state[1] + 1) % w.queue.shape[0]
    w.state[2] -= 1
    w.queued[node] = 0
    return node


@inner
def exchange(w: Walk, h: int, i: int, j: int) -> None:
    """Swap places h + 1 to i with places i + 1 to j, and queue the nodes at the three joints."""
    left = i - h
    for p in range(left):
        w.scratch[p] = w.order[h + 1 + p]
    for p in range(i + 1, j + 1):
        w.order[p - left] = w.order[p]
    for p in range(left):
        w.order[j - left + 1 + p] = w.scratch[p]
    for p in range(h + 1, j + 1):
        w.place[w.order[p]] = p
    middle = j - left
    for p in (h, h + 1, middle, middle + 1, j, j + 1):
        push(w, w.order[p])


@inner
def forward(net: Net, w: Walk, h: int) -> float:
    """Best exchange whose left part begins behind place h; its gain (0: none), made at once."""
    n = w.order.shape[0]
    w.state[0] += 1
    label = w.state[0]
    best, at_i, at_j = net.slack, 0, 0
    a, b = w.order[h], w.order[h + 1]
    for i in range(h + 1, n - 2):
        node = w.order[i]
        for e in range(net.after_start[node], net.after_start[node + 1]):
            w.mark[net.after[e]] = label
        c = w.order[i + 1]
        if w.mark[c] == label:
            continue
        gain = net.cost[a, b] + net.cost[node, c] - net.cost[a, c]
        for j in range(i + 1, n - 1):
            d = w.order[j]
            if w.mark[d] == label:
                break
            e = w.order[j + 1]
            total = gain + net.cost[d, e] - net.cost[d, b] - net.cost[node, e]
            if total > best:
                best, at_i, at_j = total, i, j
        if at_j > 0:
            break
    if at_j > 0:
        exchange(w, h, at_i, at_j)
        return float(best)
    return 0.0


@inner
def backward(net: Net, w: Walk, j: int) -> float:
    """Best exchange whose right part ends at place j; its gain (0: none), made at once."""
    w.state[0] += 1
    label = w.state[0]
    best, at_h, at_i = net.slack, -1, 0
    d, e = w.order[j], w.order[j + 1]
    for i in range(j - 1, 0, -1):
        c = w.order[i + 1]
        for x in range(net.before_start[c], net.before_start[c + 1]):
            w.mark[net.before[x]] = label
        node = w.order[i]
        if w.mark[node] == label:
            continue
        gain = net.cost[node, c] + net.cost[d, e] - net.cost[node, e]
        for h in range(i - 1, -1, -1):
            b = w.order[h + 1]
            if w.mark[b] == label:
                break
            a = w.order[h]
            total = gain + net.cost[a, b] - net.cost[a, c] - net.cost[d, b]
            if total > best:
                best, at_h, at_i = total, h, i
        if at_h >= 0:
            break
    if at_h >= 0:
        exchange(w, at_h, at_i, j)
        return float(best)
    return 0.0


@kernel
def descend(net: Net, w: Walk) -> float:
    """Exchanges around queued nodes until there is no gain; what was gained in all."""
    n = w.order.shape[0]
    gained = 0.0
    while w.state[2] > 0:
        node = pop(w)
        place = w.place[node]
        gain = forward(net, w, place) if place < n - 3 else 0.0
        if gain == 0.0 and 1 < place < n - 1:
            gain = backward(net, w, place)
        if gain > 0.0:
            gained += gain
            push(w, node)
    return gained


@inner
def feasible_exchange(net: Net, w: Walk, h: int, i: int, j: int) -> bool:
    """Whether nothing in the left part has to come before anything in the right one."""
    w.state[0] += 1
    label = w.state[0]
    for p in range(h + 1, i + 1):
        node = w.order[p]
        for e in range(net.after_start[node], net.after_start[node + 1]):
            w.mark[net.after[e]] = label
    for p in range(i + 1, j + 1):  # noqa: SIM110 - loops compile better than generators
        if w.mark[w.order[p]] == label:
            return False
    return True


@kernel
def kick(net: Net, w: Walk, longest: int) -> float:
    """A random allowed exchange of two short parts; what it costs (0 where none was found)."""
    n = w.order.shape[0]
    for _ in range(20):
        h = draw(w, n - 3)
        i = h + 1 + draw(w, min(longest, n - 3 - h))
        j = i + 1 + draw(w, min(longest, n - 2 - i))
        if j > n - 2 or not feasible_exchange(net, w, h, i, j):
            continue
        a, b, c, x = w.order[h], w.order[h + 1], w.order[i], w.order[i + 1]
        d, e = w.order[j], w.order[j + 1]
        added = net.cost[a, x] + net.cost[d, b] + net.cost[c, e]
        removed = net.cost[a, b] + net.cost[c, x] + net.cost[d, e]
        exchange(w, h, i, j)
        return float(added - removed)
    return 0.0


@kernel
def search(
    net: Net,
    w: Walk,
    best: IntArray,
    values: FloatArray,
    rounds: int,
    heat: float,
    longest: int,
) -> bool:
    """Iterated local search: kick, descend, keep what is not worse by more than a random amount.

    Parameters
    ----------
    best
        (N,) the best sequence; replaced.
    values
        Current and best cost; replaced.
    heat
        Mean of the amount by which a kept sequence may be worse; it falls to nothing over the rounds.
    longest
        Longest part of a kick.

    Returns
    -------
    Whether the best sequence has become better.
    """
    n = w.order.shape[0]
    current = w.order.copy()
    improved = False
    for r in range(rounds):
        change = 0.0
        for _ in range(1 + draw(w, 3)):
            change += kick(net, w, longest)
        change -= descend(net, w)
        allowed = -heat * (1.0 - r / rounds) * np.log(max(chance(w), 1e-12))
        if change <= allowed:
            values[0] += change
            for p in range(n):
                current[p] = w.order[p]
            if values[0] < values[1] - net.slack:
                values[0] = length_of(net, w.order)
                if values[0] < values[1] - net.slack:
                    values[1] = values[0]
                    improved = True
                    for p in range(n):
                        best[p] = w.order[p]
        else:
            for p in range(n):
                w.order[p] = current[p]
                w.place[current[p]] = p
    return improved
