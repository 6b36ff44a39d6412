"""Shapes of networks: for each layer, in topological order, the layers that it reads from."""

from __future__ import annotations

import math

from dnnplan.instances.errors import InputError
from dnnplan.instances.generators.draws import Draws

Graph = tuple[tuple[int, ...], ...]
"""Predecessors of layers 0, 1, ...; each smaller than the layer itself."""


def _require(condition: bool, name: str, value: float, expected: str) -> None:
    if not condition:
        raise InputError(f"{name}: {value}, expected {expected}")


def chain_graph(layers: int) -> Graph:
    """Layers one after the other.

    >>> chain_graph(3)
    ((), (0,), (1,))
    """
    _require(layers >= 1, "layers", layers, ">= 1")
    return tuple((i - 1,) if i else () for i in range(layers))


def layered_graph(layers: int, draws: Draws, *, width: float = 4.0, degree: float = 2.0) -> Graph:
    """Ranks of 1 to 2 x `width` - 1 layers, each reading `degree` layers of the rank before on average.

    The shape of Topcuoglu et al. 2002, section 6.1, with the edges kept between neighbouring ranks.
    """
    _require(layers >= 1, "layers", layers, ">= 1")
    _require(width >= 1, "width", width, ">= 1")
    _require(degree >= 1, "degree", degree, ">= 1")
    graph: list[tuple[int, ...]] = []
    before: list[int] = []
    widest = max(1, round(2 * width - 1))
    while len(graph) < layers:
        count = min(draws.integer(1, widest), layers - len(graph))
        rank = list(range(len(graph), len(graph) + count))
        for _ in rank:
            wanted = draws.integer(1, max(1, round(2 * degree - 1))) if before else 0
            graph.append(tuple(draws.sample(before, min(wanted, len(before)))))
        before = rank
    return tuple(graph)


def erdos_graph(layers: int, draws: Draws, *, degree: float = 3.0) -> Graph:
    """Every pair of layers is joined with one probability, so that layers read `degree` others on average.

    Edges are drawn by skipping (Batagelj and Brandes 2005, algorithm 1): O(layers + edges).
    """
    _require(layers >= 1, "layers", layers, ">= 1")
    _require(degree > 0, "degree", degree, "> 0")
    probability = min(1.0, 2.0 * degree / max(1, layers - 1))
    if probability >= 1.0:
        return tuple(tuple(range(i)) for i in range(layers))
    graph: list[list[int]] = [[] for _ in range(layers)]
    scale = math.log1p(-probability)
    v, w = 1, -1
    while v < layers:
        w += 1 + math.floor(math.log1p(-draws.fraction()) / scale)
        while w >= v and v < layers:
            w -= v
            v += 1
        if v < layers:
            graph[v].append(w)
    return tuple(map(tuple, graph))


def fork_join_graph(layers: int, *, branches: int = 4, depth: int = 2) -> Graph:
    """Blocks of `branches` chains of `depth` layers between a fork and a join, like Inception; then a chain.

    >>> fork_join_graph(4, branches=2, depth=1)
    ((), (0,), (0,), (1, 2))
    """
    _require(layers >= 1, "layers", layers, ">= 1")
    _require(branches >= 1, "branches", branches, ">= 1")
    _require(depth >= 1, "depth", depth, ">= 1")
    graph: list[tuple[int, ...]] = [()]
    while len(graph) + branches * depth + 1 <= layers:
        fork, ends = len(graph) - 1, []
        for _ in range(branches):
            for level in range(depth):
                graph.append((len(graph) - 1,) if level else (fork,))
            ends.append(len(graph) - 1)
        graph.append(tuple(ends))
    while len(graph) < layers:
        graph.append((len(graph) - 1,))
    return tuple(graph)


def series_parallel_graph(layers: int, draws: Draws, *, parallel: float = 0.5) -> Graph:
    """Two-terminal series-parallel: one edge grows; a new layer splits an edge, or makes a path beside it.

    Parameters
    ----------
    parallel
        Probability that a new layer is put beside the edge rather than on it.
    """
    _require(layers >= 1, "layers", layers, ">= 1")
    _require(0 <= parallel <= 1, "parallel", parallel, "0 to 1")
    if layers == 1:
        return ((),)
    edges = [(0, 1)]
    for new in range(2, layers):
        at = draws.integer(0, len(edges) - 1)
        u, v = edges[at]
        if draws.chance(parallel):
            edges += [(u, new), (new, v)]
        else:
            edges[at] = (u, new)
            edges.append((new, v))
    return _renumber(layers, edges)


def _renumber(layers: int, edges: list[tuple[int, int]]) -> Graph:
    """Number the layers in topological order, depth first from the source (a branch keeps together)."""
    successors: list[list[int]] = [[] for _ in range(layers)]
    waiting = [0] * layers
    for u, v in edges:
        successors[u].append(v)
        waiting[v] += 1
    ready, position = [0], [0] * layers
    placed = 0
    while ready:
        u = ready.pop()
        position[u] = placed
        placed += 1
        for v in reversed(successors[u]):
            waiting[v] -= 1
            if waiting[v] == 0:
                ready.append(v)
    graph: list[list[int]] = [[] for _ in range(layers)]
    for u, v in edges:
        graph[position[v]].append(position[u])
    return tuple(tuple(sorted(predecessors)) for predecessors in graph)
