"""Exact search for the whole plan: one model of everything, and all task graphs, in turn."""

from __future__ import annotations

import math

from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.copies import supports
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.cpsat import solve_whole_cpsat
from dnnplan.solvers.whole.parts import FOREVER, seconds_of
from dnnplan.solvers.whole.task_graphs import Pool, can_enumerate, solve_task_graphs

FIRST_PART, FIRST_MOST, PARTS = 0.12, 5.0, (0.75, 0.5, 1.0)
"""Shares of the time left: for the one model at first (at most so many seconds, or units of work), then for task graphs
and the model in turn."""


def solve_whole_exactly(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
    """Search until optimality is proven or the limits are reached; nothing where there is no exact method.

    Many instances end within seconds in the one model; others, as those that pay for variety, in the task graphs one
    by one, which also cover every setting. Task graphs keep what they have proven from turn to turn.
    """
    listed, modelled = can_enumerate(problem), supports(problem) is None
    if not modelled:
        if listed:
            solve_task_graphs(problem, search)
        return
    if not listed:
        solve_whole_cpsat(problem, search)
        return
    if solve_whole_cpsat(problem, search, min(FIRST_MOST, seconds_of(search, FOREVER, FIRST_PART))):
        return
    pool: Pool | None = None
    for turn, part in enumerate(PARTS):
        if search.finished():
            return
        seconds = seconds_of(search, FOREVER, part) if part < 1 else math.inf
        if turn % 2 == 1:
            if pool is None or not pool.will_end(seconds_of(search, FOREVER, 1.0)):
                solve_whole_cpsat(problem, search, seconds)
        elif pool is None:
            pool = Pool(problem, search, seconds)
            if pool.begin():
                pool.run()
        else:
            pool.resume(seconds)
