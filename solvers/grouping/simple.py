"""Task graphs that are there at once."""

from __future__ import annotations

from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.solvers.search import TaskSearch


def propose_simple_graphs(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
    """All tasks together up to some branch point, and each alone from there on: L + 1 task graphs."""
    everyone = (tuple(range(problem.n)),)
    alone = tuple((task,) for task in range(problem.n))
    for shared in range(problem.levels + 1):
        search.propose((everyone,) * shared + (alone,) * (problem.levels - shared))
