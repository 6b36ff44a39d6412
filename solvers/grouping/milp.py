"""Exact grouping with mixed-integer linear programming."""

from __future__ import annotations

from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.solvers.exact.milp_tasks import TaskMilpParameters, TaskProgramme, run_task_programme
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


class Milp:
    """The formulation of `dnnplan.formulations.grouping.milp`, solved by HiGHS or any solver that PuLP knows."""

    summary = "exact: mixed-integer programming with HiGHS, or any solver that PuLP knows"
    capabilities = Capabilities(problem="grouping", exact=True, bounds=True, objectives=MEASURES)

    def __init__(self, parameters: TaskMilpParameters | None = None) -> None:
        self.parameters = parameters or TaskMilpParameters()

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, the best of which bounds the search; then the MILP until the limits."""
        propose_simple_graphs(problem, search)
        if not search.finished():
            run_task_programme(lambda: build_programme(problem, search), search, self.parameters.backend)


def build_programme(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> TaskProgramme | None:
    """The model, with the incumbent as a cutoff; None if the time was over before."""
    from dnnplan.formulations.grouping.milp import build, extract

    v = build(problem, cutoff=search.value, keep_going=lambda: not search.finished())
    if v is None:
        return None
    return TaskProgramme(
        pulp=v.model,
        unit=v.unit,
        constant=v.constant,
        largest=v.largest,
        least=0.0,
        extract=lambda values: extract(v, values),
        answers="task graph",
    )
