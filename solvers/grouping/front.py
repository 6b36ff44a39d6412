"""Pareto fronts of two measures of task graphs, and the choice that the authors of Antler make on one."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from dnnplan.costs.judged import Judged
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import Criteria, criteria_for
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.instances import InputError
from dnnplan.solvers.grouping.labels import ROUNDING, Labels
from dnnplan.solvers.grouping.lattice import MOST_TASKS, Lattice, lattice_of, level_costs
from dnnplan.solvers.grouping.relaxation import Priced, priced

MOST_PRICES = 24
MOST_NUMBERS = 60_000_000
"""Prices of a front, and numbers that are kept for all of them together."""
NARROW = 0.4
"""The first pass looks at this part of what lies between the hull of the front and the points known."""
SAME = 1e-9
"""Relative: points closer than that are one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A task graph that no other one is known to beat in both measures.

    Parameters
    ----------
    measures
        All measures by name.
    groups
        The task graph, tasks as indices.
    proven
        Whether no task graph beats it.
    """

    measures: dict[str, float]
    groups: Groups
    proven: bool


def pareto_front_of(
    problem: GroupingProblem,
    first: str = "size",
    second: str = "variety",
    *,
    time_limit: float | None = 60.0,
    points: int = 16,
    keep_going: Callable[[], bool] = lambda: True,
) -> list[FrontPoint]:
    """Task graphs that trade one measure for another; limits are kept.

    All of them, but for those of the same figures, and proven for at most `MOST_TASKS` tasks: labels over the lattice
    of partitions (`dnnplan.solvers.grouping.labels`), bounded by the chains of least priced sums, whose prices are
    the slopes of the convex hull of the front (Aneja and Nair 1979).

    Parameters
    ----------
    first, second
        Two measures. The objective of the problem does not matter.
    time_limit
        Seconds; None: no limit.
    points
        With more tasks: how many limits on `first` are tried, from the one end of the front to the other
        (see `dnnplan.solvers.grouping.front_search`).
    keep_going
        Asked often; once it says False, what was found so far is returned, with nothing proven, as at the time limit.

    Returns
    -------
    Points by rising `first`; `second` falls. Empty if limits cannot be kept.

    Raises
    ------
    InputError
        Unknown measures, or one measure twice.

    Examples
    --------
    >>> from dnnplan.costs.sharing.grouping import grouping_problem
    >>> from dnnplan.instances.generators.sharing import task_sharing
    >>> front = pareto_front_of(grouping_problem(task_sharing(3, 2, seed=1)))
    >>> front[0].groups, front[-1].groups
    ((((0, 1, 2),), ((0, 1, 2),)), (((0,), (1,), (2,)), ((0,), (1,), (2,))))
    """
    for name in (first, second):
        if name not in MEASURES:
            raise InputError(f"{name}: not a measure of task graphs, expected two of {', '.join(MEASURES)}")
    if first == second:
        raise InputError(f"a front needs two measures, got {first} twice")
    if problem.levels == 0:
        judged = problem.judge(())
        return [point_of(judged, True)] if judged.feasible else []
    if problem.n > MOST_TASKS:
        from dnnplan.solvers.grouping.front_search import search_front

        return search_front(problem, (first, second), points, time_limit, keep_going)
    until = math.inf if time_limit is None else time.perf_counter() + time_limit
    return _Front(problem, (first, second), lambda: time.perf_counter() < until and keep_going()).points()


class _Front:
    """The search for one front: chains of partitions with their sums, of which none beats another."""

    def __init__(
        self, problem: GroupingProblem, names: tuple[str, str], keep_going: Callable[[], bool]
    ) -> None:
        limits = limits_of(problem)
        sums = [((name, 1.0),) for name in names]
        self.problem, self.keep_going = problem, keep_going
        self.criteria: Criteria = criteria_for(
            problem, [*sums, *(terms for terms, _ in limits)], [limit for _, limit in limits]
        )
        self.lattice: Lattice = lattice_of(problem.n)
        self.costs = level_costs(problem, self.criteria, self.lattice)
        self.limit = (
            self.criteria.limit - self.criteria.constant + ROUNDING * (1 + np.abs(self.criteria.limit))
        )
        self.scale = np.array([np.abs(cost).max(axis=1) for cost in self.costs]).sum(axis=0)
        self.found: list[tuple[FloatArray, list[int]]] = []

    def points(self) -> list[FrontPoint]:
        """Hull, a narrow pass for good points, and a pass over all that is left."""
        relaxed = self.hull()
        labels = Labels(self.lattice, self.costs, relaxed)
        done = self.keep_going()
        for part in (NARROW, 1.0):
            done = done and labels.run(self.thresholds(labels, relaxed, part), self.keep_going)
            if done:
                for label in labels.best():
                    self.add(labels.sums(label), partial(labels.chain, label))
        return [point_of(self.problem.judge(self.lattice.groups(chain)), done) for _, chain in self.found]

    def add(self, sums: FloatArray, chain: Callable[[], list[int]]) -> None:
        """Keep a chain unless another one is as good, and drop those that it beats."""
        room = SAME * self.scale[:2]
        if (sums[2:] > self.limit[2:]).any():
            return
        if any((kept[:2] <= sums[:2] + room).all() for kept, _ in self.found):
            return
        self.found = [one for one in self.found if not (sums[:2] <= one[0][:2] + room).all()]
        self.found.append((sums, chain()))
        self.found.sort(key=lambda one: float(one[0][0]))

    def hull(self) -> list[Priced]:
        """Chains of the convex hull, the widest gap between two neighbours first."""
        width = len(self.limit)
        most = int(min(MOST_PRICES, max(4, MOST_NUMBERS // (len(self.costs) * self.lattice.size))))
        relaxed = [self.price(price) for price in np.eye(width)]
        gaps = [(relaxed[0].sums[:2], relaxed[1].sums[:2])]
        while gaps and len(relaxed) < most and self.keep_going():
            gaps.sort(key=lambda gap: float(np.prod(np.abs(gap[1] - gap[0]))))
            left, right = gaps.pop()
            fall = left[1] - right[1], right[0] - left[0]
            if min(fall) <= 0:
                continue
            price = np.zeros(width)
            price[:2] = fall / np.array([self.scale[1], self.scale[0]]) / self.scale[:2]
            price /= price[1]
            relaxed.append(self.price(price))
            middle = relaxed[-1].sums[:2]
            if price[:2] @ middle < price[:2] @ left - SAME * (price[:2] @ self.scale[:2]):
                gaps += [(left, middle), (middle, right)]
        return relaxed

    def price(self, price: FloatArray) -> Priced:
        """The chain of least priced sum; kept if it is good."""
        one = priced(self.lattice, self.costs, price)
        self.add(one.sums, lambda: one.chain)
        return one

    def thresholds(self, labels: Labels, relaxed: Sequence[Priced], part: float) -> FloatArray:
        """What a chain must stay below at every price to be a new point: see `Labels.run`.

        A new point lies strictly below and left of one of the corners between neighbours. With `part` < 1 it must
        also stay in that part of the way from the hull to the corner, at the price that is nearest to the slope
        there.
        """
        corners = np.tile(self.limit, (len(self.found) + 1, 1))
        points = np.array([sums[:2] for sums, _ in self.found]).reshape(-1, 2)
        corners[:, 0] = [*points[:, 0], 2 * self.scale[0] + 1]
        corners[:, 1] = [2 * self.scale[1] + 1, *points[:, 1]]
        corners[:, :2] -= SAME * self.scale[:2]
        found = labels.thresholds(corners)
        mixed = [i for i, one in enumerate(relaxed) if one.price[0] > 0 and one.price[1] > 0]
        if part < 1 and mixed:
            hull = np.array([relaxed[i].value for i in mixed])
            nearest = np.argmin(found[mixed] - hull[:, None], axis=0)
            for j, place in enumerate(nearest):
                found[mixed[place], j] = hull[place] + part * (found[mixed[place], j] - hull[place])
        return found


def point_of(judged: Judged, proven: bool) -> FrontPoint:
    """A point of a front from a judged answer."""
    return FrontPoint(measures=judged.measures, groups=judged.decisions, proven=proven)


def crossing_point(
    front: Sequence[FrontPoint], first: str = "execution_cost", second: str = "variety"
) -> FrontPoint:
    """The point of a front that the authors of Antler choose: where variety, falling, and cost, rising, cross.

    As in their code (YuboLuo/smartswitch, see `docs/published-systems.md`): in the order of the front, variety is
    made to fall (running minimum) and cost to rise (running maximum), both are scaled to [0, 1], the first point is
    dropped, and of the rest that point is taken at which both are nearest to each other, the first of equal ones.

    Raises
    ------
    InputError
        The front is empty.

    Examples
    --------
    >>> def point(variety, cost):
    ...     return FrontPoint(measures={"variety": variety, "execution_cost": cost}, groups=(), proven=True)
    >>> crossing_point([point(4, 1), point(2, 2), point(1, 4), point(0, 5)]).measures["variety"]
    2
    """
    if not front:
        raise InputError("an empty front has no point to choose")
    variety = np.minimum.accumulate([point.measures[second] for point in front])
    costs = np.maximum.accumulate([point.measures[first] for point in front])
    apart = np.abs(_scaled(variety) - _scaled(costs))
    # A single point stays: there is nothing to drop it for.
    apart[0] = math.inf if len(front) > 1 else 0.0
    return front[int(np.argmin(apart))]


def _scaled(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / (high - low)) if high > low else np.zeros(len(values))
