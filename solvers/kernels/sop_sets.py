"""Feasible sets of nodes, layer by layer: the cheapest way to have been through a set and to be at its last node.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

WORD = 62
"""Nodes in a word of a set."""
COUNT, STATE, ARC = 0, 1, 2
"""Entries of `progress`: states of the next layer, and where the expansion of this one stands."""
FREE = -1


class Arcs(NamedTuple):
    """What does not change: N nodes, A allowed arcs sorted by the node that they leave.

    Parameters
    ----------
    start, head
        (N + 1,) arcs from node v are ``start[v]`` to ``start[v + 1] - 1``; (A,) node that an arc enters.
    cost, reduced
        (A,) cost of an arc, and what it adds to a bound.
    needs
        (N, W) nodes that have to come before, as words of `WORD` bits.
    rest
        (N, N) least reduced cost from a node (column) at a place (row) to the end.
    key
        (N,) random numbers: the hash of a set is the exclusive or of its members' keys (Zobrist 1970).
    """

    start: IntArray
    head: IntArray
    cost: FloatArray
    reduced: FloatArray
    needs: IntArray
    rest: FloatArray
    key: IntArray


class Layer(NamedTuple):
    """States of one size: a set, and the last node of the paths through it.

    Parameters
    ----------
    words
        (S, W) the set.
    last, parent
        (S,) the last node, and the state of the layer before that the cheapest path comes from.
    cost
        (S,) of the cheapest path.
    gain
        (S,) largest excess of reduced cost over cost among the paths that were seen: whatever follows costs at least
        the bound on all paths plus this, plus the reduced cost of what follows.
    hash
        (S,) of the set.
    """

    words: IntArray
    last: IntArray
    parent: IntArray
    cost: FloatArray
    gain: FloatArray
    hash: IntArray


@kernel
def fill_rest(arcs: Arcs, low: IntArray, high: IntArray) -> None:
    """Least reduced cost from each node at each place to the end, nodes only at places that precedences leave them.

    O(N A).
    """
    n = arcs.rest.shape[0]
    arcs.rest[:] = np.inf
    arcs.rest[n - 1, n - 1] = 0.0
    for place in range(n - 2, -1, -1):
        for v in range(n):
            if low[v] <= place <= high[v]:
                for e in range(arcs.start[v], arcs.start[v + 1]):
                    value = arcs.reduced[e] + arcs.rest[place + 1, arcs.head[e]]
                    arcs.rest[place, v] = min(arcs.rest[place, v], value)


@inner
def slot_of(key: int, last_key: int, size: int) -> int:
    """First place to look for a state in a table of a power of two."""
    mixed = key ^ (last_key >> 7)
    return int((mixed ^ (mixed >> 23)) & (size - 1))


@inner
def same_set(layer: Layer, a: int, b: int) -> bool:
    """Whether two states have the same set."""
    for w in range(layer.words.shape[1]):  # noqa: SIM110 - loops compile better than generators
        if layer.words[a, w] != layer.words[b, w]:
            return False
    return True


@inner
def ready_for(layer: Layer, arcs: Arcs, state: int, node: int) -> bool:
    """Whether a node is not in a state's set, and all that has to come before it is."""
    if layer.words[state, node // WORD] >> (node % WORD) & 1:
        return False
    for w in range(layer.words.shape[1]):  # noqa: SIM110 - loops compile better than generators
        if arcs.needs[node, w] & ~layer.words[state, w]:
            return False
    return True


@inner
def enter(layer: Layer, arcs: Arcs, table: IntArray, count: int) -> int:
    """Enter the state at index `count` into the table, or find its equal; the index of the state that stays."""
    last = layer.last[count]
    size = table.shape[0]
    slot = slot_of(layer.hash[count], arcs.key[last], size)
    while table[slot] != FREE:
        other = table[slot]
        alike = layer.hash[other] == layer.hash[count] and layer.last[other] == last
        if alike and same_set(layer, other, count):
            return int(other)
        slot = (slot + 1) & (size - 1)
    table[slot] = count
    return count


@kernel
def refill(layer: Layer, arcs: Arcs, table: IntArray, count: int) -> None:
    """Enter the first states into an empty table."""
    for s in range(count):
        enter(layer, arcs, table, s)


@kernel
def expand(
    arcs: Arcs,
    place: int,
    layer: Layer,
    grown: Layer,
    table: IntArray,
    progress: IntArray,
    limits: tuple[float, float, int],
) -> bool:
    """Add a node to the states of a layer, the node at `place`; False if the next layer has no more room.

    Of paths with the same set and last node the cheapest is kept: what can follow is the same (Held and Karp 1962). A
    state is left out if a bound on all paths + reduced cost so far + least reduced cost of what follows is above the
    ceiling.

    Parameters
    ----------
    grown, table
        The next layer and its hash table, half of it free at least.
    progress
        (2,) number of states in `grown`, and the first state that is not expanded; both are updated.
    limits
        Bound on all paths, ceiling, and the state to stop before.
    """
    base, ceiling, stop = limits
    count, room = progress[COUNT], grown.last.shape[0]
    for s in range(progress[STATE], stop):
        v = layer.last[s]
        if base + layer.cost[s] + layer.gain[s] + arcs.rest[place - 1, v] > ceiling:
            continue
        for e in range(arcs.start[v], arcs.start[v + 1]):
            u = arcs.head[e]
            gain = layer.gain[s] + arcs.reduced[e] - arcs.cost[e]
            cost = layer.cost[s] + arcs.cost[e]
            if base + cost + gain + arcs.rest[place, u] > ceiling or not ready_for(layer, arcs, s, u):
                continue
            if count == room:
                progress[COUNT], progress[STATE] = count, s
                return False
            grown.words[count] = layer.words[s]
            grown.words[count, u // WORD] |= 1 << (u % WORD)
            grown.hash[count] = layer.hash[s] ^ arcs.key[u]
            grown.last[count] = u
            found = enter(grown, arcs, table, count)
            if found == count:
                grown.cost[found], grown.gain[found], grown.parent[found] = cost, gain, s
                count += 1
                continue
            if cost < grown.cost[found]:
                grown.cost[found], grown.parent[found] = cost, s
            grown.gain[found] = max(grown.gain[found], gain)
    progress[COUNT], progress[STATE] = count, stop
    return True
