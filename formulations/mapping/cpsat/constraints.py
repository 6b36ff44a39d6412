"""Constraints on layers, devices and weights; those on tensors are in `direct` and `host`.

Symbols: layers i, j; devices d; x[i,d] in {0,1}; s_i, e_i start and end; C makespan; t[i,d] compute time.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dnnplan.formulations.mapping.bounds import heads_and_tails
from dnnplan.formulations.mapping.cpsat.variables import Variables


def one_device_each(v: Variables) -> None:
    """sum_d x[i,d] = 1 for every layer i.

    The assignment of unrelated machines (R||Cmax). Without it a layer could run nowhere, at no cost.
    """
    for row in v.x:
        v.model.add_exactly_one(list(row.values()))


def durations_follow_devices(v: Variables) -> None:
    """work_i = sum_d t[i,d] x[i,d].

    `end_i - start_i = work_i + transfers` follows from the interval of the chosen device; the sum gives the
    linear relaxation a length for every layer.
    """
    for i, row in enumerate(v.x):
        v.work.append(sum(int(v.problem.duration[i, d]) * x for d, x in row.items()))


def colocated_layers_share_a_device(v: Variables) -> None:
    """x[i,d] = x[j,d] for i, j in one colocation group and every d."""
    for group in v.problem.colocate:
        for i, j in pairwise(group):
            for d in sorted(set(v.x[i]) | set(v.x[j])):
                v.model.add(v.on(i, d) == v.on(j, d))


def devices_run_one_call_a_slot(v: Variables) -> None:
    """At every moment the layers running on device d are at most slots[d].

    One slot: no-overlap of optional intervals [s_i, e_i) present if x[i,d]; several: cumulative; as many as layers:
    nothing. The interval of the chosen device ties e_i to s_i: its size is t[i,d] where calls only compute,
    else a variable of at least that.
    """
    for d in range(v.problem.m):
        intervals = []
        for i in range(v.problem.n):
            if d in v.x[i]:
                size = int(v.problem.duration[i, d])
                if has_transfers_inside(v, i):
                    if size > v.horizon:
                        v.model.add(v.x[i][d] == 0)
                    length = v.model.new_int_var(min(size, v.horizon), v.horizon, f"length_{i}_{d}")
                    interval = v.model.new_optional_interval_var(
                        v.start[i], length, v.end[i], v.x[i][d], f"run_{i}_{d}"
                    )
                else:
                    interval = v.model.new_optional_interval_var(
                        v.start[i], size, v.end[i], v.x[i][d], f"run_{i}_{d}"
                    )
                intervals.append(interval)
        slots = int(v.problem.slots[d])
        if slots == 1:
            v.model.add_no_overlap(intervals)
        elif slots < len(intervals):
            v.model.add_cumulative(intervals, [1] * len(intervals), slots)


def has_transfers_inside(v: Variables, layer: int) -> bool:
    """Whether a call of this layer does more than compute between its start and its end."""
    execution = v.problem.execution
    loads = v.problem.host and execution.weights != "resident" and v.problem.weight_bytes[layer] > 0
    return not execution.overlap or bool(loads)


def releases_and_precedences(v: Variables) -> None:
    """s_i >= release of its job; s_i >= completion of every job that its task waits for."""
    waits: dict[int, list[int]] = {}
    for before, after in v.problem.precedences:
        waits.setdefault(after, []).append(before)
    for i in range(v.problem.n):
        if v.problem.release[i] > 0:
            v.model.add(v.start[i] >= int(v.problem.release[i]))
        for before in waits.get(int(v.problem.job_of[i]), ()):
            v.model.add(v.start[i] >= v.completion[before])


def weights_fit(v: Variables) -> None:
    """sum_w bytes_w pin[w,d] <= weight capacity of d; over the devices of one memory <= its bytes.

    pin[w,d] >= x[i,d] for the layers i of w where weights are resident; pin[w,d] is a decision where they are a
    choice, and pin[w,d] <= sum_i x[i,d]: nothing is pinned where it is not used. Without it, plans would pin more
    than memories hold. Bytes are rounded down, capacities are exact.
    """
    problem = v.problem
    if problem.execution.memory == "none" and not v.live:
        return
    resident = not problem.host or problem.execution.weights == "resident"
    if problem.execution.weights == "streamed" and not resident:
        return
    size = {int(w): int(b) for w, b in zip(problem.weight_of, problem.weight_bytes, strict=True)}
    for i in range(problem.n):
        w = int(problem.weight_of[i])
        for d, x in v.x[i].items():
            if size[w] > 0 and resident:
                v.model.add_implication(x, v.pin_of(i, d))
    for (w, d), pin in v.pin.items():
        v.model.add_bool_or(
            [~pin, *(v.x[i][d] for i in range(problem.n) if problem.weight_of[i] == w and d in v.x[i])]
        )
    if problem.execution.memory == "none":
        return
    for d in range(problem.m):
        _knapsack(v, [d], float(problem.weight_capacity[d]), size)
    for memory, capacity in enumerate(problem.capacity.tolist()):
        _knapsack(v, [int(d) for d in np.flatnonzero(problem.memory_of == memory)], capacity, size)


def _knapsack(v: Variables, devices: list[int], capacity: float, size: dict[int, int]) -> None:
    if np.isfinite(capacity):
        terms = [size[w] * pin for (w, d), pin in v.pin.items() if d in devices]
        if terms:
            v.model.add(sum(terms) <= int(capacity))


def jobs_complete(v: Variables) -> None:
    """completion_j >= e_i of its layers and the end of its outputs' transfers; C >= completion_j."""
    for i in range(v.problem.n):
        v.model.add(v.completion[int(v.problem.job_of[i])] >= v.end[i])
    for move in v.moves:
        to_host = move.kind == "write" or (
            move.kind == "send" and move.device in (v.problem.m, v.problem.host_device) and move.device >= 0
        )
        if to_host and v.problem.output[move.tensor] and v.problem.source[move.tensor] >= 0:
            job = int(v.problem.job_of[v.problem.source[move.tensor]])
            v.model.add(v.completion[job] >= move.end).only_enforce_if(move.present)
    v.model.add_max_equality(v.makespan, v.completion)


def makespan_covers_critical_path(v: Variables) -> None:
    """s_i >= sum_d head[i,d] x[i,d] (calls that only compute; else e_i - work_i);  C >= e_i + sum_d tail[i,d] x[i,d].

    Heads and tails of the communication-aware critical path (`bounds.heads_and_tails`): the earliest moment at
    which i can start on d and the least that must follow it there. Redundant; it hands the bound of that
    dynamic programme to the linear relaxation and to propagation.
    """
    heads, tails = heads_and_tails(v.problem)
    for i, row in enumerate(v.x):
        reachable = [d for d in row if np.isfinite(heads[i, d]) and np.isfinite(tails[i, d])]
        for d in row:
            if d not in reachable:
                v.model.add(row[d] == 0)
        least = sum(int(heads[i, d]) * row[d] for d in reachable)
        if has_transfers_inside(v, i):
            v.model.add(v.end[i] >= least + v.work[i])
        else:
            v.model.add(v.start[i] >= least)
        v.model.add(v.makespan >= v.end[i] + sum(int(tails[i, d]) * row[d] for d in reachable))
