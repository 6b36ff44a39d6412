"""The load of devices: the linear relaxation of scheduling on unrelated machines."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY, Bound


def load_bound(problem: MappingProblem) -> Bound:
    """Least makespan if layers were divisible: the LP relaxation of R||Cmax.

    min T, sum_d y[i,d] = 1, sum_i t[i,d] y[i,d] <= slots[d] T (Lenstra, Shmoys and Tardos 1990). Bounds max_load
    without release times in the same way.
    """
    prices = load_prices(problem)
    return Bound(0.0 if prices is None else _load_dual(problem, prices) * (1 - SAFETY), "load")


def load_prices(problem: MappingProblem) -> FloatArray | None:
    """(m,) prices of the devices' time that bound the load best, of sum 1 by slots; None where nothing runs.

    For any prices p of that kind ``C >= sum_i min_d p_d t[i,d]``.
    """
    # Imported where it is needed: it takes half a second, and most calls never get here.
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    rows, columns = np.nonzero(np.isfinite(problem.duration))
    if len(rows) == 0:
        return None
    times = problem.duration[rows, columns]
    entries = np.arange(len(rows))
    last = len(rows)
    assign = coo_array((np.ones(last), (rows, entries)), shape=(problem.n, last + 1))
    slots = -np.minimum(problem.slots, problem.n).astype(float)
    load = coo_array(
        (
            np.concatenate([times, slots]),
            (
                np.concatenate([columns, np.arange(problem.m)]),
                np.concatenate([entries, np.full(problem.m, last)]),
            ),
        ),
        shape=(problem.m, last + 1),
    )
    cost = np.zeros(last + 1)
    cost[last] = 1.0
    # The dual gives the bound, so that the tolerance of the LP cannot make it too high.
    scale = float(times.max()) or 1.0
    solution = linprog(
        cost,
        A_ub=load.tocsr() / scale,
        b_ub=np.zeros(problem.m),
        A_eq=assign.tocsr(),
        b_eq=np.ones(problem.n),
        method="highs",
    )
    if solution.status != 0:
        return None
    prices = np.maximum(-solution.ineqlin.marginals, 0.0)
    total = float((prices * np.minimum(problem.slots, problem.n)).sum())
    return prices / total if total > 0 else None


def _load_dual(problem: MappingProblem, prices: FloatArray) -> float:
    """Value of the dual for any non-negative device prices: sum_i min_d p_d t[i,d] / sum_d p_d slots[d]."""
    total = float((prices * np.minimum(problem.slots, problem.n)).sum())
    if total <= 0:
        return 0.0
    finite = np.isfinite(problem.duration)
    priced = np.where(finite, np.where(finite, problem.duration, 0.0) * (prices / total)[None, :], np.inf)
    return float(priced.min(axis=1).sum())
