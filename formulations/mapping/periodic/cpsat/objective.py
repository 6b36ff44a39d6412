"""The objective of the periodic model, and what its value proves for the float instance."""

from __future__ import annotations

import math

from dnnplan.formulations.mapping.periodic.cpsat.variables import Variables


def set_objective(v: Variables) -> None:
    """Minimise L. The largest rate is the hyperperiod divided by it."""
    v.model.minimize(v.cycle)


def safe_bound(bound: float, tick: float) -> float:
    """Seconds that no cycle is shorter than, from a lower bound in ticks.

    A float plan of cycle L stretched to the next whole tick, L', and rounded down moment by moment is feasible for the
    model: starts, releases and ends grow by the same factor L'/L, and times between them stay. So the optimum of the
    model is at most L' < L + 1 tick, and L is more than the bound less one tick.
    """
    return max(0.0, math.ceil(bound - 1e-6) - 1) * tick * (1 - 1e-12)
