"""How many bytes are in each memory at every moment of a plan (docs/cost-model.md, section 5)."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.calls import CallGraph
from dnnplan.costs.fast import peak_levels
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.timeline import Times, Transfer

Span = tuple[int, float, float, float]


def memory_peaks(graph: CallGraph, times: Times) -> FloatArray:
    """Peak bytes of each memory: pinned weights plus what is resident, at the worst moment."""
    peaks = pinned_bytes(graph)
    spans = _call_spans(graph, times) + _tensor_spans(graph, times)
    if not spans:
        return peaks
    memory, begin, end, size = (np.array(column) for column in zip(*spans, strict=True))
    keep = (end > begin) & (size > 0)
    levels = peak_levels(memory[keep].astype(np.int64), begin[keep], end[keep], size[keep], len(peaks))
    return peaks + levels


def memory_levels(graph: CallGraph, times: Times) -> list[tuple[FloatArray, FloatArray]]:
    """For each memory the moments (seconds) at which what it holds changes, and the bytes from then on.

    The first moment is 0 with the pinned weights; what ends at a moment is gone at it.
    """
    pinned = pinned_bytes(graph)
    spans = [s for s in _call_spans(graph, times) + _tensor_spans(graph, times) if s[2] > s[1] and s[3] > 0]
    levels = []
    for memory, base in enumerate(pinned.tolist()):
        changes: dict[float, float] = {0.0: 0.0}
        for where, begin, end, size in spans:
            if where == memory:
                changes[begin] = changes.get(begin, 0.0) + size
                changes[end] = changes.get(end, 0.0) - size
        moments = sorted(changes)
        steps = np.cumsum([changes[moment] for moment in moments])
        levels.append((np.array(moments), base + steps))
    return levels


def pinned_bytes(graph: CallGraph) -> FloatArray:
    """Bytes of the weights pinned in each memory."""
    problem = graph.problem
    size = {int(w): float(b) for w, b in zip(problem.weight_of, problem.weight_bytes, strict=True)}
    total = np.zeros(len(problem.memory_names))
    for d, weights in enumerate(graph.decisions.pinned):
        total[problem.memory_of[d]] += sum(size[w] for w in sorted(weights))
    return total


def _call_spans(graph: CallGraph, times: Times) -> list[Span]:
    """Workspace, unpinned weights and inner tensors of each call while it runs."""
    problem, spans = graph.problem, []
    memory_of = problem.memory_of.tolist()
    workspace, size = problem.workspace.tolist(), problem.size.tolist()
    several = len(graph.decisions.calls) != problem.n
    for c, layers in enumerate(graph.decisions.calls):
        held = max(workspace[i] for i in layers) + graph.load_bytes[c]
        if several:
            leaving = set(graph.produced[c])
            held += sum(size[k] for i in layers for k in problem.outputs[i] if k not in leaving)
        if held > 0:
            spans.append((memory_of[graph.device[c]], times.start[c], times.end[c], held))
    return spans


def _tensor_spans(graph: CallGraph, times: Times) -> list[Span]:
    """One span for each copy of each tensor."""
    moved: dict[int, list[tuple[Transfer, bool]]] = {}
    for t in times.transfers:
        if t.tensor >= 0:
            moved.setdefault(t.tensor, []).append((t, False))
    for t in times.free:
        moved.setdefault(t.tensor, []).append((t, True))
    spans: list[Span] = []
    inside = len(graph.decisions.calls) != graph.problem.n
    output = graph.problem.output.tolist()
    for k, p in enumerate(graph.producer):
        transfers = moved.get(k, [])
        shared = (
            _zero_copy_readers(graph, k, transfers) if p >= 0 and any(free for _, free in transfers) else []
        )
        if p >= 0 and (graph.reader_calls[k] or output[k] or not inside):
            spans.append(_home_span(graph, times, k, transfers, shared))
        for t, free in transfers:
            calls = _users(graph, k, t) if t.kind != "write" else []
            if calls and not (free and (p < 0 or calls[0] in shared)):
                begin = t.start if graph.problem.execution.overlap else times.start[t.call]
                until = max(times.end[c] for c in calls)
                spans.append((int(graph.problem.memory_of[t.target]), begin, until, t.bytes))
    return spans


def _users(graph: CallGraph, tensor: int, transfer: Transfer) -> list[int]:
    """The calls that use the copy which a transfer brings to its target."""
    if transfer.kind == "read" and (tensor, transfer.target) not in graph.decisions.kept:
        return [transfer.call]
    return [c for c in graph.reader_calls[tensor] if graph.device[c] == transfer.target]


def _zero_copy_readers(graph: CallGraph, tensor: int, transfers: list[tuple[Transfer, bool]]) -> list[int]:
    """Calls elsewhere that use the producer's own copy, reached without moving it."""
    if any(t.kind == "write" and not free for t, free in transfers):
        return []
    return [c for t, free in transfers if free and t.kind != "write" for c in _users(graph, tensor, t)]


def _home_span(
    graph: CallGraph, times: Times, tensor: int, transfers: list[tuple[Transfer, bool]], shared: list[int]
) -> Span:
    """The copy where a tensor is made: to the last of its producer, its transfers away, and its readers there."""
    problem, p = graph.problem, graph.producer[tensor]
    home = graph.device[p]
    until = times.end[p]
    for t, _ in transfers:
        if t.source == home or (t.source == problem.m and problem.host_device == home):
            until = max(until, t.end)
    if problem.execution.staging == "direct" or (tensor, home) in graph.decisions.kept:
        shared = shared + [c for c in graph.reader_calls[tensor] if graph.device[c] == home]
    for c in shared:
        until = max(until, times.end[c])
    return (int(problem.memory_of[home]), times.start[p], until, float(problem.size[tensor]))
