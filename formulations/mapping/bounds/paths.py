"""Critical paths, with and without communication; and the least time before and after every layer."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY, Bound


def least_duration(problem: MappingProblem) -> FloatArray:
    """(n, m) the least a call takes from the begin of its compute or load to its end of compute.

    Streamed weights are loaded by every call: beside the compute with overlap, before it without.
    """
    if not problem.host or problem.execution.weights != "streamed":
        return problem.duration
    if problem.execution.overlap:
        return np.maximum(problem.duration, problem.load)
    return problem.duration + problem.load


def delays(problem: MappingProblem, tensor: int, reader: int, *, after_call: bool) -> FloatArray:
    """(m, m) least time from the end of the producer on a to the begin of the reader's work on b.

    Host staging: write and read, unless both are on one device, where the tensor can be kept. `after_call`: from
    the end of the producer's call, which without overlap includes its write.
    """
    m = problem.m
    if problem.execution.staging == "direct":
        delays = problem.move[tensor, :m, :m].copy()
    else:
        size = least_read(problem, tensor)
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
                    begin = (heads[i] + work[i])[:, None] + delays(problem, k, j, after_call=False)
                    np.maximum(heads[j], begin.min(axis=0), out=heads[j])
                elif problem.host:
                    np.maximum(heads[j], problem.tensor_release[k] + from_host(problem, k, j), out=heads[j])
        for i in reversed(order):
            for k in problem.outputs[i]:
                for j in problem.readers[k]:
                    after = delays(problem, k, j, after_call=True) + (work[j] + tails[j])[None, :]
                    np.maximum(tails[i], after.min(axis=1), out=tails[i])
                if problem.output[k] and problem.host and outputs_move_after(problem):
                    np.maximum(tails[i], problem.move[k, : problem.m, problem.m], out=tails[i])
    return heads, tails


def least_read(problem: MappingProblem, tensor: int) -> float:
    """The fewest bytes that a reader fetches: a copy kept on a device may have been read by any of them."""
    return min(problem.read_sizes[tensor, i] for i in problem.readers[tensor])


def from_host(problem: MappingProblem, tensor: int, reader: int) -> FloatArray:
    """(m,) least seconds in which an input comes from the host to each device."""
    if problem.execution.staging == "direct":
        return problem.move[tensor, problem.m, : problem.m]
    size = least_read(problem, tensor)
    return np.array([problem.read_seconds(tensor, d, size) for d in range(problem.m)])


def outputs_move_after(problem: MappingProblem) -> bool:
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
