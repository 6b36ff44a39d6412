"""CPOP: critical path on a processor."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.solvers.kernels.list_schedule import upward_ranks
from dnnplan.solvers.kernels.ranks import downward_ranks
from dnnplan.solvers.lists.heft import decode_list, fast, mean_delays, mean_times
from dnnplan.solvers.lists.peft import ready_order
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search

SAME = 1e-9
"""Relative difference up to which priorities count as equal."""


class Cpop:
    """Ready layers by upward + downward rank; those of the critical path share the device that runs them fastest.

    Topcuoglu, Hariri, Wu (IEEE TPDS 13(3), 2002), section 4.2, with insertion. If some critical layer cannot run on the
    common device, it is placed like the others.
    """

    summary = "critical path on a processor (Topcuoglu et al. 2002)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the CPOP plan."""
        decisions = cpop(problem)
        if decisions is not None:
            search.propose(decisions)


def cpop(problem: MappingProblem) -> Decisions | None:
    """The plan of CPOP; None if pinned weights leave some layer without room."""
    arrays = problem.arrays
    if problem.n == 0:
        return decode_list(problem, arrays, np.zeros(0, dtype=np.int64))
    topological = np.array(problem.topological, dtype=np.int64)
    mean, delays = mean_times(problem), mean_delays(problem, arrays)
    priority = fast(upward_ranks, problem)(arrays, topological, mean, delays)
    priority = priority + fast(downward_ranks, problem)(arrays, topological, mean, delays)
    path = critical_layers(problem, priority)
    able = np.isfinite(problem.duration[path])
    # The device that runs most of the path, and of these the fastest.
    seconds = np.where(able, problem.duration[path], 0.0).sum(axis=0)
    device = int(np.lexsort((seconds, -able.sum(axis=0)))[0])
    forced = np.full(problem.n, -1, dtype=np.int64)
    forced[[i for i in path if np.isfinite(problem.duration[i, device])]] = device
    order = ready_order(problem, priority)
    plan = decode_list(problem, arrays, order, forced=forced)
    return plan if plan is not None else decode_list(problem, arrays, order)


def critical_layers(problem: MappingProblem, priority: FloatArray) -> list[int]:
    """One path of layers of the highest priority, from a layer without producer, the first of equals."""
    first, readers = problem.reader_offsets
    inner = np.bincount(readers, minlength=problem.n) > 0
    highest = float(priority[~inner].max())
    i = int(np.flatnonzero(~inner & (priority >= highest * (1 - SAME)))[0])
    path = [i]
    while first[i] < first[i + 1]:
        later = readers[first[i] : first[i + 1]]
        i = int(later[int(np.argmax(priority[later] >= priority[later].max() * (1 - SAME)))])
        if priority[i] < highest * (1 - 1e3 * SAME):
            break
        path.append(i)
    return path
