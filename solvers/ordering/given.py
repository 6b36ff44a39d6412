"""The order in which tasks are listed: what a device does that nobody has planned for."""

from __future__ import annotations

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.solvers.ordering.depth_first import repaired
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


class Given:
    """Tasks as they are listed, each as soon as its predecessors have run."""

    summary = "tasks in the order in which they are listed"
    capabilities = Capabilities(problem="ordering", objectives=("switching", "expected", "energy"))

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """One order."""
        search.propose(repaired(problem, list(range(problem.n))))
