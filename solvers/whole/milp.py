"""The whole plan as one mixed-integer linear programme."""

from __future__ import annotations

from dnnplan.costs.objectives import UNITS
from dnnplan.costs.sharing.grouping import MEASURES
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.bounds import quick_bound
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.exact.milp_tasks import TaskMilpParameters, TaskProgramme, run_task_programme
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.cpsat import latest_end
from dnnplan.solvers.whole.start import propose_simple_wholes


class Milp:
    """The formulation of `dnnplan.formulations.whole.milp`, solved by HiGHS or any solver that PuLP knows.

    Its disjunctions grow with the square of the layers of all tasks: it is a second opinion on CP-SAT for some 20.
    """

    summary = "exact: task graph, placement, order and transfers as one mixed-integer programme with HiGHS"
    capabilities = Capabilities(problem="whole", exact=True, bounds=True, objectives=(*MEASURES, *UNITS))

    def __init__(self, parameters: TaskMilpParameters | None = None) -> None:
        self.parameters = parameters or TaskMilpParameters()

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """Simple plans, the best of which bounds the search; then the MILP until the limits.

        Raises
        ------
        UnsupportedError
            A setting that the model does not cover (`milp.supports`).
        """
        from dnnplan.formulations.whole.milp import supports

        if reason := supports(problem):
            raise UnsupportedError(f"solver 'milp' does not cover this: {reason}; 'task_graphs' and 'lns' do")
        bound = quick_bound(problem)
        search.improve_bound(bound.value, bound.name)
        propose_simple_wholes(problem, search)
        if not search.finished():
            run_task_programme(lambda: build_programme(problem, search), search, self.parameters.backend)


def build_programme(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> TaskProgramme | None:
    """The model, with the incumbent as a cutoff; None if the time was over before."""
    from dnnplan.formulations.whole.milp import build, extract

    v = build(
        problem,
        horizon=latest_end(problem, search),
        cutoff=search.value,
        keep_going=lambda: not search.finished(),
    )
    if v is None:
        return None
    # M magnifies tolerances in every row of a path through all layers and tensors.
    rows = 2 * (v.view.n + len(v.view.tensors)) + 1
    return TaskProgramme(
        pulp=v.model,
        unit=v.graph.unit,
        constant=v.graph.constant,
        largest=v.graph.largest * rows,
        least=0.0,
        extract=lambda values: extract(v, values),
        answers="whole plan",
    )
