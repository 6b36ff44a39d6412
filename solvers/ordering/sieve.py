"""Which labels of a layer can still lead to a cheap path: the relaxation, solved anew for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.ordering.bounds.path_form import BoolArray
from dnnplan.formulations.ordering.bounds.relaxation import Relaxation

FEWEST = 50
"""Labels of a layer below which it is not worth it."""
SHARE, FIRST_GUESS = 0.4, 5e-3
"""Of the time that is left for one layer, and seconds for one label before any was tried."""
ROUNDS, LEAST_VIOLATION, MOST_CUTS = 2, 0.05, 20
"""Rounds of separation for one label, the smallest violation that counts, and cuts a round."""
MOST_EXTRA, MOST_IDLE = 200, 30
"""Cuts beyond those of the root from which those are dropped that had no dual in that many programmes."""
SETTLE = 20
"""Labels after which the measured time for one replaces the guess."""


class Sieve:
    """Bounds on what follows the paths of labels, from the relaxation with the steps of each path fixed.

    The duals of the root bound all labels at once, but loosely: what a set excludes is unknown to them. A programme
    with the steps of a path fixed differs from the last one in a few bounds, so that the dual simplex takes some
    milliseconds. A label whose programme costs more than the ceiling is dropped, which is branch and cut (Ascheuer,
    Juenger and Reinelt 2000) whose nodes are merged where sets and last nodes are equal (Held and Karp 1962).
    Cuts that are found on the way hold for all paths, and stay.

    Parameters
    ----------
    relaxation
        After `Relaxation.tighten`.
    allowed
        (arcs,) that a path below the ceiling may have.
    ceiling
        Paths that cost more are of no interest.
    left
        Seconds that are left.
    workers
        Threads, each with a programme of its own.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        allowed: BoolArray,
        ceiling: float,
        left: Callable[[], float],
        workers: int = 1,
    ) -> None:
        self.relaxation, self.allowed, self.ceiling, self.left = relaxation, allowed, ceiling, left
        self.workers = workers
        self.team: list[_Bounder] = []
        self.tried, self.spent = 0, 0.0

    def __call__(self, paths: IntArray) -> FloatArray | None:
        """(S,) what the cheapest completion of each path costs at least, infinite above the ceiling; None: too many.

        Parameters
        ----------
        paths
            (S, p) nodes of a cheapest path of each label, from the first node on.
        """
        count, began = len(paths), self.left()
        each = self.spent / self.tried if self.tried >= SETTLE else FIRST_GUESS
        if count < FEWEST:
            return np.full(count, -math.inf)
        if count * each > SHARE * began:
            return None
        while len(self.team) < self.workers:
            programme = self.relaxation if not self.team else self.relaxation.copy()
            self.team.append(_Bounder(programme, self.allowed, self.ceiling, self.left))
        # Neighbours share most of their paths, so that one programme is a good start for the next.
        order = np.array_split(np.lexsort(paths.T[::-1]), len(self.team))
        found = np.full(count, -math.inf)
        with ThreadPoolExecutor(len(self.team)) as pool:
            for part, bounds in zip(
                order, pool.map(_Bounder.bounds, self.team, [paths[part] for part in order]), strict=True
            ):
                found[part] = bounds
        if self.left() <= 0:
            return None
        self.tried, self.spent = self.tried + count, self.spent + began - self.left()
        return found


class _Bounder:
    """One thread's programme."""

    def __init__(
        self, relaxation: Relaxation, allowed: BoolArray, ceiling: float, left: Callable[[], float]
    ) -> None:
        self.relaxation, self.allowed, self.ceiling, self.left = relaxation, allowed, ceiling, left
        self.root_cuts = len(relaxation.cuts)

    def bounds(self, paths: IntArray) -> list[float]:
        """The bound of each path; without time those that are left have none."""
        return [self._bound(path) if self.left() > 0 else -math.inf for path in paths]

    def _bound(self, path: IntArray) -> float:
        allowed = self._leftover(path)
        self.relaxation.restrict(allowed)
        bound = -math.inf
        for turn in range(ROUNDS + 1):
            status = self.relaxation.solve(max(self.left(), 0.01), self.ceiling)
            if status == "infeasible":
                # The word of the back end alone does not count.
                if self.relaxation.proves_empty(allowed):
                    return math.inf
                missing = np.flatnonzero(allowed & (self.relaxation.column < 0))
                if not len(missing):
                    return bound
                self.relaxation.add_columns(missing)
                self.relaxation.restrict(allowed)
                continue
            if status == "stopped":
                return bound
            bound = max(bound, self.relaxation.prove(allowed)[0].bound)
            if bound > self.ceiling:
                return math.inf
            if turn == ROUNDS or not self.relaxation.separate(LEAST_VIOLATION, MOST_CUTS):
                break
        if len(self.relaxation.cuts) > self.root_cuts + MOST_EXTRA:
            self.relaxation.drop_cuts(idle=MOST_IDLE)
        return bound

    def _leftover(self, path: IntArray) -> BoolArray:
        """Arcs of the path, and those between its last node and nodes that are not on it."""
        size, relaxation = self.relaxation.form.size, self.relaxation
        follow = np.full(size, -1, dtype=np.int64)
        follow[path[:-1]] = path[1:]
        on_path = np.zeros(size, dtype=bool)
        on_path[path] = True
        fixed = follow[relaxation.tail]
        return self.allowed & np.where(fixed >= 0, fixed == relaxation.head, ~on_path[relaxation.head])
