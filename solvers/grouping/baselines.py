"""Task graphs to compare with: nothing shared, all shared, and the shared stem of multi-task learning."""

from __future__ import annotations

from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


def shared_up_to(problem: GroupingProblem, levels: int) -> Groups:
    """All tasks together at the first branch points, each alone behind them."""
    everyone = (tuple(range(problem.n)),)
    alone = tuple((task,) for task in range(problem.n))
    return (everyone,) * levels + (alone,) * (problem.levels - levels)


class Private:
    """No block behind a branch point is shared: separate networks, but for the stem if there is one.

    ``vanilla`` of Antler (Luo et al. 2023) where there is no stem; ``MTL``, which shares the first block alone, where
    the stem is that block.
    """

    summary = "each task has its own blocks; only a stem is shared"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Propose the one task graph."""
        search.propose(shared_up_to(problem, 0))


class Shared:
    """All blocks are shared by all tasks, as in a network with one trunk (Caruana 1997)."""

    summary = "all tasks share all blocks but their heads"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Propose the one task graph."""
        search.propose(shared_up_to(problem, problem.levels))


class SharedFirst:
    """All tasks share some first blocks and have the rest for themselves: the best number of first blocks."""

    summary = "all tasks share the first blocks; the best number of them"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Propose the L + 1 task graphs."""
        for levels in range(problem.levels + 1):
            search.propose(shared_up_to(problem, levels))
