"""Dynamic programming over feasible sets of tasks, bounded by the duals of a relaxation: proofs for large orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.ordering.bounds.path_form import BoolArray, PathForm
from dnnplan.formulations.ordering.bounds.relaxation import Duals
from dnnplan.solvers.kernels.sop_sets import FREE, WORD, Arcs, Layer, expand, fill_rest, refill

STATES_AT_ONCE = 20_000
"""States that are expanded between looks at the limits."""
FIRST_ROOM = 1_024
KEYS_SEED = 20_061
MOST_BYTES = 1_500_000_000
"""Memory of a run; beyond it the run ends with the bound that it has."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    complete
        Whether no path at or below the ceiling is missed: `path` is the best one, or there is none.
    bound
        No path along allowed arcs costs less, unless it costs more than the ceiling.
    path
        (N,) the best path that was found, None: none.
    cost
        Its cost.
    states
        States that were made.
    """

    complete: bool
    bound: float
    path: IntArray | None
    cost: float
    states: int


def search_sets(
    form: PathForm,
    before: BoolArray,
    arcs: tuple[IntArray, IntArray, FloatArray],
    duals: Duals,
    ceiling: float,
    *,
    most_states: int,
    sieve: Callable[[IntArray], FloatArray | None] | None = None,
    over: Callable[[], bool] = lambda: False,
) -> Outcome:
    """The cheapest path along some arcs that costs at most the ceiling, layer by layer of feasible sets.

    A label (set, last node) has the cost of its cheapest path and the largest sum of reduced costs that shows it to
    be too dear; labels above the ceiling are dropped. Bounds of this kind in dynamic programmes: Christofides,
    Mingozzi and Toth (1981); sets that are closed under precedences: Schrage and
    Baker (1978). O(labels x out-degree) in time.

    Parameters
    ----------
    before
        (N, N) precedences that count here, those of the form and perhaps more; transitively closed.
    arcs
        Tail, head and reduced cost of each allowed arc, sorted by tail.
    duals
        Where the reduced costs come from.
    most_states
        States beyond which the run is given up.
    sieve
        Given the paths of the labels of a layer, (S, p), bounds on what they can lead to, those above the ceiling
        infinite; None: there are too many, and the run is given up.
    """
    tail, head, reduced = arcs
    net = _arcs_of(form, before, tail, head, reduced)
    words = net.needs.shape[1]
    layer = _empty(1, words)
    layer.words[0, 0], layer.last[0], layer.cost[0], layer.gain[0], layer.hash[0] = 1, 0, 0.0, 0.0, net.key[0]
    trail: list[tuple[IntArray, IntArray]] = []
    states, least = 0, duals.bound + float(net.rest[0, 0])
    for place in range(1, form.size):
        least = max(least, _least(layer, net, duals.bound, place - 1))
        room = _room(most_states - states, words, len(trail) and states)
        grown = _grow(net, place, layer, (duals.bound, ceiling), room, over)
        if grown is None:
            return Outcome(complete=False, bound=least, path=None, cost=math.inf, states=states)
        states += len(grown.last)
        if not len(grown.last):
            return Outcome(complete=True, bound=ceiling, path=None, cost=math.inf, states=states)
        if sieve is not None:
            bounds = sieve(_paths(trail, grown))
            if bounds is None:
                return Outcome(complete=False, bound=least, path=None, cost=math.inf, states=states)
            least = max(least, float(bounds.min()))
            grown = _chosen(grown, np.flatnonzero(bounds <= ceiling))
            if not len(grown.last):
                return Outcome(complete=True, bound=ceiling, path=None, cost=math.inf, states=states)
        trail.append((grown.last.astype(np.int16), grown.parent.astype(np.int32)))
        layer = grown
    cost = float(layer.cost[0])
    return Outcome(complete=True, bound=min(cost, ceiling), path=_trace(trail), cost=cost, states=states)


def _arcs_of(form: PathForm, before: BoolArray, tail: IntArray, head: IntArray, reduced: FloatArray) -> Arcs:
    n = form.size
    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(tail, minlength=n), out=start[1:])
    needs = np.zeros((n, (n + WORD - 1) // WORD), dtype=np.int64)
    first, second = np.nonzero(before)
    np.bitwise_or.at(needs, (second, first // WORD), np.int64(1) << (first % WORD))
    keys = np.random.default_rng(KEYS_SEED).integers(0, 2**62, size=n, dtype=np.int64)
    net = Arcs(start, head, form.cost[tail, head], reduced, needs, np.empty((n, n)), keys)
    fill_rest(net, before.sum(axis=0), n - 1 - before.sum(axis=1))
    return net


def _empty(room: int, words: int) -> Layer:
    return Layer(
        np.zeros((room, words), dtype=np.int64),
        np.zeros(room, dtype=np.int64),
        np.zeros(room, dtype=np.int64),
        np.zeros(room),
        np.zeros(room),
        np.zeros(room, dtype=np.int64),
    )


def _chosen(layer: Layer, which: IntArray | slice) -> Layer:
    fields: list[Any] = [np.ascontiguousarray(field[which]) for field in layer]
    return Layer(*fields)


def _least(layer: Layer, net: Arcs, base: float, place: int) -> float:
    return base + float((layer.cost + layer.gain + net.rest[place, layer.last]).min())


def _room(states: int, words: int, kept: int) -> int:
    """States that the next layer may have: a layer is held twice, with its table, beside what is kept of all before."""
    free = MOST_BYTES - 6 * kept
    return max(0, min(states, free // (2 * (8 * words + 48) + 32)))


def _grow(
    net: Arcs,
    place: int,
    layer: Layer,
    limits: tuple[float, float],
    room: int,
    over: Callable[[], bool],
) -> Layer | None:
    """The next layer; None if it has no room, or there is no time."""
    words = layer.words.shape[1]
    size = min(max(FIRST_ROOM, 2 * len(layer.last)), room)
    if size <= 0:
        return None
    grown, table = _empty(size, words), _table(size)
    progress = np.zeros(2, dtype=np.int64)
    while progress[1] < len(layer.last):
        if over():
            return None
        stop = min(len(layer.last), int(progress[1]) + STATES_AT_ONCE)
        if expand(net, place, layer, grown, table, progress, (*limits, stop)):
            continue
        if size >= room:
            return None
        size = min(2 * size, room)
        larger = _empty(size, words)
        for field, old in zip(larger, grown, strict=True):
            field[: len(old)] = old
        grown, table = larger, _table(size)
        refill(grown, net, table, int(progress[0]))
    return _chosen(grown, slice(0, int(progress[0])))


def _table(room: int) -> IntArray:
    size = 1 << (2 * room - 1).bit_length()
    return np.full(size, FREE, dtype=np.int64)


def _paths(trail: list[tuple[IntArray, IntArray]], layer: Layer) -> IntArray:
    """(S, p) the cheapest path of each label."""
    path, state = [layer.last], layer.parent
    for last, parent in reversed(trail):
        path.append(last[state].astype(np.int64))
        state = parent[state]
    path.append(np.zeros(len(layer.last), dtype=np.int64))
    return np.stack(path[::-1], axis=1)


def _trace(trail: list[tuple[IntArray, IntArray]]) -> IntArray:
    path, state = [], 0
    for last, parent in reversed(trail):
        path.append(int(last[state]))
        state = int(parent[state])
    return np.array([0, *reversed(path)], dtype=np.int64)
