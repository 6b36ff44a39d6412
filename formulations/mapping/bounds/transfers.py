"""The transfers of a relaxation: which tensors leave and reach which device, and what that costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds.paths import delays, from_host, least_read
from dnnplan.formulations.mapping.bounds.relaxation import Move, Relaxation, Terms, scaled


def add_transfers(r: Relaxation) -> None:
    """List every transfer that a plan may make, by tensor and device, and every load."""
    problem = r.problem
    direct = problem.execution.staging == "direct"
    for k in range(len(problem.tensors)):
        i = int(problem.source[k])
        if problem.readers[k] and (i >= 0 or problem.host):
            if not direct:
                _reads(r, k, i)
            elif r.full and i >= 0:
                _sends_by_pair(r, k, i)
            else:
                _sends(r, k, i)
        if i >= 0 and problem.host and not direct:
            _writes(r, k, i)
        elif i >= 0 and problem.host and problem.output[k]:
            _output_sends(r, k, i)
    for (i, d), terms in r.loaded.items():
        seconds, size = float(problem.load[i, d]), float(problem.weight_bytes[i])
        _add(r, -1, problem.m, d, terms, seconds, size, -1)


def _add(
    r: Relaxation, tensor: int, a: int, b: int, terms: Terms, seconds: float, size: float, busy: int
) -> None:
    """Note a transfer between two ends, with its bytes and energy unless it is free."""
    problem = r.problem
    free = problem.is_free(tensor, a, b)
    r.moves.append(
        Move(
            terms=terms,
            device=busy,
            channel=int(problem.routes.channel[a, b]),
            seconds=seconds,
            bytes=0.0 if free else size,
            joules=0.0 if free else size * float(problem.routes.energy_per_byte[a, b]),
        )
    )


def _parts(r: Relaxation, k: int, i: int, d: int) -> list[Terms]:
    """For each reader of k that may be on d: the fraction of it there with the producer elsewhere."""
    return [r.arriving(i, j, d) for j in r.problem.readers[k] if r.x[j, d] >= 0]


def _reads(r: Relaxation, k: int, i: int) -> None:
    """read(k,d) >= x(j,d) - both(i,j,d) for every reader j: once for all readers of a device, which may keep it."""
    problem = r.problem
    size = least_read(problem, k)
    for d in range(problem.m):
        parts = _parts(r, k, i, d)
        seconds = problem.read_seconds(k, d, size)
        if parts and np.isfinite(seconds):
            _add(r, k, problem.m, d, r.largest(parts), seconds, size, _busy(problem, d))


def _writes(r: Relaxation, k: int, i: int) -> None:
    """write(k,d) >= x(i,d) - both(i,j,d) for every reader j; x(i,d) for outputs."""
    problem = r.problem
    for d in np.flatnonzero(r.x[i] >= 0).tolist():
        if problem.output[k]:
            parts: list[Terms] = [[(int(r.x[i, d]), 1.0)]]
        else:
            parts = [r.leaving(i, j, d) for j in problem.readers[k]]
        seconds = float(problem.move[k, d, problem.m])
        if parts and np.isfinite(seconds):
            size = float(problem.size[k])
            _add(r, k, d, problem.m, r.largest(parts), seconds, size, _busy(problem, d))
            r.written.setdefault(k, []).append(r.moves[-1])


def _busy(problem: MappingProblem, device: int) -> int:
    return -1 if problem.execution.overlap else device


def _sends(r: Relaxation, k: int, i: int) -> None:
    """One send for each reading device, at what the cheapest producer's device (or the host) asks."""
    problem, size = r.problem, float(r.problem.size[k])
    for d in range(problem.m):
        parts = _parts(r, k, i, d)
        origins = [problem.m] if i < 0 else [a for a in problem.allowed[i] if a != d]
        origins = [a for a in origins if np.isfinite(problem.move[k, a, d])]
        if not parts or not origins:
            continue
        routes = problem.routes
        free = any(problem.is_free(k, a, d) for a in origins)
        channels = {int(routes.channel[a, d]) for a in origins}
        r.moves.append(
            Move(
                terms=r.largest(parts),
                device=_busy(problem, d),
                channel=channels.pop() if len(channels) == 1 else -1,
                seconds=min(float(problem.move[k, a, d]) for a in origins),
                bytes=0.0 if free else size,
                joules=0.0 if free else size * min(float(routes.energy_per_byte[a, d]) for a in origins),
            )
        )


