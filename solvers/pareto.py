"""Pareto fronts of two objectives by the epsilon-constraint method (Haimes, Lasdon and Wismer 1971).

One end is the best plan for the first objective, the other the best for the second. Between them the range
of the second objective is cut into equal steps; each step becomes a limit under which the first is minimised.
Every point carries the bound and gap of its own search: where its gap is 0, no plan under the same limit is
better in the first objective.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from numbers import Integral
from typing import Any

from dnnplan.costs.objectives import measure
from dnnplan.instances import InputError, Instance, Plan, Result
from dnnplan.instances.arguments import require_instance, require_search
from dnnplan.instances.wording import show
from dnnplan.solvers.facade import solve

TOLERANCE = 1e-6
"""Relative: a limit is this much looser than its step, and points closer than it are one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParetoPoint:
    """One plan of a front: its two values, the limit on the second it was found under, and its result."""

    first: float
    second: float
    limit: float | None
    result: Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParetoFront:
    """Plans none of which is better in both objectives.

    Parameters
    ----------
    objectives
        Names of the first and the second objective.
    step
        Distance between the limits on the second objective, in its unit; 0 where one plan is best in both.
    points
        In the order of the first objective.
    failed
        Results of the searches that ended without a plan.
    """

    objectives: tuple[str, str]
    step: float
    points: tuple[ParetoPoint, ...]
    failed: tuple[Result, ...] = ()


def pareto_front(
    instance: Instance,
    first: str,
    second: str,
    *,
    points: int = 8,
    solver: str = "auto",
    time_limit: float | None = 60.0,
    limits: Mapping[str, float] | None = None,
    warm_start: Plan | None = None,
    **options: Any,
) -> ParetoFront:
    """Find plans that trade one objective for another.

    Parameters
    ----------
    first, second
        Names of two objectives, e.g. ``latency`` and ``energy``.
    points
        Searches, the two ends included; the front may hold fewer.
    time_limit
        Seconds for all searches together, in equal shares; None: no limit.
    limits, warm_start, options
        As in `solve`.

    Raises
    ------
    InputError
        Fewer than two points, or one objective twice.
    UnsupportedError
        The solver does not optimise one of the two.
    """
    require_instance(instance)
    require_search(time_limit=time_limit, warm_start=warm_start)
    if not isinstance(points, Integral) or points < 2:
        raise InputError(f"points: {show(points)}, expected at least 2 (the two ends)")
    if first == second:
        raise InputError(f"a Pareto front needs two objectives, got {first} twice")
    run = _Runs(
        instance,
        (first, second),
        {**options, "solver": solver, "time_limit": None if time_limit is None else time_limit / points},
        dict(limits or {}),
    )
    best_first = run.search(f"{first}>{second}", None, warm_start)
    best_second = run.search(f"{second}>{first}", None, warm_start)
    if best_first is None or best_second is None:
        return ParetoFront(objectives=(first, second), step=0.0, points=run.front(), failed=tuple(run.failed))
    step = (best_first.second - best_second.second) / (points - 1)
    if step > TOLERANCE * abs(best_first.second):
        for i in range(1, points - 1):
            if run.interrupted:
                break
            run.search(first, best_first.second - i * step, None)
    return ParetoFront(
        objectives=(first, second), step=max(0.0, step), points=run.front(), failed=tuple(run.failed)
    )


def figure_of(result: Result, name: str) -> float:
    """A figure of an answer by the name of its objective."""
    if name in result.measures:
        return float(result.measures[name])
    assert result.cost is not None
    return float(measure(name, result.cost))


def knee_point(front: ParetoFront) -> ParetoPoint | None:
    """The point that is farthest below the chord between the two ends, both objectives scaled to 0 to 1 (ours).

    Where no point lies below the chord it is the first end; None for a front without points.

    Examples
    --------
    >>> knee_point(ParetoFront(objectives=("latency", "energy"), step=0.0, points=())) is None
    True
    """
    if not front.points:
        return None
    first, last = front.points[0], front.points[-1]
    wide, high = last.first - first.first, first.second - last.second

    def below(point: ParetoPoint) -> float:
        if wide <= 0 or high <= 0:
            return 0.0
        return 1.0 - (point.first - first.first) / wide - (point.second - last.second) / high

    return max(front.points, key=lambda point: (below(point), point is first))


class _Runs:
    """The searches of one front, each starting from the best plan that keeps its limit."""

    def __init__(
        self, instance: Instance, names: tuple[str, str], options: dict[str, Any], limits: dict[str, float]
    ) -> None:
        self.instance, self.names = instance, names
        self.options, self.limits = options, limits
        self.found: list[ParetoPoint] = []
        self.failed: list[Result] = []
        self.interrupted = False

    def search(self, objective: str, limit: float | None, warm_start: Plan | None) -> ParetoPoint | None:
        limits = dict(self.limits)
        if limit is not None:
            own = limits.get(self.names[1], float("inf"))
            limits[self.names[1]] = min(own, limit * (1 + TOLERANCE))
            known = [p for p in self.found if p.second <= limit]
            warm_start = min(known, key=lambda p: p.first).result.plan if known else warm_start
        result = solve(
            self.instance, objective=objective, limits=limits, warm_start=warm_start, **self.options
        )
        self.interrupted = self.interrupted or result.stop_reason == "interrupted"
        if (result.cost is None and not result.measures) or not result.valid:
            self.failed.append(result)
            return None
        values = [figure_of(result, name) for name in self.names]
        point = ParetoPoint(first=values[0], second=values[1], limit=limit, result=result)
        self.found.append(point)
        return point

    def front(self) -> tuple[ParetoPoint, ...]:
        """The points that no other one beats, the best of the first objective first."""
        kept: list[ParetoPoint] = []
        for point in sorted(self.found, key=lambda p: (p.first, p.second)):
            if not kept or point.second < kept[-1].second * (1 - TOLERANCE):
                kept.append(point)
        return tuple(kept)
