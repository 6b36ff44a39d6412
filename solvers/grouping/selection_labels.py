"""The dynamic programme over sets of tasks under a budget: partial choices that no other one beats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.grouping.selection.useful import Useful
from dnnplan.solvers.grouping.selection_sets import parts_of, sets_to_split, sums_over_sets

MOST_LABELS = 20_000
"""Partial choices of a set of tasks that are kept; where more would be needed the programme gives up."""


@dataclass(eq=False)
class Labels:
    """Partial choices for one set of tasks, as columns; `part`, `candidate` and `before` say how each came about."""

    cost: FloatArray
    score: FloatArray
    count: IntArray
    part: IntArray
    candidate: IntArray
    before: IntArray

    def __len__(self) -> int:
        return len(self.cost)

    def pick(self, rows: IntArray) -> Labels:
        """Some of them."""
        return Labels(*(getattr(self, column.name)[rows] for column in fields(self)))

    @staticmethod
    def join(parts: list[Labels]) -> Labels:
        """All of several."""
        columns = [column.name for column in fields(Labels)]
        return Labels(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def choose_within_budget(
    candidates: Useful, value: float | None, finished: Callable[[], bool]
) -> tuple[int, ...] | None:
    """The best choice within the budget of at most a value (None: any); empty if there is none, None if stopped.

    A partial choice is beaten by one that costs no more, has no more candidates and no larger score; only those that
    are not are kept, and of them those that the least scores of the other tasks can bring to the value.
    """
    programme = _Programme(candidates, value)
    n = len(candidates.least)
    for number, tasks in enumerate(sets_to_split(n)):
        if number % 16 == 0 and finished():
            return None
        programme.labels[tasks] = programme.labels_of(tasks)
        if len(programme.labels[tasks]) > MOST_LABELS:
            return None
    return programme.choice((1 << n) - 1)


class _Programme:
    def __init__(self, candidates: Useful, value: float | None) -> None:
        self.candidates, self.value = candidates, value
        n = len(candidates.least)
        # A set of tasks never takes more candidates than it has tasks.
        self.counted = candidates.most < n
        self.everyone = (1 << n) - 1
        self.sums = sums_over_sets(candidates.score)
        self.least = sums_over_sets(candidates.least[None, :])[0]
        self.options: dict[int, IntArray] = {}
        zero, none = np.zeros(1, dtype=np.int64), np.full(1, -1, dtype=np.int64)
        self.labels: dict[int, Labels] = {0: Labels(np.zeros(1), np.zeros(1), zero, none, none, none)}

    def labels_of(self, tasks: int) -> Labels:
        """All partial choices of a set that no other one beats."""
        first = tasks & -tasks
        found = [self.labels[0].pick(np.zeros(0, dtype=np.int64))]
        for part in (parts_of(tasks ^ first) | first).tolist():
            rest, options = self.labels[tasks ^ part], self.options_of(part)
            if len(rest) and len(options):
                found.append(self.joined(part, options, rest))
        return self.unbeaten(Labels.join(found), tasks)

    def options_of(self, part: int) -> IntArray:
        """Candidates for a set of tasks that no other one beats in cost and score."""
        if part not in self.options:
            score = self.sums[:, part]
            order = np.lexsort((score, self.candidates.cost))
            order = order[np.isfinite(score[order])]
            self.options[part] = order[_falls(score[order])]
        return self.options[part]

    def joined(self, part: int, options: IntArray, rest: Labels) -> Labels:
        """Each option for a part with each partial choice of the rest."""
        cost = self.candidates.cost[options][:, None] + rest.cost
        score = self.sums[options, part][:, None] + rest.score
        count = np.broadcast_to(rest.count + 1, cost.shape)
        candidate = np.broadcast_to(options[:, None], cost.shape)
        before = np.broadcast_to(np.arange(len(rest)), cost.shape)
        parts = np.full(cost.size, part, dtype=np.int64)
        return Labels(cost.ravel(), score.ravel(), count.ravel(), parts, candidate.ravel(), before.ravel())

    def unbeaten(self, labels: Labels, tasks: int) -> Labels:
        """Those that keep the limits, can still reach the value, and that no other one beats."""
        fits = (labels.cost <= self.candidates.room) & (labels.count <= self.candidates.most)
        if self.value is not None:
            rest = float(self.least[self.everyone ^ tasks])
            slack = 1e-9 * (1.0 + abs(self.value) + abs(rest) + np.abs(labels.score))
            fits &= labels.score + rest <= self.value + slack
        labels = labels.pick(np.flatnonzero(fits))
        labels = labels.pick(np.lexsort((labels.count, labels.score, labels.cost)))
        return labels.pick(_staircase(labels, counted=self.counted))

    def choice(self, tasks: int) -> tuple[int, ...]:
        """The candidates of the label of all tasks with the least score; none if there is no label."""
        if not len(self.labels[tasks]):
            return ()
        label, found = int(np.argmin(self.labels[tasks].score)), set()
        while tasks:
            labels = self.labels[tasks]
            found.add(int(self.candidates.candidates[labels.candidate[label]]))
            tasks, label = tasks ^ int(labels.part[label]), int(labels.before[label])
        return tuple(sorted(found))


def _staircase(labels: Labels, *, counted: bool) -> IntArray:
    """Labels, sorted by cost and score, that none before them beats in score with no more candidates."""
    if not counted:
        return np.flatnonzero(_falls(labels.score))
    kept = np.zeros(len(labels), dtype=bool)
    for count in np.unique(labels.count):
        few = labels.count <= count
        kept[few] |= _falls(labels.score[few]) & (labels.count[few] == count)
    return np.flatnonzero(kept)


def _falls(values: FloatArray) -> np.ndarray:
    """Whether each value is less than all before it."""
    before = np.concatenate([[math.inf], np.minimum.accumulate(values)])[: len(values)]
    return np.asarray(values < before)
