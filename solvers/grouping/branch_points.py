"""Which of many branch points to use: every choice is judged by its front."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.instances import InputError
from dnnplan.solvers.grouping.front import FrontPoint, pareto_front_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchPoints:
    """A choice of branch points.

    Parameters
    ----------
    points
        Their numbers, rising, from 0.
    score
        Weighted sum of variety and cost over the budgets, to be minimised.
    front
        The front of size and variety with these branch points alone.
    complete
        Whether all choices were looked at, and all fronts are exact.
    """

    points: tuple[int, ...]
    score: float
    front: tuple[FrontPoint, ...]
    complete: bool


def choose_branch_points(
    problem: GroupingProblem,
    count: int = 3,
    variety_weight: float = 50.0,
    cost_weight: float = 1.0,
    *,
    last_parts: bool = True,
    keep_going: Callable[[], bool] = lambda: True,
) -> BranchPoints:
    """The branch points of least variety and cost, of all choices of `count` of L.

    As in the code of the authors of Antler (YuboLuo/smartswitch; Luo et al. 2023), where the weights are 50 and 1:
    for each choice, for each size that a task graph can have (a budget), the task graph of least variety within the
    budget is taken, and its weighted variety and execution cost are added up over the budgets. Theirs average the
    cost over ten random orders, ours is the mean over all.

    Parameters
    ----------
    count
        Number of branch points to choose.
    variety_weight, cost_weight
        Weights of variety and execution cost.
    last_parts
        At the last chosen branch point all tasks part, as in Antler: there a choice of three has two partitions, and
        what lies behind the third is private. False: there is a partition at each chosen branch point.

    Raises
    ------
    InputError
        Not so many branch points, or too many tasks for exact fronts.
    """
    if not 1 <= count <= problem.levels:
        raise InputError(f"count: {count}, expected 1 to {problem.levels}, the number of branch points")
    best: BranchPoints | None = None
    complete = True
    for points in itertools.combinations(range(problem.levels), count):
        if best is not None and not keep_going():
            complete = False
            break
        front = pareto_front_of(
            at_branch_points(problem, points, last_parts=last_parts), keep_going=keep_going
        )
        complete = complete and all(point.proven for point in front)
        score = over_budgets(front, budgets_of(problem, points, last_parts), variety_weight, cost_weight)
        if best is None or score < best.score:
            best = BranchPoints(points=points, score=score, front=tuple(front), complete=True)
    assert best is not None
    return dataclasses.replace(best, complete=complete)


def at_branch_points(
    problem: GroupingProblem, points: Sequence[int], *, last_parts: bool = True
) -> GroupingProblem:
    """The problem in which tasks part at the chosen branch points alone; limits are left out.

    What lies before the first chosen branch point joins the stem, what lies between two of them is one block, and
    what lies behind the last one, if all tasks part there, joins the head. Figures of joined blocks are added up task
    by task.
    """
    start = problem.rows.start
    levels = points[:-1] if last_parts else points
    ends = [*points, problem.levels]
    parts = [slice(0, start + points[0])]
    parts += [slice(start + ends[x], start + ends[x + 1]) for x in range(len(levels))]
    last = start + ends[len(levels)]
    parts.append(slice(last, len(problem.costs.bytes)))

    def joined(figure: FloatArray) -> FloatArray:
        return np.array([figure[part].sum(axis=0) for part in parts])

    costs = BlockCosts(
        bytes=joined(problem.costs.bytes),
        compute=joined(problem.costs.compute),
        load=joined(problem.costs.load),
        stem=True,
        head=True,
        unit=problem.costs.unit,
    )
    return dataclasses.replace(
        problem, dissimilarity=problem.dissimilarity[list(levels)], costs=costs, limits={}, sums_at_most=()
    )


def budgets_of(problem: GroupingProblem, points: Sequence[int], last_parts: bool) -> list[float]:
    """All sizes that a task graph can have if its groups take as much as the largest task, by numbers of groups."""
    reduced = at_branch_points(problem, points, last_parts=last_parts)
    costs = reduced.costs
    fixed = float(costs.bytes[0].max() + costs.bytes[-1].sum())
    block = costs.bytes[reduced.rows].max(axis=1)
    counts = itertools.combinations_with_replacement(range(1, problem.n + 1), reduced.levels)
    return sorted({fixed + math.fsum(block * np.array(numbers)) for numbers in counts})


def over_budgets(
    front: Sequence[FrontPoint], budgets: Sequence[float], variety_weight: float, cost_weight: float
) -> float:
    """Sum over budgets of the weighted variety and cost of the last point of the front within each."""
    sizes = [point.measures["size"] for point in front]
    score = []
    for budget in budgets:
        within = np.searchsorted(sizes, budget * (1 + 1e-9), side="right") - 1
        measures = front[max(0, int(within))].measures
        score.append(variety_weight * measures["variety"] + cost_weight * measures["execution_cost"])
    return math.fsum(score)
