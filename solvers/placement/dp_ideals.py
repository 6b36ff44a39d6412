"""The best contiguous split of a graph: dynamic programming over its ideals."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.load import LoadProblem, load_problem
from dnnplan.solvers.placement.dp_linear import forward_edges, linear_order, linear_split, placed
from dnnplan.solvers.placement.placement_search import load_arrays
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

MOST_STEPS = 3e9
"""Pairs of ideals x size of the graph up to which the programme is worth its time."""
MOST_IDEALS = 20_000
ROWS = 20
"""Ideals between two looks at the limits."""


class DpIdeals:
    """The best contiguous split for the largest load: each device has a convex set of the forward graph.

    The dynamic programme of Tarnawski et al. (NeurIPS 2020, section 5.1): the sets of all groups that the first devices
    have are ideals (closed under predecessors); an ideal and a multiset of devices is a state. Groups on a cycle are
    one. Graphs of many ideals are left alone: `dp_linear` keeps to those of one linear order.
    """

    summary = "max-load: best contiguous split by dynamic programming over ideals"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the one split if the graph has few enough ideals, else simple plans."""
        if search.finished():
            return
        loads = load_problem(problem)
        place = ideal_split(loads, search)
        if place is None or not search.propose(placed(loads, place)):
            propose_simple_plans(problem, search)


def ideal_split(loads: LoadProblem, search: Search | None = None) -> IntArray | None:
    """(G,) device of each group of the best contiguous split; None if there is none, too many ideals, or no time."""
    from dnnplan.solvers.kernels.ideals import extend_ideals

    classes = [list(members) for members in loads.classes]
    states = math.prod(len(c) + 1 for c in classes)
    size = loads.size + sum(map(len, loads.readers)) + states
    member = ideals(loads, int(min(MOST_IDEALS, math.sqrt(2 * MOST_STEPS / max(size, 1)))), search)
    if member is None:
        return None
    radix = np.concatenate([[1], np.cumprod([len(c) + 1 for c in classes])]).astype(np.int64)
    devices = np.array([c[0] for c in classes], dtype=np.int64)
    limit = _limit(loads)
    arrays, count = load_arrays(loads), len(member)
    work = np.stack([np.where(member > 0, loads.work[:, d], 0.0).sum(axis=1) for d in devices], axis=1)
    value = np.full((count, states), np.inf)
    before, last = np.full((count, states), -1), np.full((count, states), -1)
    value[0, :] = 0.0
    for begin in range(1, count, ROWS):
        if search is not None and search.finished():
            return None
        rows = (begin, min(begin + ROWS, count))
        extend_ideals(arrays, member, work, devices, radix, limit, rows, (value, before, last))
    i, state = count - 1, states - 1
    if not math.isfinite(value[i, state]):
        return None
    place = np.zeros(loads.size, dtype=np.int64)
    while i > 0:
        j, c = int(before[i, state]), int(last[i, state])
        place[member[i] > member[j]] = classes[c].pop(0)
        i, state = j, state - int(radix[c])
    return place


def _limit(loads: LoadProblem) -> float:
    """The largest load of the split of a linear order, if its segments are convex; infinite otherwise."""
    order = linear_order(loads)
    position = np.empty(loads.size, dtype=np.int64)
    position[order] = np.arange(loads.size)
    if any(position[g] > position[h] for g, h in forward_edges(loads)):
        return math.inf
    place = linear_split(loads, order)
    return math.inf if place is None else float(loads.loads(place).max()) * (1 + 1e-9)


def ideals(loads: LoadProblem, most: int, search: Search | None = None) -> IntArray | None:
    """(N, G) all ideals of the forward graph by size, the empty one first; None if there are more than `most`."""
    unit_of, producers = _units(loads)
    count = len(producers)
    found = {0}
    layer = [0]
    while layer:
        following: set[int] = set()
        for ideal in layer:
            if search is not None and search.finished():
                return None
            for u in range(count):
                if not ideal >> u & 1 and producers[u] & ~ideal == 0:
                    following.add(ideal | 1 << u)
            if len(found) + len(following) > most:
                return None
        layer = sorted(following)
        found |= following
    member = np.zeros((len(found), loads.size), dtype=np.int64)
    for row, ideal in enumerate(sorted(found, key=lambda s: (s.bit_count(), s))):
        bits = np.array([ideal >> u & 1 for u in range(count)], dtype=np.int64)
        member[row] = bits[unit_of]
    return member


def _units(loads: LoadProblem) -> tuple[IntArray, list[int]]:
    """Unit of each group, groups on a cycle together, and the units each unit needs, as bits."""
    pairs = forward_edges(loads)
    source = np.array([g for g, _ in pairs], dtype=np.int64)
    reader = np.array([h for _, h in pairs], dtype=np.int64)
    graph = coo_array((np.ones(len(pairs)), (source, reader)), shape=(loads.size, loads.size))
    count, unit_of = connected_components(graph.tocsr(), directed=True, connection="strong")
    producers = [0] * count
    for g, h in pairs:
        if unit_of[g] != unit_of[h]:
            producers[unit_of[h]] |= 1 << int(unit_of[g])
    return unit_of.astype(np.int64), producers
