"""Sets of tasks as bit masks, and the least cost of partitions of them into few parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray

MOST_TASKS = 12
"""Tasks up to which sets of them are listed without being asked to: 3^12 / 2 pairs of a set and a part of it."""


def parts_of(tasks: int) -> IntArray:
    """All sets within a set of tasks.

    >>> parts_of(0b101).tolist()
    [0, 1, 4, 5]
    """
    found = np.zeros(1, dtype=np.int64)
    while tasks:
        bit = tasks & -tasks
        found = np.concatenate([found, found | bit])
        tasks ^= bit
    return found


def mask_of(serves: Sequence[bool]) -> int:
    """The set of the tasks that are served."""
    return sum(1 << t for t, yes in enumerate(serves) if yes)


def sums_over_sets(score: FloatArray) -> FloatArray:
    """(m, 2^n) sum over every set of tasks of (m, n) scores."""
    found = np.zeros((len(score), 1))
    for column in score.T:
        found = np.concatenate([found, found + column[:, None]], axis=1)
    return found


def sets_to_split(n: int) -> Sequence[int]:
    """All sets that are left when parts with the first task of a set are taken away from all tasks; all tasks last."""
    everyone = (1 << n) - 1
    return (*range(2, everyone, 2), everyone)


def least_by_number(price: FloatArray, most: int) -> tuple[FloatArray, IntArray]:
    """Least price of partitions into exactly k parts, for every set of tasks that is needed; O(3^n most).

    Parameters
    ----------
    price
        (2^n,) price of each part.

    Returns
    -------
    best
        (most + 1, 2^n) by k; infinite where there is no such partition.
    part
        (most + 1, 2^n) the part with the first task of the set.
    """
    size = len(price)
    best, part = np.full((most + 1, size), np.inf), np.zeros((most + 1, size), dtype=np.int64)
    best[0, 0] = 0.0
    for tasks in sets_to_split(size.bit_length() - 1):
        first = tasks & -tasks
        parts = parts_of(tasks ^ first) | first
        totals = price[parts] + best[:-1, tasks ^ parts]
        choice = totals.argmin(axis=1)
        best[1:, tasks] = totals[np.arange(most), choice]
        part[1:, tasks] = parts[choice]
    return best, part


def partition(part: IntArray, number: int) -> list[int]:
    """The parts of the best partition of all tasks into `number`, from what `least_by_number` returns."""
    tasks = part.shape[1] - 1
    found = []
    for k in range(number, 0, -1):
        found.append(int(part[k, tasks]))
        tasks ^= found[-1]
    return found
