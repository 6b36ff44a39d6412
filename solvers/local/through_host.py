"""What `auto` does under host staging without overlap: local search, exact search and bounds in turn."""

from __future__ import annotations

import math

from dnnplan.costs import MappingProblem
from dnnplan.solvers.exact.cpsat import solve_exactly
from dnnplan.solvers.exact.relaxed import bound_by_relaxation
from dnnplan.solvers.local.host_search import host_search_is_ready, search_host
from dnnplan.solvers.local.lns import improve
from dnnplan.solvers.search import Search

EXACT_AT_ALL, PARTS_AT_ALL = 1_200, 12_000
"""Layers x devices up to which CP-SAT searches the whole model, or only neighbourhoods."""
FIRST_SECONDS, SECOND_SECONDS = 0.002, 0.008
"""Seconds of the first two local searches, by layer and device."""
EXACT_SHARE, BOUND_SHARE, LAST_EXACT_SHARE = 0.25, 0.3, 0.6
LOCAL_SHARES, LARGE_SHARE = (0.1, 0.15, 0.4), 0.8
"""Shares of what is left of the time for CP-SAT and the relaxation, for each local search, and for the last of them
where the whole model is too large for CP-SAT."""
LEAST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
"""Seconds below which CP-SAT is not begun again, and of the longest local search at a time."""


def plan_through_host(problem: MappingProblem, search: Search) -> None:
    """Improve and prove the incumbent until the limits.

    A short local search finds plans that CP-SAT proves at once where the streams of layers are few; where it does not,
    local search goes on, then the linear relaxation, then both searches in turn.
    """
    size = problem.n * problem.m
    unlimited = search.settings.time_limit is None
    local_search(problem, search, LOCAL_SHARES[0], FIRST_SECONDS * size)
    if size <= EXACT_AT_ALL and not search.finished():
        solve_exactly(problem, search, time_limit=None if unlimited else EXACT_SHARE * search.remaining)
    local_search(problem, search, LOCAL_SHARES[1], SECOND_SECONDS * size)
    bound_by_relaxation(problem, search, share=BOUND_SHARE)
    while not search.finished():
        local_search(problem, search, LOCAL_SHARES[2] if size <= EXACT_AT_ALL else LARGE_SHARE, math.inf)
        ready = host_search_is_ready(search)
        enough = search.remaining > (LEAST_SECONDS if ready else 0.0) and not search.finished()
        if enough and size <= EXACT_AT_ALL:
            share = LAST_EXACT_SHARE if ready else 1.0
            limit = None if unlimited else share * search.remaining
            solve_exactly(problem, search, time_limit=limit)
        elif enough and size <= PARTS_AT_ALL:
            improve(problem, search)
        if unlimited:
            return
        if not enough or not ready:
            local_search(problem, search, 1.0, math.inf)
            return


def local_search(problem: MappingProblem, search: Search, share: float, seconds: float) -> None:
    """Local search for a share of the time left and at most some seconds, or for a share of the work left."""
    if search.finished() or not host_search_is_ready(search):
        return
    if search.settings.work_limit is not None:
        search_host(problem, search, math.inf, work=share * search.remaining_work)
    else:
        search_host(problem, search, min(share * search.remaining, seconds, LONGEST_SECONDS))
