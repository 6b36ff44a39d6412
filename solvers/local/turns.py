"""What is left of a run after exact search: local search and neighbourhoods, beside each other or in turn."""

from __future__ import annotations

import math
from typing import Any

from dnnplan.costs import MappingProblem
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.local.anneal import anneal_for, worth_compiling
from dnnplan.solvers.local.lns import improve
from dnnplan.solvers.local.local_search import KERNEL, LOADING_SECONDS, beside, improve_locally, ready
from dnnplan.solvers.search import Search, TaskSearch

PARTS_AT_ALL = 12_000
"""Possible (layer, device) pairs up to which neighbourhoods of the whole model are worth building it."""
TURN, SHORTEST_TURN, WORK_TURN = 0.08, 1.0, 0.1
"""Length of a turn by the time that is left, at least in seconds, and by the work that is left."""
LOCAL_SHARE = 0.5
"""Share of the time that local search has all threads for."""
LEAST_SHARE, LEARNING = 0.1, 0.5
"""Share of a round that each search has at least; how far one round moves the shares."""
FINEST = 1e-6
"""Units of work below which turns end."""


def improve_for(problem: MappingProblem, search: Search, seconds: float, work: float) -> bool:
    """Compiled search for some seconds, or that much work under a work limit; False where there is none or no time."""
    if problem.execution.memory == "live" or search.best is None:
        return False
    if walks(problem, search):
        improve_locally(problem, search, seconds, work=work)
        return True
    if not worth_compiling(search):
        return False
    anneal_for(problem, search, seconds, work)
    return True


def walks(problem: MappingProblem, search: Search) -> bool:
    """Whether local search over complete plans covers the problem, and its code is there or worth waiting for."""
    if problem.execution.memory == "live" or not ready(search):
        return False
    from dnnplan.solvers.local.networks import suits

    return suits(problem)


def walks_at_once(problem: MappingProblem, search: Search | TaskSearch[Any]) -> bool:
    """The same with code that is there already: nobody waits for the compiler, but for runs without a time limit."""
    if problem.execution.memory == "live" or not worth_waiting(search, KERNEL, math.inf, LOADING_SECONDS):
        return False
    from dnnplan.solvers.local.networks import suits

    return suits(problem)


def take_turns(problem: MappingProblem, search: Search) -> None:
    """Until the limits: local search in all threads, then windows in one of them; with one thread, in turn.

    Where windows do not time plans exactly, half of the time is local search; then come neighbourhoods of the whole
    model.
    """
    from dnnplan.solvers.local.windows import improve_windows, suits_windows

    if search.best is None or search.finished():
        return
    whole = problem.choices <= PARTS_AT_ALL
    if not walks(problem, search):
        if whole:
            improve_for(problem, search, 0.5 * search.remaining, 0.5 * search.remaining_work)
            improve(problem, search)
        else:
            improve_for(problem, search, search.remaining, math.inf)
        return
    if not suits_windows(problem):
        improve_locally(
            problem,
            search,
            (0.5 if whole else 1.0) * search.remaining,
            work=(0.5 if whole else 1.0) * search.remaining_work,
        )
        if whole:
            improve(problem, search)
        return
    if search.settings.work_limit is not None:
        _by_work(problem, search)
    elif search.settings.workers >= 2:
        if math.isfinite(search.remaining):
            improve_locally(problem, search, LOCAL_SHARE * search.remaining)
        beside(problem, search, lambda: improve_windows(problem, search), search.settings.workers - 1)
    else:
        _by_time(problem, search)


def _by_work(problem: MappingProblem, search: Search) -> None:
    """Turns of equal work, whatever the clock says."""
    from dnnplan.solvers.local.windows import improve_windows

    while not search.finished() and search.remaining_work > FINEST:
        turn = max(WORK_TURN * search.remaining_work, FINEST)
        improve_locally(problem, search, work=turn)
        improve_windows(problem, search, work=turn)


def _by_time(problem: MappingProblem, search: Search) -> None:
    """Turns whose lengths follow what each search gained a second in the last ones."""
    from dnnplan.solvers.local.windows import improve_windows

    share = 0.5
    while not search.finished():
        turn = (
            max(TURN * search.remaining, SHORTEST_TURN) if math.isfinite(search.remaining) else SHORTEST_TURN
        )
        rates: list[float] = []
        for part in (share, 1.0 - share):
            before, began = search.value or 0.0, search.seconds
            if rates:
                improve_windows(problem, search, until=began + 2 * part * turn)
            else:
                improve_locally(problem, search, 2 * part * turn, workers=1)
            gained = before - (search.value or 0.0)
            rates.append(gained / max(search.seconds - began, 1e-3))
            if search.finished():
                return
        if sum(rates) > 0:
            goal = rates[0] / sum(rates)
            share += LEARNING * (min(max(goal, LEAST_SHARE), 1.0 - LEAST_SHARE) - share)
