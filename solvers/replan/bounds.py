"""Bounds for a re-plan in compiled loops; settings that these do not cover have the bounds of every solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import SAFETY, Bound, stage_bound

ROUNDS = 60
"""Rounds of prices; each takes a microsecond for a layer and some devices."""
PATH, LOAD = "communication-aware critical path", "load"


def is_quick(view: MappingProblem) -> bool:
    """Whether the compiled bounds cover the setting."""
    return view.execution.staging == "direct"


@dataclass(frozen=True, kw_only=True, eq=False)
class Guide:
    """What the bounds know of the problem, for list schedules.

    Parameters
    ----------
    prices
        (m,) prices of a second on each device.
    tails
        (n, m) least seconds from the end of each layer on each device to the end of the plan.
    """

    prices: FloatArray
    tails: FloatArray


def quick_bound(view: MappingProblem) -> tuple[Bound, Guide]:
    """The best combinatorial bound on the first stage of the objective, and what it knows."""
    from dnnplan.solvers.kernels.quick_bounds import least_load, path_length

    topological = np.array(view.topological, dtype=np.int64)
    slots = np.minimum(view.slots, max(view.n, 1)).astype(float)
    tails, prices = np.zeros((view.n, view.m)), np.ones(view.m)
    path = path_length(view.arrays, topological, view.output, view.host, tails) * (1 - SAFETY)
    load = least_load(np.ascontiguousarray(view.duration), slots, ROUNDS, prices) * (1 - SAFETY)
    bound = stage_bound(view, Bound(path, PATH), Bound(load, LOAD))
    return bound, Guide(prices=prices, tails=tails)
