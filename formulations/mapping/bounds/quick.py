"""Bounds that are there at once: what every solver begins with."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.formulations.mapping.bounds.bound import LIMIT_TOLERANCE, SAFETY, Bound
from dnnplan.formulations.mapping.bounds.load import load_bound
from dnnplan.formulations.mapping.bounds.paths import communication_path_bound


def energy_bound(problem: MappingProblem, latency: float) -> Bound:
    """Least compute energy of every layer, plus idle power over the least makespan, less what compute hides.

    sum_i min_d (e[i,d] - idle_d t[i,d]) + sum_d idle_d C, or the terms without idle power where that is larger
    (a device with several slots is never counted below zero).
    """
    finite = np.isfinite(problem.duration)
    least = float(np.where(finite, problem.energy, np.inf).min(axis=1).sum())
    with np.errstate(invalid="ignore"):
        net = np.where(finite, problem.energy - problem.idle_power[None, :] * problem.duration, np.inf)
    with_idle = float(net.min(axis=1).sum()) + latency * float(problem.idle_power.sum())
    return Bound(max(least, with_idle) * (1 - SAFETY), "least energy of each layer")


def latency_bounds(problem: MappingProblem) -> list[Bound]:
    """All lower bounds on the makespan, the best one first."""
    bounds = [communication_path_bound(problem), load_bound(problem)]
    return sorted(bounds, key=lambda bound: -bound.value)


def broken_limit(problem: MappingProblem) -> str | None:
    """A limit that lies below what every plan costs, in words; None if no bound contradicts a limit."""
    wanted = {name: problem.limits[name] for name in ("latency", "energy") if name in problem.limits}
    if not wanted:
        return None
    latency = latency_bounds(problem)[0]
    least = {"latency": latency, "energy": energy_bound(problem, latency.value)}
    for name, limit in wanted.items():
        bound = least[name]
        if bound.value > limit * (1 + LIMIT_TOLERANCE):
            return f"the limit {name} <= {limit:g} cannot be kept: every plan needs {bound.value:g} ({bound.name})"
    return None


def objective_bound(problem: MappingProblem) -> Bound:
    """The best combinatorial bound on the first stage of the objective, at least 0."""
    return stage_bound(problem, communication_path_bound(problem), load_bound(problem))


def stage_bound(problem: MappingProblem, path: Bound, load: Bound) -> Bound:
    """The bound on the first stage of the objective that bounds on the makespan give.

    Terms of a weighted sum are bounded one by one.

    Parameters
    ----------
    path, load
        Bounds on the makespan, s; the load bounds max_load too.
    """
    latency = path if path.value >= load.value else load
    total, names = 0.0, []
    for name, weight in problem.stages[0]:
        if name == "latency":
            bound = latency
        elif name == "energy":
            bound = energy_bound(problem, latency.value)
        elif name == "edp":
            energy = energy_bound(problem, latency.value)
            bound = Bound(energy.value * latency.value, f"{energy.name} x {latency.name}")
        elif name == "max_load":
            bound = load
        else:
            bound = Bound(0.0, "non-negative")
        total += weight * bound.value
        names.append(bound.name)
    return Bound(total, " + ".join(dict.fromkeys(names)))
