"""The objective of serving, as an integer sum that never exceeds its float value."""

from __future__ import annotations

import numpy as np

from dnnplan.formulations.integer_sums import Terms, rounded, unit_of
from dnnplan.formulations.serving.cpsat.variables import Variables


def set_objective(v: Variables) -> None:
    """Minimise the sum of w(j) end(e(j)), less that of w(j) r(j); or that of w(j) late(j)."""
    terms = terms_of(v)
    v.unit = unit_of(terms)
    v.model.minimize(rounded(terms, v.unit))
    if v.problem.name != "late":
        v.constant = -float(np.dot(v.problem.weight, v.operations.release))


def terms_of(v: Variables) -> Terms:
    """What each sample costs."""
    weight = v.problem.weight.tolist()
    if v.problem.name == "late":
        return [(weight[j], late) for j, late in v.late.items()]
    return [(weight[j] * v.tick, v.end[v.operations.last(j)]) for j in range(v.problem.n)]
