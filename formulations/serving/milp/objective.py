"""The objective of serving, in linear rows."""

from __future__ import annotations

import numpy as np

from dnnplan.formulations.linear_sums import Terms, largest_sum, scaled, unit_of
from dnnplan.formulations.serving.milp.variables import Variables


def set_objective(v: Variables) -> None:
    """Minimise the sum of w(j) end(e(j)), less that of w(j) r(j); or that of w(j) late(j)."""
    terms = terms_of(v)
    v.unit = unit_of(terms)
    v.largest = largest_sum(terms) / v.unit
    v.model.setObjective(scaled(terms, v.unit))
    if v.problem.name != "late":
        v.constant = -float(np.dot(v.problem.weight, v.operations.release))


def terms_of(v: Variables) -> Terms:
    """What each sample costs."""
    weight = v.problem.weight.tolist()
    if v.problem.name == "late":
        return [(weight[j], late) for j, late in v.late.items()]
    return [(weight[j] * v.second, v.end[v.operations.last(j)]) for j in range(v.problem.n)]
