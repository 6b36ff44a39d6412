"""Lower bounds that need no search: load, critical path, communication-aware critical path, energy.

All hold for every plan of the view, whatever its memory settings and contention (these only delay).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray

LIMIT_TOLERANCE = 2e-6
"""Twice the tolerance with which limits are judged."""
SAFETY = 1e-9
"""Relative error of floating-point sums and LP tolerances that a bound is lowered by."""


@dataclass(frozen=True)
class Bound:
    """A value that no plan can beat, and what proved it."""

    value: float
    name: str


def least_duration(problem: MappingProblem) -> FloatArray:
    """(n, m) the least a call takes from the begin of its compute or load to its end of compute.

    Streamed weights are loaded by every call: beside the compute with overlap, before it without.
    """
    if not problem.host or problem.execution.weights != "streamed":
        return problem.duration
    if problem.execution.overlap:
        return np.maximum(problem.duration, problem.load)
    return problem.duration + problem.load


def _delays(problem: MappingProblem, tensor: int, reader: int, *, after_call: bool) -> FloatArray:
    """(m, m) least time from the end of the producer on a to the begin of the reader's work on b.

    Host staging: write and read, unless both are on one device, where the tensor can be kept. `after_call`: from
    the end of the producer's call, which without overlap includes its write.
    """
    m = problem.m
    if problem.execution.staging == "direct":
        delays = problem.move[tensor, :m, :m].copy()
    else:
        size = _least_read(problem, tensor)
        reads = np.array([problem.read_seconds(tensor, d, size) for d in range(m)])
        writes = problem.move[tensor, :m, m]
        if after_call and not problem.execution.overlap:
            writes = np.where(np.isfinite(writes), 0.0, np.inf)
        delays = writes[:, None] + reads[None, :]
    np.fill_diagonal(delays, 0.0)
    return delays


def heads_and_tails(problem: MappingProblem) -> tuple[FloatArray, FloatArray]:
    """Earliest begin of work, and least time after the call, of every layer on every device.

    The communication-aware critical path: ``head(j,b) = max over producers i of j of
    min over devices a of head(i,a) + t(i,a) + delay(a,b)``, with the symmetric recursion for tails. O(E m^2).

    Returns
    -------
    heads, tails
        (n, m) seconds (ticks for a rounded view); infinite where no route leads there.
    """
    work = least_duration(problem)
    heads = np.repeat(problem.release[:, None], problem.m, axis=1).astype(float)
    tails = np.zeros((problem.n, problem.m))
    order = problem.topological
    with np.errstate(invalid="ignore"):
        for j in order:
            for k in problem.inputs[j]:
                i = int(problem.source[k])
                if i >= 0:
                    begin = (heads[i] + work[i])[:, None] + _delays(problem, k, j, after_call=False)
                    np.maximum(heads[j], begin.min(axis=0), out=heads[j])
                elif problem.host:
                    np.maximum(heads[j], problem.tensor_release[k] + _from_host(problem, k, j), out=heads[j])
        for i in reversed(order):
            for k in problem.outputs[i]:
                for j in problem.readers[k]:
                    after = _delays(problem, k, j, after_call=True) + (work[j] + tails[j])[None, :]
                    np.maximum(tails[i], after.min(axis=1), out=tails[i])
                if problem.output[k] and problem.host and _outputs_move_after(problem):
                    np.maximum(tails[i], problem.move[k, : problem.m, problem.m], out=tails[i])
    return heads, tails


def _least_read(problem: MappingProblem, tensor: int) -> float:
    """The fewest bytes that a reader fetches: a copy kept on a device may have been read by any of them."""
    return min(problem.read_sizes[tensor, i] for i in problem.readers[tensor])


def _from_host(problem: MappingProblem, tensor: int, reader: int) -> FloatArray:
    if problem.execution.staging == "direct":
        return problem.move[tensor, problem.m, : problem.m]
    size = _least_read(problem, tensor)
    return np.array([problem.read_seconds(tensor, d, size) for d in range(problem.m)])


def _outputs_move_after(problem: MappingProblem) -> bool:
    """Whether outputs reach the host after the end of the call that makes them."""
    return problem.execution.staging == "direct" or problem.execution.overlap


def communication_path_bound(problem: MappingProblem) -> Bound:
    """Max over layers of the least of head + work + tail over their devices."""
    heads, tails = heads_and_tails(problem)
    through = heads + least_duration(problem) + tails
    value = float(through.min(axis=1).max(initial=0.0)) if problem.n else 0.0
    return Bound(value * (1 - SAFETY), "communication-aware critical path")


def critical_path_bound(problem: MappingProblem) -> Bound:
    """Longest path with every layer on its fastest device and free transfers."""
    fastest = least_duration(problem).min(axis=1)
    end = np.zeros(problem.n)
    for j in problem.topological:
        begin = problem.release[j]
        for k in problem.inputs[j]:
            if problem.source[k] >= 0:
                begin = max(begin, end[problem.source[k]])
        end[j] = begin + fastest[j]
    return Bound(float(end.max(initial=0.0)) * (1 - SAFETY), "critical path")


def load_bound(problem: MappingProblem) -> Bound:
    """Least makespan if layers were divisible: the LP relaxation of R||Cmax.

    min T, sum_d y[i,d] = 1, sum_i t[i,d] y[i,d] <= slots[d] T (Lenstra, Shmoys and Tardos 1990). Bounds max_load
    without release times in the same way.
    """
    rows, columns = np.nonzero(np.isfinite(problem.duration))
    if len(rows) == 0:
        return Bound(0.0, "load")
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
        return Bound(0.0, "load")
    prices = np.maximum(-solution.ineqlin.marginals, 0.0)
    return Bound(_load_dual(problem, prices) * (1 - SAFETY), "load")


def _load_dual(problem: MappingProblem, prices: FloatArray) -> float:
    """Value of the dual for any non-negative device prices: sum_i min_d p_d t[i,d] / sum_d p_d slots[d]."""
    total = float((prices * np.minimum(problem.slots, problem.n)).sum())
    if total <= 0:
        return 0.0
    finite = np.isfinite(problem.duration)
    priced = np.where(finite, np.where(finite, problem.duration, 0.0) * (prices / total)[None, :], np.inf)
    return float(priced.min(axis=1).sum())


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


def objective_bound(problem: MappingProblem) -> Bound | None:
    """The best combinatorial bound on the first stage of the objective; None where there is none.

    Terms of a weighted sum are bounded one by one.
    """
    latency = latency_bounds(problem)[0]
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
            bound = load_bound(problem)
        else:
            bound = Bound(0.0, "non-negative")
        total += weight * bound.value
        names.append(bound.name)
    return Bound(total, " + ".join(dict.fromkeys(names)))