def _sends_by_pair(r: Relaxation, k: int, i: int) -> None:
    """send(k,a,b) >= pair(i,j,a,b) for every reader j."""
    problem, size = r.problem, float(r.problem.size[k])
    pairs = [r.on_pair(i, j) for j in problem.readers[k]]
    for a in problem.allowed[i]:
        for b in range(problem.m):
            seconds = float(problem.move[k, a, b])
            if a == b or not np.isfinite(seconds) or problem.is_free(k, a, b):
                continue
            parts: list[Terms] = [[(int(pair[a, b]), 1.0)] for pair in pairs if pair[a, b] >= 0]
            if parts:
                _add(r, k, a, b, r.largest(parts), seconds, size, _busy(problem, b))


def _output_sends(r: Relaxation, k: int, i: int) -> None:
    """Outputs go to the host (left out where a reader on the host may fetch them)."""
    problem = r.problem
    if problem.host_device >= 0 and problem.readers[k]:
        return
    for a in problem.allowed[i]:
        seconds = float(problem.move[k, a, problem.m])
        if a != problem.host_device and np.isfinite(seconds):
            _add(r, k, a, problem.m, [(int(r.x[i, a]), 1.0)], seconds, float(problem.size[k]), -1)


def delay_terms(r: Relaxation, k: int, i: int, j: int) -> Terms:
    """Least seconds from the end of the call of i (-1: the release of the input) to the begin of work of j."""
    problem, m = r.problem, r.problem.m
    if i < 0:
        seconds = from_host(problem, k, j)
        return [(int(v), float(s)) for v, s in zip(r.x[j], seconds, strict=True) if v >= 0 and 0 < s < np.inf]
    if problem.execution.staging == "host":
        terms: Terms = []
        size = least_read(problem, k)
        for d in range(m):
            read, write = problem.read_seconds(k, d, size), float(problem.move[k, d, m])
            if r.x[j, d] >= 0 and 0 < read < np.inf:
                terms += scaled(r.arriving(i, j, d), read)
            if r.x[i, d] >= 0 and 0 < write < np.inf and problem.execution.overlap:
                terms += scaled(r.leaving(i, j, d), write)
        return terms
    matrix = delays(problem, k, j, after_call=True)
    if r.full:
        pair = r.on_pair(i, j)
        return [
            (int(pair[a, b]), float(matrix[a, b]))
            for a, b in zip(*np.nonzero((pair >= 0) & (matrix > 0)), strict=True)
        ]
    out, into = _split(matrix, r.x[i] >= 0, r.x[j] >= 0)
    terms = []
    for d in range(m):
        if r.x[i, d] >= 0 and out[d] > 0:
            terms += scaled(r.leaving(i, j, d), float(out[d]))
        if r.x[j, d] >= 0 and into[d] > 0:
            terms += scaled(r.arriving(i, j, d), float(into[d]))
    return terms


def _split(
    matrix: FloatArray, sources: NDArray[np.bool_], targets: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """out, into with ``matrix[a, b] >= out[a] + into[b]`` for all a != b; exact where all pairs are alike."""
    m = len(matrix)
    other = ~np.eye(m, dtype=bool) & np.isfinite(matrix)
    pairs = other & sources[:, None] & targets[None, :]
    values = np.where(pairs, matrix, np.inf)
    out = values.min(axis=1)
    out = np.where(np.isfinite(out), out, 0.0)
    rest = np.where(pairs, np.where(pairs, matrix, 0.0) - out[:, None], np.inf).min(axis=0)
    return out, np.where(np.isfinite(rest), np.maximum(rest, 0.0), 0.0)
