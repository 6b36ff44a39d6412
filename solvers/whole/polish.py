"""Local search on the mapping that one task graph leaves."""

from __future__ import annotations

import dataclasses
import math

from dnnplan.costs import Decisions
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.bounds import CALLS
from dnnplan.solvers.local.turns import improve_for
from dnnplan.solvers.local.windows import improve_windows, suits_windows
from dnnplan.solvers.search import Search, TaskSearch
from dnnplan.solvers.whole.parts import run_mapping
from dnnplan.solvers.whole.start import propose_lists


def polish(
    problem: WholeProblem,
    search: TaskSearch[WholeProblem],
    groups: Groups,
    start: Decisions,
    seconds: float,
    *,
    seed: int,
    windows: bool = False,
) -> float | None:
    """Improve one mapping for some seconds (units of work, where work is limited), and propose the best.

    By compiled local search; where it does not cover the problem, by the default solver of mapping.

    Parameters
    ----------
    start
        The mapping to begin with; list schedules are proposed where it breaks limits.
    windows
        Whether the second half is exact search in windows of the plan, where that is possible.

    Returns
    -------
    The value of the plan with the best mapping; None where it breaks limits, or is not known.
    """
    if CALLS in problem.limits:
        run_mapping(problem, search, groups, seconds, start=start)
        return None
    by_work = search.settings.work_limit is not None
    settings = dataclasses.replace(
        search.settings,
        # The time of the whole search: whether compiled code is worth waiting for depends on it.
        time_limit=search.remaining if math.isfinite(search.remaining) else None,
        work_limit=seconds if by_work else None,
        seed=seed,
        warm_start=None,
        on_progress=None,
        stop=search.finished,
    )
    inner = Search(problem.mapping(groups), settings, name=f"{search.name} (mapping)")
    inner.propose(start)
    if inner.best is None:
        listed = propose_lists(problem, search, groups)
        return None if listed is None else listed[0]
    if not _improve(inner, seconds, windows=windows):
        run_mapping(problem, search, groups, seconds, start=start)
        return None
    search.work += inner.work
    judged = problem.judge((groups, inner.best))
    search.accept(judged)
    return judged.value if judged.feasible else None


def _improve(inner: Search, seconds: float, *, windows: bool) -> bool:
    """Local search on a mapping, the second half of the time in windows if asked for; False where there is none."""
    view, by_work = inner.problem, inner.settings.work_limit is not None
    windows = windows and suits_windows(view)
    part = seconds / 2 if windows else seconds
    if not improve_for(view, inner, part, part if by_work else math.inf):
        return False
    if windows and not inner.finished():
        if by_work:
            improve_windows(view, inner, work=inner.remaining_work)
        else:
            improve_windows(view, inner, until=inner.seconds + part, workers=inner.settings.workers)
    return True
