"""The assignment relaxation: each task has one next and one before, and cycles are allowed."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.formulations.mapping.bounds.bound import SAFETY
from dnnplan.formulations.ordering.bounds.path_form import PathForm


def assignment_bound(form: PathForm) -> float:
    """Least cost of N - 1 steps, one from each node but the last, one to each but the first; infinite: none.

    ::

        min sum c[i, j] x[i, j],   sum_j x[i, j] = 1  (i < N - 1),   sum_i x[i, j] = 1  (j > 0),   x >= 0

    Steps that precedences exclude are left out (Escudero 1988). The optimum of the compiled method of Crouse (2016) is
    summed anew and lowered by what floats may have lost. O(N^3).
    """
    from scipy.optimize import linear_sum_assignment

    cost = form.cost[:-1, 1:]
    try:
        rows, columns = linear_sum_assignment(cost)
    except ValueError:
        return math.inf
    steps = cost[rows, columns]
    return math.fsum(steps.tolist()) - SAFETY * float(np.abs(steps).sum()) + form.constant
