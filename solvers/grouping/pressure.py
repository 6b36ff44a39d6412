"""How much what exceeds a limit weighs against the objective."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import Criteria
from dnnplan.solvers.grouping.baselines import shared_up_to


def ranges_of(problem: GroupingProblem, criteria: Criteria) -> FloatArray:
    """(C,) how far each sum is apart between nothing and everything shared; never 0."""
    ends = [problem.measures(shared_up_to(problem, levels)) for levels in (0, problem.levels)]
    values = criteria.weights @ np.array([[end[name] for name in MEASURES] for end in ends]).T
    smallest = 1e-12 * np.maximum(1.0, np.abs(values).max(axis=1))
    return np.asarray(np.maximum(np.abs(values[:, 0] - values[:, 1]), smallest))
