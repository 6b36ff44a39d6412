"""The mapping problem as compiled loops see it: flat arrays, and a plain delay for each transfer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray

MAX_LANES = 8
"""Devices with more slots than this count as unlimited in list schedules."""


class Arrays(NamedTuple):
    """The mapping problem as the kernels see it: a delay for each (tensor, from, to), no other transfers.

    Parameters
    ----------
    duration
        (n, m) seconds; infinite where a layer cannot run.
    in_start, in_tensor
        Tensors that layer i reads: ``in_tensor[in_start[i]:in_start[i + 1]]``.
    source, size, ready
        (K,) producing layer or -1, bytes, moment at which an input is at its start.
    latency, per_byte
        (m+1, m+1) delay of a transfer; 0 on the diagonal.
    row, table
        (K,) index into `table` or -1, and (R, m+1, m+1) delays from cost tables.
    lanes
        (m,) how many layers run at a time; 0: any number.
    release, weight, room
        (n,) seconds and bytes to be pinned; (m,) bytes for them.
    """

    duration: FloatArray
    in_start: IntArray
    in_tensor: IntArray
    source: IntArray
    size: FloatArray
    ready: FloatArray
    latency: FloatArray
    per_byte: FloatArray
    row: IntArray
    table: FloatArray
    lanes: IntArray
    release: FloatArray
    weight: FloatArray
    room: FloatArray


def arrays_of(problem: MappingProblem) -> Arrays:
    """The arrays of a view. Host staging counts as a delay of write and read between different devices."""
    m, routes = problem.m, problem.routes
    latency, per_byte = routes.latency.copy(), routes.per_byte.copy()
    overridden = sorted({k for k, _, _ in problem.override})
    row = np.full(len(problem.tensors), -1, dtype=np.int64)
    row[overridden] = np.arange(len(overridden))
    table = np.zeros((max(1, len(overridden)), m + 1, m + 1))
    for r, k in enumerate(overridden):
        table[r] = problem.move[k]
    if problem.execution.staging == "host":
        latency[:m, :m] = latency[:m, m][:, None] + latency[m, :m][None, :]
        per_byte[:m, :m] = per_byte[:m, m][:, None] + per_byte[m, :m][None, :]
        table[:, :m, :m] = table[:, :m, m][:, :, None] + table[:, m, :m][:, None, :]
    diagonal = np.arange(m + 1)
    latency[diagonal, diagonal] = per_byte[diagonal, diagonal] = 0.0
    table[:, diagonal, diagonal] = 0.0
    if not problem.host:
        latency[m, :] = per_byte[m, :] = 0.0
        table[:, m, :] = 0.0
    counts = np.array([len(tensors) for tensors in problem.inputs], dtype=np.int64)
    pinned = not problem.host or problem.execution.weights == "resident"
    limited = problem.execution.memory != "none" and pinned
    duration = problem.duration
    if problem.host and problem.execution.weights == "streamed":
        combine = np.maximum if problem.execution.overlap else np.add
        duration = combine(duration, problem.load)
    return Arrays(
        duration=np.ascontiguousarray(duration),
        in_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        in_tensor=np.array([k for tensors in problem.inputs for k in tensors], dtype=np.int64),
        source=problem.source,
        size=problem.size,
        ready=problem.tensor_release,
        latency=latency,
        per_byte=per_byte,
        row=row,
        table=table,
        lanes=np.where((problem.slots > MAX_LANES) | (problem.slots >= max(problem.n, 2)), 0, problem.slots),
        release=problem.release,
        weight=problem.weight_bytes if limited else np.zeros(problem.n),
        room=np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of])
        if limited
        else np.full(m, np.inf),
    )
