"""The arborescence relaxation: each task has one before it and is reached from the first, and may have several next."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY
from dnnplan.formulations.ordering.bounds.path_form import PathForm

FIRST_STEP, PATIENCE, SHORTEST_STEP = 1.0, 5, 0.02
"""Step of the subgradient method by the distance to the target, rounds without gain before it is halved, its end."""
SMOOTHING = 0.7
"""Share of the direction of the round before."""


def least_arborescence(cost: FloatArray) -> tuple[float, IntArray]:
    """Cost and parents of the cheapest arborescence from node 0; infinite if some node cannot be reached.

    Chu and Liu (1965), Edmonds (1967): every node takes its cheapest entry; the cycles that come of it become single
    nodes, into which the next round enters. All cycles of a round are joined at once. O(N^2) a round, of which there
    are at most N and mostly few.

    Parameters
    ----------
    cost
        (N, N) of the arc from the row's to the column's node; infinite: there is none. The diagonal is infinite.

    Returns
    -------
    The cost, which is also the value of the dual, and (N,) parents, -1 for the root.
    """
    least = cost.min(axis=0)
    least[0] = 0.0
    parent = cost.argmin(axis=0).astype(np.int64)
    parent[0] = -1
    if not np.isfinite(least).all():
        return math.inf, parent
    group = _groups(parent)
    count = int(group.max()) + 1
    if count == len(cost):
        return float(least.sum()), parent
    reduced = cost - least[None, :]
    members = [np.flatnonzero(group == g) for g in range(count)]
    rows = np.concatenate(members)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in members])[:-1]])
    small = np.minimum.reduceat(reduced[np.ix_(rows, rows)], starts, axis=0)
    small = np.minimum.reduceat(small, starts, axis=1)
    np.fill_diagonal(small, np.inf)
    value, above = least_arborescence(small)
    if math.isfinite(value):
        for g in range(1, count):
            heads = members[g]
            tails = members[int(above[g])]
            entry = int(reduced[np.ix_(tails, heads)].argmin())
            parent[heads[entry % len(heads)]] = tails[entry // len(heads)]
    return float(least.sum()) + value, parent


def _groups(parent: IntArray) -> IntArray:
    """(N,) number of the group of each node: one for each cycle of parents and each other node; the root's is 0."""
    n = len(parent)
    seen, group, count = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64), 0
    for first in range(n):
        node = first
        while node >= 0 and seen[node] == 0:
            seen[node] = first + 1
            node = int(parent[node])
        if node >= 0 and seen[node] == first + 1 and group[node] < 0:
            on_cycle = node
            while group[on_cycle] < 0:
                group[on_cycle] = n + count
                on_cycle = int(parent[on_cycle])
            count += 1
    group = np.where(group < 0, np.arange(n), group)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(g, len(numbers)) for g in group.tolist()], dtype=np.int64)


def arborescence_bound(
    form: PathForm, *, target: float = math.inf, rounds: int = 0, over: Callable[[], bool] = lambda: False
) -> float:
    """Least cost of an arborescence from the first node, with prices on the steps that leave a node.

    ::

        max over u of  min { sum (c[i, j] + u[i]) x[i, j] : x an arborescence }  -  sum_{i < N - 1} u[i]

    For every u this is at most the cost of a path, which leaves each node but the last once (Held and Karp 1971 for the
    asymmetric case). Prices follow the subgradient, out-degree - 1, with steps as in Held, Wolfe and Crowder (1974).

    Parameters
    ----------
    target
        Cost of a known path: where the steps aim at; without it prices stay 0.
    rounds
        Most rounds of the subgradient method.
    over
        Asked in each round; True ends with what is known.
    """
    lost = (
        SAFETY * float(np.abs(np.where(np.isfinite(form.cost), form.cost, 0.0)).max(initial=0.0)) * form.size
    )
    price, direction = np.zeros(form.size), np.zeros(form.size)
    best, parent = least_arborescence(form.cost)
    if not math.isfinite(target) or not math.isfinite(best):
        rounds = 0
    step, since, kept, value = FIRST_STEP, 0, price, best
    aim = target - form.constant
    for _ in range(rounds):
        degree = np.bincount(parent[1:], minlength=form.size).astype(np.float64)
        slope = np.where(np.arange(form.size) < form.size - 1, degree - 1.0, 0.0)
        if not slope.any() or best >= aim or step < SHORTEST_STEP or over():
            break
        direction = slope + SMOOTHING * direction
        price = price + step * max(aim - value, 0.0) / float(direction @ direction) * direction
        value, parent = least_arborescence(form.cost + price[:, None])
        value -= float(price[:-1].sum())
        since = 0 if value > best else since + 1
        if value > best:
            best, kept = value, price
        elif since >= PATIENCE:
            step, since, price, direction = step / 2, 0, kept, np.zeros(form.size)
            value, parent = least_arborescence(form.cost + price[:, None])
            value -= float(price[:-1].sum())
    lost += SAFETY * float(np.abs(kept).sum())
    return best - lost + form.constant
