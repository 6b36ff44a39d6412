"""Fronts of many tasks: one search for each limit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.instances import InputError
from dnnplan.solvers.grouping.auto import Auto
from dnnplan.solvers.grouping.baselines import shared_up_to
from dnnplan.solvers.grouping.front import FrontPoint, point_of
from dnnplan.solvers.search import Settings, TaskSearch


def search_front(
    problem: GroupingProblem,
    names: tuple[str, str],
    points: int,
    time_limit: float | None,
    keep_going: Callable[[], bool],
) -> list[FrontPoint]:
    """Points of least second measure under even limits on the first (epsilon constraints, Haimes et al. 1971).

    A point is proven where its search proved that no task graph within the same limit has less of the second measure.

    Raises
    ------
    InputError
        Fewer than two points.
    """
    if points < 2:
        raise InputError(f"points: {points}, expected at least 2 (the two ends)")
    first, second = names
    ends = [problem.measures(shared_up_to(problem, levels))[first] for levels in (0, problem.levels)]
    began, found = time.perf_counter(), list[FrontPoint]()
    for number, limit in enumerate(np.linspace(min(ends), max(ends), points).tolist()):
        left = None if time_limit is None else time_limit - (time.perf_counter() - began)
        if (left is not None and left <= 0) or not keep_going():
            break
        share = None if left is None else left / (points - number)
        view = dataclasses.replace(
            problem,
            stages=(((second, 1.0),),),
            limits={**problem.limits, first: min(limit, problem.limits.get(first, limit))},
        )
        settings = Settings(time_limit=share, stop=lambda: not keep_going())
        search: TaskSearch[GroupingProblem] = TaskSearch(view, settings, name="auto")
        for point in found:
            search.propose(point.groups)
        Auto().run(view, search)
        if search.best is not None:
            found.append(point_of(search.best, search.proved))
    return _not_beaten(found, names)


def _not_beaten(found: list[FrontPoint], names: tuple[str, str]) -> list[FrontPoint]:
    """The points that no other one beats, by rising first measure."""
    kept: list[FrontPoint] = []
    for point in sorted(found, key=lambda point: tuple(point.measures[name] for name in names)):
        if not kept or point.measures[names[1]] < kept[-1].measures[names[1]]:
            kept.append(point)
    return kept
