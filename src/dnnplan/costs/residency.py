"""How many bytes are in each memory at every moment of a plan (docs/cost-model.md, section 5)."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.calls import CallGraph
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.timeline import Times

Span = tuple[int, float, float, float]


def memory_peaks(graph: CallGraph, times: Times) -> FloatArray:
    """Peak bytes of each memory: pinned weights plus what is resident, at the worst moment."""
    problem = graph.problem
    peaks = pinned_bytes(graph)
    spans = _call_spans(graph, times) + _tensor_spans(graph, times)
    if not spans:
        return peaks
    memory, begin, end, size = (np.array(column) for column in zip(*spans, strict=True))
    keep = (end > begin) & (size > 0)
    memory, begin, end, size = memory[keep].astype(int), begin[keep], end[keep], size[keep]
    moments = np.concatenate([end, begin])
    changes = np.concatenate([-size, size])
    place = np.concatenate([memory, memory])
    # Half-open moments: at equal times what ends leaves (first half, stable sort) before what begins arrives.
    order = np.argsort(moments, kind="stable")
    for index in range(len(problem.memory_names)):
        steps = changes[order][place[order] == index]
        if len(steps):
            peaks[index] += max(0.0, float(np.cumsum(steps).max()))
    return peaks


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
    problem = graph.problem
    direct = problem.execution.staging == "direct"
    overlap = problem.execution.overlap
    m = problem.m
    memory_of, size = problem.memory_of.tolist(), problem.size.tolist()
    zero_copy = problem.routes.zero_copy.tolist()
    kept = graph.decisions.kept
    arrivals: dict[tuple[int, int], tuple[float, float, float]] = {}
    leaves: dict[int, float] = {}
    for t in times.transfers:
        if t.kind == "load":
            continue
        if t.target < m and not (t.kind == "read" and (t.tensor, t.target) not in kept):
            begin = t.start if overlap else times.start[t.call]
            arrivals.setdefault((t.tensor, t.target), (begin, t.end, t.bytes))
        if t.source < m:
            leaves[t.tensor] = max(leaves.get(t.tensor, 0.0), t.end)
    spans: list[Span] = []
    if not direct:
        for t in times.transfers:
            if t.kind == "read" and (t.tensor, t.target) not in kept:
                begin = t.start if overlap else times.start[t.call]
                spans.append((memory_of[t.target], begin, times.end[t.call], t.bytes))
    device, end = graph.device, times.end
    for k, p in enumerate(graph.producer):
        home = device[p] if p >= 0 else m
        until = max(end[p], leaves.get(k, 0.0)) if p >= 0 else 0.0
        last: dict[int, float] = {}
        for c in graph.reader_calls[k]:
            d = device[c]
            stays = direct or (k, d) in kept
            if stays and p >= 0 and (d == home or (direct and zero_copy[home][d])):
                until = max(until, end[c])
            elif stays:
                last[d] = max(last.get(d, 0.0), end[c])
        if p >= 0 and (graph.reader_calls[k] or problem.output[k] or len(graph.decisions.calls) == problem.n):
            spans.append((memory_of[home], times.start[p], until, size[k]))
        for d, time in last.items():
            if (k, d) in arrivals:
                begin, arrived, held = arrivals[k, d]
                spans.append((memory_of[d], begin, max(time, arrived), held))
    return spans
