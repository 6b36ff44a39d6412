"""Bounds that see branch points together: the largest groups lie inside each other, or tasks are joined twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.bounds_levels import CLIQUE_STEPS, Sizes

SET_TASKS = 20
"""Tasks up to which all their sets are gone through."""
WIDTH_TASKS = 100
INTERVALS = 40
"""Tasks up to which diameters are told apart by intervals, and how many of these there are."""

KeepGoing = Callable[[], bool]
Before = tuple[FloatArray, FloatArray]
"""Least costs before a branch point by its largest group: where it lies in the largest one before, and by its size."""


class Nested(ABC):
    """A relaxation in which only the largest group of each branch point matters; the others cost what their sizes cost.

    Let A_l be the largest group at branch point l, and k_l the number of groups. Branch point l costs at least

        c_l(A, k) = slope(k, |A|) diam_l(A) + base_l(|A|) + others_l(k, |A|).

    A_{l+1} lies in one group of branch point l. Either that is A_l; or it is another one, and then A_{l+1} has no more
    than min(|A_l|, n - |A_l| - k_l + 2) tasks, as many as another group can have (or it is one task alone, as good in
    A_l as elsewhere). So the least cost of a chain of sets, of which each lies in the one before or is that small, is a
    lower bound.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def bounds(self, weights: FloatArray, keep_going: KeepGoing, *, pairs: bool = False) -> FloatArray | None:
        """Least weighted sum, stem and heads left out, by the number of groups at the last branch point.

        With `pairs`, by the numbers at the last two branch points, of which the latter is no less: (K,) infinite where
        there is no such case. None if `keep_going` says False.
        """
        n, last = self.sizes.n, self.sizes.levels - 1
        before = self.start()
        split = last - 1 if pairs and last else last
        for level in range(split):
            if not keep_going():
                return None
            before, _ = self.step(level, weights, before, (1, n))
        if split == last:
            return self.step(last, weights, before, (1, n))[1] if keep_going() else None
        found = []
        for k in range(1, n + 1):
            if not keep_going():
                return None
            within, _ = self.step(split, weights, before, (k, k))
            found.append(self.step(last, weights, within, (k, n))[1])
        return np.concatenate(found)

    def costs(self, level: int, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Slope, base and others of a branch point."""
        sizes = self.sizes
        return sizes.slope(weights), sizes.base(level, weights), sizes.others(level, weights)

    @abstractmethod
    def start(self) -> Before:
        """Nothing is spent before the first branch point."""

    @abstractmethod
    def step(
        self, level: int, weights: FloatArray, before: Before, counts: tuple[int, int]
    ) -> tuple[Before, FloatArray]:
        """The costs up to a branch point with so many groups: for the next one, and (n + 1,) by numbers of groups."""


class NestedSets(Nested):
    """The relaxation with sets of tasks: O(L 2^n n) steps."""

    def __init__(self, distance: FloatArray, sizes: Sizes) -> None:
        from dnnplan.formulations.grouping.bounds_kernels import diameters_of, sizes_of

        super().__init__(sizes)
        self.count = sizes_of(sizes.n)
        self.diameter = [diameters_of(one) for one in distance]

    def start(self) -> Before:
        """See `Nested`."""
        return np.zeros(1 << self.sizes.n), np.full(self.sizes.n + 1, np.inf)

    def step(
        self, level: int, weights: FloatArray, before: Before, counts: tuple[int, int]
    ) -> tuple[Before, FloatArray]:
        """See `Nested`."""
        from dnnplan.formulations.grouping.bounds_kernels import least_around, least_up_to

        costs = self.costs(level, weights)
        value, by_count, apart = least_up_to(self.diameter[level], self.count, costs, before, counts)
        if level < self.sizes.levels - 1:
            value = least_around(value, self.sizes.n)
        return (value, apart), by_count


class NestedWidths(Nested):
    """The relaxation with sizes and diameters of sets: diameters at neighbouring branch points must suit each other.

    Diameters are told apart by intervals. A set of s tasks whose diameter at branch point l - 1 is at most u has one at
    l of at least that of the least clique of s tasks among pairs within u: O(L I^2 n^2) steps for I intervals, and L I
    searches for cliques before.
    """

    def __init__(self, distance: FloatArray, sizes: Sizes, keep_going: KeepGoing) -> None:
        from dnnplan.formulations.grouping.bounds_kernels import smallest_diameters

        super().__init__(sizes)
        n = sizes.n
        pairs = distance[:, *np.triu_indices(n, 1)] if n > 1 else np.zeros((sizes.levels, 1))
        ends = np.quantile(pairs, np.linspace(0, 1, INTERVALS + 1), axis=1).T
        self.low, self.high = ends[:, :-1].copy(), ends[:, 1:].copy()
        self.low[:, 0], self.high[:, -1] = 0.0, np.inf
        self.diameter = [sizes.diameter[0][None]]
        for level in range(1, sizes.levels):
            rows = [sizes.diameter[level]] * INTERVALS
            for number, limit in enumerate(self.high[level - 1]):
                if keep_going():
                    found = smallest_diameters(distance[level], distance[level - 1] <= limit, CLIQUE_STEPS)
                    rows[number] = np.maximum(found, rows[number])
            self.diameter.append(np.array(rows))

    def start(self) -> Before:
        """See `Nested`."""
        return np.zeros((self.sizes.n + 1, 1)), np.full(self.sizes.n + 1, np.inf)

    def step(
        self, level: int, weights: FloatArray, before: Before, counts: tuple[int, int]
    ) -> tuple[Before, FloatArray]:
        """See `Nested`."""
        from dnnplan.formulations.grouping.bounds_kernels import least_by_width

        ends = self.low[level], self.high[level]
        costs = self.costs(level, weights)
        value, by_count, apart = least_by_width(ends, self.diameter[level], costs, before, counts)
        around = np.minimum.accumulate(value[::-1], axis=0)[::-1].copy()
        return (around, apart), by_count
