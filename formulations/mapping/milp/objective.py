"""What is minimised, and the limits on every measure."""

from __future__ import annotations

import pulp

from dnnplan.formulations.mapping.milp.memory import peaks_are_at_most
from dnnplan.formulations.mapping.milp.variables import SCALED, Linear, Variables
from dnnplan.formulations.mapping.milp.windows import LIMIT_TOLERANCE, power_of_two
from dnnplan.instances import UnsupportedError

CUTOFF_TOLERANCE = 1e-9
OBJECTIVES = ("latency", "energy", "traffic", "max_load", "weighted_completion", "tardiness", "memory")
"""Measures that are linear in the variables."""


def latency(v: Variables) -> Linear:
    """The makespan, s."""
    return v.second * v.makespan


def energy(v: Variables) -> Linear:
    """Sum e[i,d] x[i,d] + sum energy_per_byte * bytes of all transfers + sum_d idle_d * (C - compute of d).

    A device of several slots may compute longer than C; its idle time is a variable >= 0
    (docs/cost-model.md, 6).
    """
    problem = v.problem
    terms = [float(problem.energy[i, d]) * x for i, row in enumerate(v.x) for d, x in row.items()]
    per_byte = problem.routes.energy_per_byte
    terms += [
        float(per_byte[o.source, o.target]) * o.bytes * o.use
        for move in v.moves
        for o in move.options
        if o.bytes
    ]
    for d in range(problem.m):
        power = float(problem.idle_power[d])
        if power > 0:
            idle = v.time(f"idle_{d}")
            compute = (v.scaled(problem.duration[i, d]) * row[d] for i, row in enumerate(v.x) if d in row)
            v.add(idle >= v.makespan - pulp.lpSum(compute))
            terms.append(power * v.second * idle)
    return pulp.lpSum(terms)


def traffic(v: Variables) -> Linear:
    """Bytes of all transfers; zero-copy moves are none."""
    return pulp.lpSum(o.bytes * o.use for move in v.moves for o in move.options if o.bytes)


def max_load(v: Variables) -> Linear:
    """The largest load of a device: compute plus (overlap: or, if larger) its transfers.

    Each outside tensor counts once on each device that reads it, with its largest read, and under host
    staging once where it was made, if another device reads it or it is an output.
    """
    top = v.time("max_load", 0.0, 2 * v.horizon)
    moves: list[list[Linear]] = [[] for _ in range(v.problem.m)]
    for (i, d), use in v.load.items():
        moves[d].append(v.scaled(v.problem.load[i, d]) * use)
    for k in range(len(v.problem.tensors)):
        _tensor_load(v, k, moves)
    for d in range(v.problem.m):
        compute = pulp.lpSum(
            v.scaled(v.problem.duration[i, d]) * row[d] for i, row in enumerate(v.x) if d in row
        )
        moved = pulp.lpSum(moves[d])
        v.add(top >= (compute if v.overlap else compute + moved))
        if v.overlap:
            v.add(top >= moved)
    return v.second * top


def _tensor_load(v: Variables, k: int, moves: list[list[Linear]]) -> None:
    """Seconds that tensor k adds to the load of each device."""
    problem, p = v.problem, int(v.problem.source[k])
    if p < 0 and not problem.host:
        return
    direct = problem.execution.staging == "direct"
    for e in sorted({e for j in problem.readers[k] for e in v.x[j]}):
        cost = v.time(f"load_of_{k}_{e}")
        moves[e].append(cost)
        for j in problem.readers[k]:
            if e not in v.x[j]:
                continue
            if not direct:
                home = v.both[p, j].get((e, e), 0) if p >= 0 else 0
                seconds = problem.read_seconds(k, e, problem.read_sizes[k, j])
                v.add(cost >= _finite(v, seconds) * (v.x[j][e] - home))
            elif p >= 0:
                ways = [
                    (problem.move_seconds(k, d, e), u) for (d, f), u in v.both[p, j].items() if f == e != d
                ]
                v.add(cost >= pulp.lpSum(_finite(v, seconds) * u for seconds, u in ways))
            else:
                v.add(cost >= _finite(v, problem.move_seconds(k, problem.m, e)) * v.x[j][e])
    for d, x in v.x[p].items() if p >= 0 and not direct else ():
        away = v.time(f"load_from_{k}_{d}")
        moves[d].append(away)
        seconds = _finite(v, problem.move_seconds(k, d, problem.m))
        for j in problem.readers[k]:
            v.add(away >= seconds * (x - v.both[p, j].get((d, d), 0)))
        if problem.output[k]:
            v.add(away >= seconds * x)


