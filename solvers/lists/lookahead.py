"""List scheduling by the communication-aware critical path: order by it, and look past the next layer."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.bounds import heads_and_tails, least_duration
from dnnplan.solvers.lists.heft import decode_list
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search


class Lookahead:
    """Layers by the least work that must follow them, each on the device of least end, or least end + tail.

    Tails are those of the communication-aware critical path (`bounds.heads_and_tails`): what PEFT's optimistic
    cost table (Arabnejad and Barbosa, IEEE TPDS 25(3), 2014) is to averages, without the averages. Where one network
    dominates, the second plan is often optimal.
    """

    summary = "list scheduling by communication-aware critical path, with and without lookahead"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose both plans."""
        for decisions in lookahead(problem):
            search.propose(decisions)


def lookahead(problem: MappingProblem) -> list[Decisions]:
    """The plans of both device rules."""
    arrays = problem.arrays
    _, tails = heads_and_tails(problem)
    order = tail_order(problem, tails)
    bias = np.where(np.isfinite(tails), tails, np.inf)
    plans = [decode_list(problem, arrays, order, bias=bias), decode_list(problem, arrays, order)]
    return [plan for plan in plans if plan is not None]


def tail_order(problem: MappingProblem, tails: FloatArray) -> IntArray:
    """Layers by decreasing least of work + tail over their devices; ties in topological order."""
    key = (least_duration(problem) + tails).min(axis=1)
    position = np.empty(problem.n, dtype=np.int64)
    position[list(problem.topological)] = np.arange(problem.n)
    order: IntArray = np.lexsort((position, -key)).astype(np.int64)
    return order
