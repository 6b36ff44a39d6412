"""Exact grouping with CP-SAT."""

from __future__ import annotations

import logging
import math

from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

log = logging.getLogger("dnnplan")
SECONDS_A_TRIPLE = 3.5e-6
"""About how long it takes to build the model, for three tasks at a branch point."""


class CpSat:
    """The formulation of `dnnplan.formulations.grouping.cpsat`, solved by OR-Tools CP-SAT.

    Ten tasks and seven branch points take seconds; twenty tasks are left with a gap.
    """

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(problem="grouping", exact=True, bounds=True, objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, then CP-SAT until the limits."""
        propose_simple_graphs(problem, search)
        if not search.finished():
            solve_grouping_cpsat(problem, search)


def solve_grouping_cpsat(
    problem: GroupingProblem, search: TaskSearch[GroupingProblem], seconds: float = math.inf
) -> bool:
    """Build the model, hint the incumbent, and run CP-SAT for at most `seconds` (units of work, if work is limited).

    Returns
    -------
    Whether nothing is left to do: proven optimal or infeasible.
    """
    from dnnplan.formulations.grouping.cpsat import build, extract, hint

    soon = building_seconds(problem) > search.remaining
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
        answers="task graph",
    )
    return run_task_model(built, search, seconds)


def building_seconds(problem: GroupingProblem) -> float:
    """About how long it takes to build the model, so that none is begun that has no time to run."""
    return SECONDS_A_TRIPLE * problem.levels * problem.n**3
