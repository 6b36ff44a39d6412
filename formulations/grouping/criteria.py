"""The objective and the limits of a grouping problem as weighted sums of its four measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.judged import Terms
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.levels import distances
from dnnplan.formulations.grouping.measures import constant_of, limits_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Criteria:
    """C sums of measures, the objective first and then what has a limit.

    Parameters
    ----------
    weights
        (C, 4) weight of each of `dnnplan.costs.sharing.grouping.MEASURES` in each sum.
    constant
        (C,) what stem and heads add, the same for all task graphs.
    limit
        (C,) upper limits, as loose as answers are judged; infinite for the objective.
    """

    weights: FloatArray
    constant: FloatArray
    limit: FloatArray


def criteria_of(problem: GroupingProblem) -> Criteria:
    """The first stage of the objective and all limits of a problem."""
    limits = limits_of(problem)
    sums = [problem.stages[0], *(terms for terms, _ in limits)]
    return criteria_for(problem, sums, [limit for _, limit in limits])


def criteria_for(problem: GroupingProblem, sums: Sequence[Terms], limits: Sequence[float]) -> Criteria:
    """Sums of measures, of which the last ones have `limits`."""
    weights = np.zeros((len(sums), len(MEASURES)))
    for c, terms in enumerate(sums):
        for name, weight in terms:
            weights[c, MEASURES.index(name)] += weight
    outside = np.array([constant_of(problem, name) for name in MEASURES])
    free = [np.inf] * (len(sums) - len(limits))
    return Criteria(
        weights=weights, constant=weights @ outside, limit=np.array([*free, *limits], dtype=float)
    )


def symmetric_distances(problem: GroupingProblem) -> FloatArray:
    """(L, n, n) dissimilarities of pairs i < j on both sides of a diagonal of zeros.

    Raises
    ------
    UnsupportedError
        An affinity above 1, or none for some pair of tasks.
    """
    above = np.triu(distances(problem), 1)
    return np.asarray(above + above.transpose(0, 2, 1))
