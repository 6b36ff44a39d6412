"""Simple plans that exact solvers start from."""

from __future__ import annotations

from dnnplan.costs import MappingProblem
from dnnplan.solvers.lists.constructive import compute_first, single_device
from dnnplan.solvers.lists.cpop import cpop
from dnnplan.solvers.lists.frugal import propose_frugal_plans
from dnnplan.solvers.lists.heft import heft
from dnnplan.solvers.lists.lookahead import lookahead
from dnnplan.solvers.lists.peft import peft
from dnnplan.solvers.lists.priced import propose_priced_plans
from dnnplan.solvers.search import Search

LEISURE = 3.0
"""Seconds left from which further list schedules are made."""


def propose_simple_plans(problem: MappingProblem, search: Search) -> None:
    """List schedules, compute-first, every single device, and frugal plans if none of these fits; until the limits."""
    for decisions in (*lookahead(problem), heft(problem)):
        if decisions is not None:
            search.propose(decisions)
    if search.finished():
        return
    if search.remaining > LEISURE:
        propose_priced_plans(problem, search)
        for decisions in (peft(problem), cpop(problem)):
            if decisions is not None:
                search.propose(decisions)
    search.propose(compute_first(problem))
    for device in range(problem.m):
        if search.finished():
            return
        search.propose(single_device(problem, device))
    if search.best is None and problem.execution.memory != "none":
        propose_frugal_plans(problem, search)
