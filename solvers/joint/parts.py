"""Runs on the parts of a problem: a task graph alone, or an order alone."""

from __future__ import annotations

import dataclasses
from typing import Any

from dnnplan.costs.judged import TaskProblem
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import TaskSearch


def part_of(search: TaskSearch[Any], part: float) -> float:
    """That part of the seconds that are left, or of the units of work, where work is limited."""
    if search.settings.work_limit is not None:
        return part * search.remaining_work
    return search.share(part)


def run_part(
    part: TaskProblem, problem: str, search: TaskSearch[Any], seconds: float, *, start: Any = None
) -> TaskSearch[Any]:
    """Run the default solver of a part for some seconds (units of work, where work is limited) of the whole search.

    Parameters
    ----------
    part, problem
        The view of the part, and its kind: ``grouping`` or ``ordering``.
    start
        An answer to begin with.
    """
    by_work = search.settings.work_limit is not None
    settings = dataclasses.replace(
        search.settings,
        time_limit=search.remaining if by_work else min(seconds, search.remaining),
        work_limit=min(seconds, search.remaining_work) if by_work else None,
        warm_start=None,
        on_progress=None,
        stop=search.finished,
    )
    inner: TaskSearch[Any] = TaskSearch(part, settings, name=f"{search.name} ({problem})")
    if start is not None:
        inner.propose(start)
    get_solver("auto", problem).run(part, inner)
    search.work += inner.work
    if inner.interrupted and not search.finished():
        search.interrupted = True
    return inner
