"""A task graph, and perhaps an order, as the models ask for it when they hint variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.graph import Groups


@dataclass(frozen=True, eq=False)
class Answer:
    """A known answer: what every variable of a model is in it follows from these questions.

    Parameters
    ----------
    groups
        Partition of the tasks at each branch point.
    order
        Tasks in the order in which they run; empty where only the task graph matters.
    """

    groups: Groups
    order: tuple[int, ...] = ()

    @cached_property
    def _home(self) -> list[dict[int, tuple[int, ...]]]:
        return [{task: group for group in level for task in group} for level in self.groups]

    def group(self, level: int, task: int) -> tuple[int, ...]:
        """The group of a task at a branch point, ascending."""
        return self._home[level][task]

    def apart(self, level: int, i: int, j: int) -> bool:
        """Whether two tasks have parted at a branch point."""
        return self.group(level, i) != self.group(level, j)

    def enters(self, level: int, task: int, *, start: bool | None) -> bool:
        """Whether a task comes after one that it has parted from at a branch point.

        `start` says it of the first task of the order; None: the last task comes before it.
        """
        place = self.order.index(task)
        if place == 0 and start is not None:
            return start
        return self.apart(level, self.order[place - 1], task)

    def leader(self, level: int, task: int, ranking: Sequence[int]) -> int:
        """The task of a group that comes first in a ranking of all tasks."""
        return min(self.group(level, task), key=ranking.index)


def ranking_of(figure: FloatArray) -> tuple[int, ...]:
    """Tasks by a figure, largest first, ties by number.

    >>> ranking_of(np.array([1.0, 3.0, 3.0]))
    (1, 2, 0)
    """
    return tuple(np.argsort(-figure, kind="stable").tolist())


def groups_from(parted: Callable[[int, int, int], bool], n: int, levels: int) -> Groups:
    """The partition at each branch point, from whether two tasks i < j have parted at l: `parted(l, i, j)`.

    A task goes to the first group whose first task it has not parted from.
    """
    found = []
    for level in range(levels):
        groups: list[list[int]] = []
        for task in range(n):
            home = next((g for g in groups if not parted(level, g[0], task)), None)
            if home is None:
                groups.append([task])
            else:
                home.append(task)
        found.append(tuple(tuple(group) for group in groups))
    return tuple(found)
