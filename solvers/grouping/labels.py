"""Chains of partitions that are not beaten in all sums at once: labels with bounds, from the last branch point up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.grouping.lattice import Lattice
from dnnplan.solvers.grouping.relaxation import Priced

FIRST_ROWS, CHUNK_SECONDS = 500, 0.05
"""Partitions looked at at first, and seconds between two looks at the limits."""
FIRST_ROOM, MOST_LABELS = 400_000, 20_000_000
ROUNDING = 1e-12
"""Relative error of sums."""


class Labels:
    """Labels of all branch points, so that chains can be read back."""

    def __init__(self, lattice: Lattice, costs: Sequence[FloatArray], relaxed: Sequence[Priced]) -> None:
        self.lattice, self.costs, self.relaxed = lattice, costs, relaxed
        self.prices = np.array([one.price for one in relaxed])
        self.levels: list[tuple[IntArray, FloatArray, NDArray[np.int32], NDArray[np.int32]]] = []

    def thresholds(self, corners: FloatArray) -> FloatArray:
        """(I, J) priced sums below which a chain must stay to be wanted at one of (J, C) corners."""
        return np.ascontiguousarray(self.prices @ corners.T)

    def run(self, threshold: FloatArray, keep_going: Callable[[], bool]) -> bool:
        """Find all chains below the thresholds of some corner, but for those that others beat.

        For each branch point, from the last to the first, each partition has the sums of the chains from there on
        that begin with it or a refinement of it; what another chain of the partition beats in all sums goes, and so
        does what cannot stay below any corner (see `dnnplan.solvers.kernels.partition_labels.hopeless`).

        Returns
        -------
        Whether it was done: False without room, or where `keep_going` says so.
        """
        from dnnplan.solvers.kernels.partition_labels import FULL, extend

        number, width = self.lattice.size, self.prices.shape[1]
        slack = threshold - np.array([one.value for one in self.relaxed])[:, None]
        tightest = np.ascontiguousarray(np.argsort(slack, axis=0).T)
        self.levels = []
        span, labels = np.zeros((number, 2), dtype=np.int64), np.zeros((1, width))
        span[:, 1] = 1
        for level in range(len(self.costs) - 1, -1, -1):
            above = np.array([one.above[level] for one in self.relaxed])
            # At the first branch point nothing is handed on to coarser partitions.
            finer = (
                self.lattice.finer if level else (np.zeros(number + 1, dtype=np.int64), self.lattice.finer[1])
            )
            behind, here = (span, labels), _room(number, width)
            filled, p, rows = 0, number - 1, FIRST_ROWS
            while p >= 0:
                if not keep_going():
                    return False
                began, known = time.perf_counter(), filled
                arguments = self.costs[level], behind, finer, (self.prices, above, threshold, tightest), here
                filled, p = extend((p, max(-1, p - rows)), *arguments, filled)
                if filled == FULL:
                    filled = self._filled(here, p, known)
                    if len(here[1]) >= MOST_LABELS:
                        return False
                    here = _larger(here)
                spent = time.perf_counter() - began
                rows = int(np.clip(rows * CHUNK_SECONDS / max(spent, 1e-6), 10, 2 * rows))
            span, labels = here[0], here[1][:filled]
            self.levels.append((span, labels, here[2][:filled], here[3][:filled]))
        self.levels.reverse()
        return True

    @staticmethod
    def _filled(
        here: tuple[IntArray, FloatArray, NDArray[np.int32], NDArray[np.int32]], p: int, known: int
    ) -> int:
        """Labels of the partitions behind p, which was given up for want of room."""
        span = here[0]
        return int(span[p + 1, 1]) if p + 1 < len(span) else known

    def best(self) -> list[int]:
        """Labels of the first branch point that no other one beats in the first two sums, the least first sum first."""
        labels = self.levels[0][1]
        kept: list[int] = []
        least = np.inf
        for t in np.lexsort((*labels.T[::-1],)):
            second = labels[t, 1] if labels.shape[1] > 1 else 0.0
            if second < least:
                kept.append(int(t))
                least = second
        return kept

    def sums(self, label: int) -> FloatArray:
        """(C,) the sums of a label of the first branch point."""
        return np.asarray(self.levels[0][1][label])

    def chain(self, label: int) -> list[int]:
        """The partitions that a label of the first branch point stands for."""
        found = []
        for _, _, source, previous in self.levels:
            found.append(int(source[label]))
            label = int(previous[label])
        return found


def _room(number: int, width: int) -> tuple[IntArray, FloatArray, NDArray[np.int32], NDArray[np.int32]]:
    return (
        np.zeros((number, 2), dtype=np.int64),
        np.empty((FIRST_ROOM, width)),
        np.empty(FIRST_ROOM, dtype=np.int32),
        np.empty(FIRST_ROOM, dtype=np.int32),
    )


def _larger(
    here: tuple[IntArray, FloatArray, NDArray[np.int32], NDArray[np.int32]],
) -> tuple[IntArray, FloatArray, NDArray[np.int32], NDArray[np.int32]]:
    span, labels, source, previous = here
    more = len(labels)
    return (
        span,
        np.concatenate([labels, np.empty((more, labels.shape[1]))]),
        np.concatenate([source, np.empty(more, dtype=np.int32)]),
        np.concatenate([previous, np.empty(more, dtype=np.int32)]),
    )
