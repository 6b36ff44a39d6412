"""Choosing networks with CP-SAT and MILP."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.formulations.grouping.selection.useful import Useful, useful
from dnnplan.solvers.grouping.selection_greedy import propose_greedy
from dnnplan.solvers.grouping.selection_limits import covers, explain
from dnnplan.solvers.grouping.selection_subsets import rounding
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

STRATEGIES = ("max_lp", "lb_tree_search")
"""Strategies of CP-SAT with all of the linear relaxation, which is nearly integral for choices of networks."""


class CpSat:
    """The formulation of `dnnplan.formulations.grouping.selection.cpsat`, solved by OR-Tools CP-SAT."""

    summary = "exact: constraint programming with OR-Tools CP-SAT"
    capabilities = Capabilities(problem="selection", exact=True, bounds=True, objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Greedy choices, then CP-SAT until the limits."""
        candidates = begin(problem, search)
        if candidates is not None and not search.finished():
            solve_selection_cpsat(problem, search, candidates)
            explain_infeasible(problem, search)


class Milp:
    """The formulation of `dnnplan.formulations.grouping.selection.milp`, solved by HiGHS."""

    summary = "exact: mixed-integer programming with HiGHS"
    capabilities = Capabilities(problem="selection", exact=True, bounds=True, objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Greedy choices, then HiGHS until the limits."""
        candidates = begin(problem, search)
        if candidates is not None and not search.finished():
            solve_selection_milp(problem, search, candidates)
            explain_infeasible(problem, search)


def begin(problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> Useful | None:
    """Propose greedy choices; the candidates that matter, or None if they do not serve all tasks."""
    if not covers(problem, search):
        return None
    candidates = useful(problem)
    if not np.isfinite(candidates.least).all():
        search.infeasible = explain(problem)
        return None
    propose_greedy(problem, search, candidates)
    return candidates


def explain_infeasible(problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
    """Name the limit that no choice keeps, where a solver has proven that there is none."""
    if search.infeasible is not None:
        search.infeasible = explain(problem)


def known_value(problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> float | None:
    """The sum of scores of the incumbent."""
    return None if search.value is None else search.value / problem.stages[0][0][1]


def solve_selection_cpsat(
    problem: SelectionProblem,
    search: TaskSearch[SelectionProblem],
    candidates: Useful,
    seconds: float = math.inf,
) -> bool:
    """Build the model, hint the incumbent, and run CP-SAT; True if nothing is left to do."""
    from dnnplan.formulations.grouping.selection.cpsat import build, extract, hint
    from dnnplan.solvers.exact.cpsat_tasks import TaskModel, run_task_model

    v = build(candidates, known_value(problem, search))
    if search.best is not None:
        hint(v, search.best.decisions)
    weight = problem.stages[0][0][1]
    # A coefficient that is no whole number of units may have been rounded to the next one.
    slack = 2 * rounding(candidates) + (0.0 if v.unit == 1.0 else problem.n * v.unit)
    built = TaskModel(
        model=v.model,
        unit=v.unit * weight,
        constant=(v.constant - slack) * weight,
        extract=lambda value: extract(v, value),
        answers="choice of networks",
        gap=0.0,
        strategies=STRATEGIES,
    )
    return run_task_model(built, search, seconds)


def solve_selection_milp(
    problem: SelectionProblem, search: TaskSearch[SelectionProblem], candidates: Useful
) -> None:
    """Build the model and run HiGHS until the limits of the search."""
    from dnnplan.formulations.grouping.selection.milp import build, extract
    from dnnplan.solvers.exact.milp_tasks import TaskProgramme, run_task_programme

    v = build(candidates, known_value(problem, search))
    weight, least = problem.stages[0][0][1], float(candidates.least.sum())
    built = TaskProgramme(
        pulp=v.model,
        unit=v.unit * weight,
        constant=(v.constant - 2 * rounding(candidates)) * weight,
        largest=v.largest,
        # Every task takes its least score or more.
        least=(least - 1e-12 * float(np.abs(candidates.least).sum())) * weight
        if math.isfinite(least)
        else -math.inf,
        extract=lambda values: extract(v, values),
        answers="choice of networks",
        gap=0.0,
    )
    run_task_programme(lambda: built, search)
