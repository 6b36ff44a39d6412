"""Exact grouping and ordering together, with CP-SAT and MILP."""

from __future__ import annotations

import logging
import math

from dnnplan.costs.joint import JointProblem
from dnnplan.formulations.joint.rules import depth_first, require_plain, some_order
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.exact.milp_tasks import TaskMilpParameters, TaskProgramme, run_task_programme
from dnnplan.solvers.grouping.cpsat import building_seconds
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

log = logging.getLogger("dnnplan")
OBJECTIVES = ("variety", "task_variety", "size", "execution_cost", "switching", "expected", "energy")


class CpSat:
    """The formulation of `dnnplan.formulations.joint.cpsat`, solved by OR-Tools CP-SAT."""

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(problem="joint", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
        """Simple answers, then CP-SAT until the limits.

        Raises
        ------
        UnsupportedError
            Conditions, or a memory that keeps more than one path.
        """
        require_plain(problem)
        propose_simple_answers(problem, search)
        if not search.finished():
            solve_joint_cpsat(problem, search)


class Milp:
    """The formulation of `dnnplan.formulations.joint.milp`, solved by HiGHS or any solver that PuLP knows."""

    summary = "exact: mixed-integer programming with HiGHS, or any solver that PuLP knows"
    capabilities = Capabilities(problem="joint", exact=True, bounds=True, objectives=OBJECTIVES)

    def __init__(self, parameters: TaskMilpParameters | None = None) -> None:
        self.parameters = parameters or TaskMilpParameters()

    def run(self, problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
        """Simple answers, the best of which bounds the search; then the MILP until the limits.

        Raises
        ------
        UnsupportedError
            Conditions, or a memory that keeps more than one path.
        """
        require_plain(problem)
        propose_simple_answers(problem, search)
        if not search.finished():
            run_task_programme(lambda: _build_programme(problem, search), search, self.parameters.backend)


def propose_simple_answers(problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
    """All tasks together up to some branch point and each alone from there on, depth first or as precedences allow."""
    everyone = (tuple(range(problem.n)),)
    alone = tuple((task,) for task in range(problem.n))
    levels = problem.grouping.levels
    for shared in range(levels + 1):
        groups = (everyone,) * shared + (alone,) * (levels - shared)
        free = problem.template.is_free
        search.propose((groups, depth_first(groups, problem.n) if free else some_order(problem)))


def solve_joint_cpsat(
    problem: JointProblem, search: TaskSearch[JointProblem], seconds: float = math.inf
) -> bool:
    """Build the model, hint the incumbent, and run CP-SAT for at most `seconds` (units of work, if work is limited).

    Returns
    -------
    Whether nothing is left to do: proven optimal or infeasible.
    """
    from dnnplan.formulations.joint.cpsat import build, extract, hint

    soon = building_seconds(problem.grouping) > search.remaining
    v = None if soon else build(problem, keep_going=lambda: not search.finished())
    if v is None:
        log.info("the CP-SAT model was not built in time; the incumbent stands")
        return False
    if search.best is not None:
        hint(v, search.best.decisions)
    built = TaskModel(
        model=v.model,
        unit=v.unit,
        constant=v.constant,
        extract=lambda value: extract(v, value),
        answers="task graph with an order",
    )
    return run_task_model(built, search, seconds)


def _build_programme(problem: JointProblem, search: TaskSearch[JointProblem]) -> TaskProgramme | None:
    from dnnplan.formulations.joint.milp import build, extract

    v = build(problem, cutoff=search.value, keep_going=lambda: not search.finished())
    if v is None:
        return None
    return TaskProgramme(
        pulp=v.model,
        unit=v.graph.unit,
        constant=v.graph.constant,
        largest=v.graph.largest,
        least=0.0,
        extract=lambda values: extract(v, values),
        answers="task graph with an order",
    )
