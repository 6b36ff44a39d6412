"""Annealing of the largest load over placements, on the compiled kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.load.groups import LoadProblem

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.placement import LoadArrays

FORBIDDEN = 1e3
"""Seconds that a missing route costs, relative to all work: finite, so that sums can take it back."""


def load_arrays(loads: LoadProblem) -> LoadArrays:
    """A load problem as the arrays of the kernel."""
    from dnnplan.solvers.kernels.placement import LoadArrays

    problem = loads.problem
    finite = np.isfinite(loads.work)
    scale = float(np.where(finite, loads.work, 0.0).sum()) + 1.0
    near: list[set[int]] = [set() for _ in range(loads.size)]
    for source, readers in zip(loads.source.tolist(), loads.readers, strict=True):
        if source >= 0:
            near[source].update(readers)
            for g in readers:
                near[g].add(source)
    allowed = [np.flatnonzero(row).tolist() for row in finite]
    room = np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of])
    limited = problem.execution.memory != "none" and loads.counts_weights
    flat_allowed, allowed_at = flat(allowed)
    tensors, tensors_at = flat(loads.incident)
    groups, groups_at = flat(loads.readers)
    near_flat, near_at = flat([sorted(row) for row in near])
    weights, weights_at = flat(loads.weights if loads.limited else [()] * loads.size)
    receive = np.where(np.isfinite(loads.receive), loads.receive, FORBIDDEN * scale)
    inputs = loads.source < 0
    farthest = receive[:, : loads.m].max(axis=1, initial=0.0)
    farthest[inputs] = receive[inputs, loads.m]
    return LoadArrays(
        work=np.ascontiguousarray(loads.work),
        fixed=np.ascontiguousarray(loads.fixed),
        allowed=flat_allowed,
        allowed_at=allowed_at,
        source=loads.source,
        always=np.array(loads.always, dtype=np.int64),
        receive=receive,
        farthest=farthest,
        send=np.where(np.isfinite(loads.send), loads.send, FORBIDDEN * scale),
        tensors=tensors,
        tensors_at=tensors_at,
        groups=groups,
        groups_at=groups_at,
        near=near_flat,
        near_at=near_at,
        weights=weights,
        weights_at=weights_at,
        weight_bytes=loads.weight_bytes,
        room=room if limited else np.full(loads.m, np.inf),
        overlap=loads.overlap,
    )


def flat(rows: object) -> tuple[IntArray, IntArray]:
    """A list of lists as a flat array and offsets."""
    lists = [list(row) for row in rows]  # type: ignore[attr-defined]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    return np.array([x for row in lists for x in row], dtype=np.int64), offsets