def _finite(v: Variables, seconds: float) -> float:
    """Scaled seconds; 0 where there is no route (such placements are ruled out elsewhere)."""
    return v.scaled(seconds) if seconds < float("inf") else 0.0


def weighted_completion(v: Variables) -> Linear:
    """sum_j weight_j (completion_j - release_j), s."""
    jobs = enumerate(v.problem.jobs)
    return pulp.lpSum(job.weight * (v.second * v.completion[j] - job.release) for j, job in jobs)


def tardiness(v: Variables) -> Linear:
    """sum_j weight_j late_j with late_j >= completion_j - due_j, late_j >= 0, s."""
    terms = []
    for j, job in enumerate(v.problem.jobs):
        if job.due is not None:
            late = v.time(f"late_{j}")
            v.add(late >= v.completion[j] - v.scaled(job.due))
            terms.append(job.weight * v.second * late)
    return pulp.lpSum(terms)


def memory(v: Variables) -> Linear:
    """The largest peak of a memory, bytes."""
    return v.byte * peaks_are_at_most(v)


MEASURES = {
    "latency": latency,
    "energy": energy,
    "traffic": traffic,
    "max_load": max_load,
    "weighted_completion": weighted_completion,
    "tardiness": tardiness,
    "memory": memory,
}


def minimise(v: Variables, cutoff: float | None) -> float:
    """Set the objective, the limits and the values of earlier stages; returns one unit of the model's objective.

    measure <= limit (1 + 1e-6) for every limit: the tolerance with which plans are judged. objective <=
    cutoff (1 + 1e-9), where one is known: it prunes like an incumbent.

    Raises
    ------
    UnsupportedError
        A measure is not linear (``edp``).
    """
    terms = v.problem.stages[0]
    earlier = v.problem.sums_at_most
    wanted = [name for stage in (terms, *(stage for stage, _ in earlier)) for name, _ in stage]
    limited = [name for name in v.problem.limits if name in MEASURES or name == "edp"]
    for name in (*wanted, *limited):
        if name not in MEASURES:
            raise UnsupportedError(
                f"the MILP cannot express '{name}', which is not linear; use one of {OBJECTIVES}"
            )
    found = {
        name: MEASURES[name](v)
        for name in dict.fromkeys((*wanted, *limited))
        if name in wanted or name != "memory"
    }
    for name in limited:
        if name != "memory":
            _at_most(v, found[name], v.problem.limits[name])
    for stage, most in earlier:
        _at_most(v, pulp.lpSum(weight * found[name] for name, weight in stage), most)
    if "switches" in v.problem.limits:
        jobs_change_devices_at_most(v, int(v.problem.limits["switches"]))
    value = pulp.lpSum(weight * found[name] for name, weight in terms)
    unit = power_of_two(_size(value) / SCALED)
    v.model.setObjective(value * (1 / unit) + 0)
    if cutoff is not None:
        v.add(value * (1 / unit) <= cutoff * (1 + CUTOFF_TOLERANCE) / unit)
    return unit


def _at_most(v: Variables, value: Linear, limit: float) -> None:
    """Value <= limit (1 + 1e-6), scaled."""
    scale = power_of_two(_size(value) / SCALED)
    v.add(value * (1 / scale) <= limit * (1 + LIMIT_TOLERANCE) / scale)


def jobs_change_devices_at_most(v: Variables, limit: int) -> None:
    """Sum over tensors k of a job and devices e of y[k,e] <= limit;  y[k,e] >= x[j,e] - both[p,j][e,e], readers j.

    Changes of device (docs/cost-model.md, 6): tensors times devices that read them and did not make them.
    """
    changes: dict[int, list[Linear]] = {}
    for k, readers in enumerate(v.problem.readers):
        p = int(v.problem.source[k])
        for e in sorted({e for j in readers for e in v.x[j]}) if p >= 0 else ():
            here = [j for j in readers if e in v.x[j]]
            away = [v.x[j][e] - v.both[p, j].get((e, e), 0) for j in here]
            change = away[0]
            if len(away) > 1:
                change = v.share(f"change_{k}_{e}")
                for leaves in away:
                    v.add(change >= leaves)
            changes.setdefault(int(v.problem.job_of[p]), []).append(change)
    for terms in changes.values():
        v.add(pulp.lpSum(terms) <= limit)


def _size(value: Linear) -> float:
    """How large an expression may become."""
    total = abs(float(value.constant)) if hasattr(value, "constant") else 0.0
    for variable, factor in value.items():
        high = variable.upBound if variable.upBound is not None else 1.0
        total += abs(factor) * abs(high)
    return total or 1.0
