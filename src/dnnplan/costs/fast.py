"""Evaluation on arrays for the plainest setting, where plans are large or many.

Direct staging with overlap, no contention, every layer a call of its own, nothing to load, one slot a device:
the same figures as `evaluate` gives on its general path, which the tests hold this one against.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.decisions import Decisions
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.instances import Cost

COMPILE_FROM = 4_000
"""Layers from which compiled code is worth the wait for the compiler (seconds, once a machine)."""


def applies(problem: MappingProblem, decisions: Decisions) -> bool:
    """Whether this path covers the plan."""
    execution = problem.execution
    return (
        execution.staging == "direct"
        and execution.overlap
        and execution.contention == "none"
        and (not problem.host or execution.weights == "resident")
        and problem.host_device < 0
        and not decisions.not_before
        and not problem.precedences
        and problem.tick is None
        # Calls that a plan names may be in another order than the layers, by which the arrays are indexed.
        and [layers[0] for layers in decisions.calls] == list(range(problem.n))
        and bool(((problem.slots == 1) | (problem.slots >= problem.n)).all())
    )


def forward(  # noqa: C901, PLR0912
    a: Arrays, edges: tuple[IntArray, IntArray], place: IntArray, following: IntArray, previous: IntArray
) -> tuple[FloatArray, FloatArray, int]:
    """Earliest start and end of every layer, and how many could be timed (fewer than n: a deadlock).

    `edges` are offsets and readers by source layer; `following` and `previous` the neighbours in the order of the
    device, -1 for none.
    """
    n = place.shape[0]
    host = a.duration.shape[1]
    first, reader = edges
    waiting = np.zeros(n, dtype=np.int64)
    for e in range(reader.shape[0]):
        waiting[reader[e]] += 1
    stack = np.empty(n, dtype=np.int64)
    top = 0
    for i in range(n):
        if previous[i] >= 0:
            waiting[i] += 1
        if waiting[i] == 0:
            stack[top] = i
            top += 1
    start, end = np.zeros(n), np.zeros(n)
    done = 0
    while top > 0:
        top -= 1
        i = stack[top]
        done += 1
        d = place[i]
        ready = a.release[i]
        if previous[i] >= 0:
            # Unlimited devices keep the order of starts, the others wait for the end.
            ready = max(ready, start[previous[i]] if a.lanes[d] == 0 else end[previous[i]])
        for e in range(a.in_start[i], a.in_start[i + 1]):
            k = a.in_tensor[e]
            p = a.source[k]
            origin = place[p] if p >= 0 else host
            moment = end[p] if p >= 0 else a.ready[k]
            if origin != d:
                if a.row[k] >= 0:
                    moment += a.table[a.row[k], origin, d]
                else:
                    moment += a.latency[origin, d] + a.size[k] * a.per_byte[origin, d]
            ready = max(ready, moment)
        start[i] = ready
        end[i] = ready + a.duration[i, d]
        for e in range(first[i], first[i + 1] + 1):
            j = reader[e] if e < first[i + 1] else following[i]
            if j >= 0:
                waiting[j] -= 1
                if waiting[j] == 0:
                    stack[top] = j
                    top += 1
    return start, end, done


@dataclass(eq=False)
class Moves:
    """The transfers of a plan as arrays: one for each (tensor, reading device or host) that differs from its source.

    `pair` maps each (tensor, reader) edge to its row, -1 where nothing moves.
    """

    tensor: IntArray
    source: IntArray
    target: IntArray
    seconds: FloatArray
    begin: FloatArray
    free: IntArray
    pair: IntArray


def evaluate_fast(
    problem: MappingProblem, decisions: Decisions
) -> tuple[FloatArray, FloatArray, list[float], Cost] | None:
    """Start, end, completion of the jobs and cost; None if the order contradicts the tensors."""
    place = np.array(decisions.place, dtype=np.int64)
    following, previous = _neighbours(problem, decisions)
    kernel = compiled(forward) if problem.n >= COMPILE_FROM or is_ready(forward) else forward
    start, end, done = kernel(problem.arrays, problem.reader_offsets, place, following, previous)
    if done < problem.n:
        return None
    moves = _moves(problem, place, end)
    completion = np.array([job.release for job in problem.jobs])
    np.maximum.at(completion, problem.job_of, end)
    to_host = moves.target == problem.m
    job = problem.job_of[problem.source[moves.tensor[to_host]]]
    np.maximum.at(completion, job, (moves.begin + moves.seconds)[to_host])
    return start, end, completion.tolist(), _cost(problem, place, (start, end), moves, completion)


def _neighbours(problem: MappingProblem, decisions: Decisions) -> tuple[IntArray, IntArray]:
    following = np.full(problem.n, -1, dtype=np.int64)
    previous = np.full(problem.n, -1, dtype=np.int64)
    for row in decisions.order:
        calls = np.array(row, dtype=np.int64)
        following[calls[:-1]] = calls[1:]
        previous[calls[1:]] = calls[:-1]
    return following, previous


def _moves(problem: MappingProblem, place: IntArray, end: FloatArray) -> Moves:
    m = problem.m
    edge_tensor, reader = problem.edge_tensor, problem.reader
    source = problem.source[edge_tensor]
    origin = np.where(source >= 0, place[source], m)
    target = place[reader]
    moving = origin != target if problem.host else (origin != target) & (source >= 0)
    outputs = (
        np.flatnonzero(problem.output & (problem.source >= 0))
        if problem.host
        else np.zeros(0, dtype=np.int64)
    )
    keys = np.concatenate([edge_tensor[moving] * (m + 1) + target[moving], outputs * (m + 1) + m])
    rows, inverse = np.unique(keys, return_inverse=True)
    tensor, goal = rows // (m + 1), rows % (m + 1)
    made = problem.source[tensor]
    begin_at = np.where(made >= 0, place[made], m)
    routes = problem.routes
    seconds = routes.latency[begin_at, goal] + problem.size[tensor] * routes.per_byte[begin_at, goal]
    free = routes.zero_copy[begin_at, goal].copy()
    if problem.override:
        for r in range(len(rows)):
            entry = problem.override.get((int(tensor[r]), int(begin_at[r]), int(goal[r])))
            if entry is not None:
                seconds[r], free[r] = entry, False
    pair = np.full(len(reader), -1, dtype=np.int64)
    pair[moving] = inverse[: int(moving.sum())]
    return Moves(
        tensor=tensor,
        source=begin_at,
        target=goal,
        seconds=seconds,
        begin=np.where(made >= 0, end[made], problem.tensor_release[tensor]),
        free=free,
        pair=pair,
    )


def _cost(
    problem: MappingProblem,
    place: IntArray,
    times: tuple[FloatArray, FloatArray],
    moves: Moves,
    completion: FloatArray,
) -> Cost:
    m, rows = problem.m, np.arange(problem.n)
    latency = float(completion.max(initial=0.0))
    compute = np.bincount(place, weights=problem.duration[rows, place], minlength=m)
    paid = ~moves.free
    size = problem.size[moves.tensor]
    priced = size * problem.routes.energy_per_byte[moves.source, moves.target]
    idle = problem.idle_energy(latency, compute)
    energy = float(problem.energy[rows, place].sum()) + float(priced[paid].sum()) + idle
    inward = moves.target < m
    received = np.bincount(moves.target[inward], weights=moves.seconds[inward], minlength=m)
    load = np.maximum(compute, received).tolist()
    weighted = tardiness = 0.0
    for job, moment in zip(problem.jobs, completion.tolist(), strict=True):
        weighted += job.weight * (moment - job.release)
        tardiness += job.weight * max(0.0, moment - job.due) if job.due is not None else 0.0
    return Cost(
        latency=latency,
        energy=energy,
        edp=energy * latency,
        traffic=float(size[paid].sum()),
        max_load=max(load, default=0.0),
        weighted_completion=weighted,
        tardiness=tardiness,
        memory=dict(zip(problem.memory_names, _peaks(problem, place, times, moves), strict=True)),
        load=dict(zip(problem.devices, load, strict=True)),
    )


def _peaks(
    problem: MappingProblem, place: IntArray, times: tuple[FloatArray, FloatArray], moves: Moves
) -> list[float]:
    """Peak bytes of each memory: pinned weights, workspace, and every copy of every tensor."""
    start, end = times
    memory_of = problem.memory_of
    first = problem.first_of_weight
    pins = np.unique(problem.weight_of * problem.m + place)
    peaks = np.bincount(
        memory_of[pins % problem.m],
        weights=problem.weight_bytes[first[pins // problem.m]],
        minlength=len(problem.memory_names),
    )
    made = np.flatnonzero(problem.source >= 0)
    until = np.zeros(len(problem.tensors))
    until[made] = end[problem.source[made]]
    np.maximum.at(until, moves.tensor, moves.begin + moves.seconds)
    # Readers on the device of the producer, and those that reach its copy for nothing, keep it there.
    shared = moves.pair < 0
    shared[~shared] = moves.free[moves.pair[~shared]]
    np.maximum.at(until, problem.edge_tensor[shared], end[problem.reader[shared]])
    last = np.zeros(len(moves.tensor))
    np.maximum.at(last, moves.pair[~shared], end[problem.reader[~shared]])
    copies = np.flatnonzero(~moves.free & (moves.target < problem.m))
    memory = np.concatenate(
        [memory_of[place], memory_of[place[problem.source[made]]], memory_of[moves.target[copies]]]
    )
    begin = np.concatenate([start, start[problem.source[made]], moves.begin[copies]])
    finish = np.concatenate([end, until[made], last[copies]])
    size = np.concatenate([problem.workspace, problem.size[made], problem.size[moves.tensor[copies]]])
    keep = (finish > begin) & (size > 0)
    levels = peaks + peak_levels(memory[keep], begin[keep], finish[keep], size[keep], len(peaks))
    return [float(level) for level in levels]


def peak_levels(
    memory: IntArray, begin: FloatArray, end: FloatArray, size: FloatArray, count: int
) -> FloatArray:
    """Highest sum of sizes at a moment, for each memory, of half-open spans [begin, end)."""
    moments = np.concatenate([end, begin])
    changes = np.concatenate([-size, size])
    where = np.concatenate([memory, memory])
    # A stable sort: at equal times what ends leaves (first half) before what begins arrives.
    order = np.argsort(moments, kind="stable")
    changes, where = changes[order], where[order]
    peaks = np.zeros(count)
    for index in range(count):
        steps = changes[where == index]
        if len(steps):
            peaks[index] = max(0.0, float(np.cumsum(steps).max()))
    return peaks
