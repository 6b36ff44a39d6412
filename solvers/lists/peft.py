"""PEFT: predict earliest finish time."""

from __future__ import annotations

import heapq

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.ranks import optimistic_costs
from dnnplan.solvers.lists.heft import decode_list, fast, mean_delays
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search


class Peft:
    """Ready layers by the mean of their optimistic costs; each on the device of least end + optimistic cost.

    Arabnejad, Barbosa (IEEE TPDS 25(3), 2014), section 4, with insertion. Mean delays are taken over pairs of devices
    that have a route. Transfers under host staging, without overlap or with contention are scheduled as plain delays.
    """

    summary = "predict earliest finish time: optimistic cost table (Arabnejad and Barbosa 2014)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the PEFT plan."""
        decisions = peft(problem)
        if decisions is not None:
            search.propose(decisions)


def peft(problem: MappingProblem) -> Decisions | None:
    """The plan of PEFT; None if pinned weights leave some layer without room."""
    arrays = problem.arrays
    topological = np.array(problem.topological, dtype=np.int64)
    table = fast(optimistic_costs, problem)(arrays, topological, mean_delays(problem, arrays))
    able = np.isfinite(problem.duration)
    finite = np.isfinite(table)
    rank = np.where(able & finite, table, 0.0).sum(axis=1) / np.maximum((able & finite).sum(axis=1), 1)
    order = ready_order(problem, rank)
    return decode_list(problem, arrays, order, bias=np.where(finite, table, 0.0))


def ready_order(problem: MappingProblem, priority: FloatArray) -> IntArray:
    """All layers, at each step the ready one of highest priority, ties in topological order."""
    first, later = waiting_lists(problem)
    heads, readers = first.tolist(), later.tolist()
    waiting = np.bincount(later, minlength=problem.n).tolist()
    position = np.empty(problem.n, dtype=np.int64)
    position[list(problem.topological)] = np.arange(problem.n)
    where, wish = position.tolist(), priority.tolist()
    heap = [(-wish[i], where[i], i) for i in range(problem.n) if waiting[i] == 0]
    heapq.heapify(heap)
    order: list[int] = []
    while heap:
        i = heapq.heappop(heap)[2]
        order.append(i)
        for j in readers[heads[i] : heads[i + 1]]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(heap, (-wish[j], where[j], j))
    return np.array(order, dtype=np.int64)


def waiting_lists(problem: MappingProblem) -> tuple[IntArray, IntArray]:
    """(n + 1,) and (e,): the layers that wait for each layer, by tensors and by tasks that wait for tasks."""
    if not problem.precedences:
        return problem.reader_offsets
    last = [np.flatnonzero(problem.job_of == job) for job in range(len(problem.jobs))]
    pairs = [
        np.stack([np.repeat(last[a], len(last[b])), np.tile(last[b], len(last[a]))], axis=1)
        for a, b in problem.precedences
    ]
    edges = np.concatenate([problem.edges[:, 1:3], *pairs]).astype(np.int64)
    counts = np.bincount(edges[:, 0], minlength=problem.n)
    return (
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        edges[np.argsort(edges[:, 0], kind="stable"), 1].copy(),
    )
