"""Bounds for a re-plan: compiled where they can be, else those that every solver begins with."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import SAFETY, Bound, energy_bound, objective_bound

ROUNDS = 60
"""Rounds of prices; each takes a microsecond for a layer and some devices."""
PATH, LOAD = "communication-aware critical path", "load"


def is_quick(view: MappingProblem) -> bool:
    """Whether the compiled bounds cover the setting."""
    return view.execution.staging == "direct"


def quick_bound(view: MappingProblem, prices: FloatArray) -> Bound:
    """The best combinatorial bound on the first stage of the objective; (m,) prices of load go to the argument."""
    from dnnplan.solvers.kernels.quick_bounds import least_load, path_length

    topological = np.array(view.topological, dtype=np.int64)
    slots = np.minimum(view.slots, max(view.n, 1)).astype(float)
    path = path_length(view.arrays, topological, view.output, view.host) * (1 - SAFETY)
    load = least_load(np.ascontiguousarray(view.duration), slots, ROUNDS, prices) * (1 - SAFETY)
    latency = Bound(path, PATH) if path >= load else Bound(load, LOAD)
    total, names = 0.0, []
    for name, weight in view.stages[0]:
        if name == "latency":
            bound = latency
        elif name == "energy":
            bound = energy_bound(view, latency.value)
        elif name == "edp":
            energy = energy_bound(view, latency.value)
            bound = Bound(energy.value * latency.value, f"{energy.name} x {latency.name}")
        elif name == "max_load":
            bound = Bound(load, LOAD)
        else:
            bound = Bound(0.0, "non-negative")
        total += weight * bound.value
        names.append(bound.name)
    return Bound(total, " + ".join(dict.fromkeys(names)))


def slow_bound(view: MappingProblem) -> Bound | None:
    """The same without compiled code, and for all settings; takes some ten milliseconds."""
    return objective_bound(view)
