"""Simple plans that exact solvers start from."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.solvers.constructive import compute_first, single_device
from dnnplan.solvers.heft import heft
from dnnplan.solvers.search import Search


def propose_simple_plans(problem: MappingProblem, search: Search) -> None:
    """HEFT, compute-first, and every single device, until the limits."""
    decisions = heft(problem)
    if decisions is not None:
        search.propose(decisions)
    if search.finished():
        return
    search.propose(compute_first(problem))
    for device in range(problem.m):
        if search.finished():
            return
        search.propose(single_device(problem, device))
