"""Segments: runs of stages of a network on one device, each of which has a table of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import IntArray, ServingProblem

MANY = 4000
NEW, ONE_LINE = 20, 64
"""Longest line of new samples in a table of several stages, and of one stage."""
LEAST, FEW = 2, 8
FURTHER = 0.75
"""Part of the longest line of new samples that is looked up: at the end, samples that come are not counted."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Stages `first` to `first + len(latency) - 1`.

    Parameters
    ----------
    latency
        (S, B + 1) seconds.
    leaves
        (S,) probability to leave at the end of a stage, of all streams together.
    share
        Part of all samples of the problem that reach it.
    states
        Of its table, about.
    """

    first: int
    latency: FloatArray
    leaves: FloatArray
    share: float
    states: int

    @property
    def caps(self) -> IntArray:
        """(S,) longest lines that a table tells apart."""
        stages, batch = len(self.leaves), self.latency.shape[1] - 1
        if stages == 1:
            return np.array([ONE_LINE])
        new = max(NEW, min(batch + 4, 2 * NEW)) if self.states >= MANY else max(LEAST, min(batch + 2, NEW))
        deep = max(LEAST, int((self.states / (new + 1)) ** (1 / (stages - 1))) - 1)
        while deep == LEAST and new > LEAST and (new + 1) * (deep + 1) ** (stages - 1) > 4 * self.states:
            new -= 1
        return np.array([new] + [min(deep, max(batch, FEW))] * (stages - 1))

    @property
    def reaches(self) -> IntArray:
        """(S,) longest lines that are looked up."""
        caps = self.caps
        return np.concatenate([[max(1, int(FURTHER * caps[0]))], caps[1:]])

    @property
    def alone(self) -> float:
        """Seconds of one sample through all stages."""
        return float(self.latency[:, 1].sum())

    @property
    def rate_at_full_batches(self) -> float:
        """Samples a second that full batches keep up with."""
        reach = np.concatenate([[1.0], np.cumprod(1 - self.leaves[:-1])])
        return 1 / float((reach * self.latency[:, -1] / (self.latency.shape[1] - 1)).sum())


def segments_of(problem: ServingProblem, shares: FloatArray, states: int) -> list[Segment]:
    """The segments of all networks.

    Parameters
    ----------
    shares
        (streams,) part of all samples that each stream sends.
    states
        Of a table, about.
    """
    found = []
    for model in range(len(problem.first) - 1):
        start, end = int(problem.first[model]), int(problem.first[model + 1])
        cuts = [q for q in range(start, end) if q == start or problem.device[q] != problem.device[q - 1]]
        for first, after in zip(cuts, [*cuts[1:], end], strict=True):
            reached = shares @ problem.reach[:, first:after]
            gone = shares @ (problem.reach * problem.leaves)[:, first:after]
            leaves = np.where(reached > 0, gone / np.maximum(reached, 1e-300), 1.0)
            if after == end:
                leaves[-1] = 1.0
            found.append(Segment(first, problem.latency[first:after], leaves, float(reached[0]), states))
    return found
