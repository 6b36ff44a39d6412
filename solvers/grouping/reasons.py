"""Why there is no task graph."""

from __future__ import annotations

from dnnplan.costs.judged import keeps_limits
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.solvers.grouping.baselines import shared_up_to


def reason(problem: GroupingProblem) -> str:
    """Names the limits that no task graph keeps, for a problem that was proven to have none."""
    for name in problem.limits:
        broken = least_breaks(problem, name)
        if broken:
            return broken
    named = [f"limits.{name}: {limit:g}" for name, limit in problem.limits.items()]
    if problem.sums_at_most:
        named.append("the values of the stages before")
    return f"no task graph keeps {' and '.join(named)}" + (" together" if len(named) > 1 else "")


def least_breaks(problem: GroupingProblem, name: str) -> str:
    """That the least possible value of a measure is above its limit; empty if it is not, or takes a search to know.

    Sizes are least where all tasks share all blocks, varieties where each task is alone.
    """
    if name not in ("size", "variety", "task_variety"):
        return ""
    groups = shared_up_to(problem, problem.levels if name == "size" else 0)
    least = problem.measures(groups)[name]
    limit = problem.limits[name]
    if keeps_limits({name: least}, {name: limit}):
        return ""
    return f"limits.{name}: {limit:g} cannot be kept; the least possible is {least:.9g}"
