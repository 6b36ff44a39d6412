"""The default for choosing networks."""

from __future__ import annotations

from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.solvers.grouping.selection_exact import begin, explain_infeasible, solve_selection_cpsat
from dnnplan.solvers.grouping.selection_subsets import solve_by_subsets, suits_subsets
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


class Auto:
    """Greedy choices, then sets of tasks where they are few enough, else or if these grow too many CP-SAT."""

    summary = "greedy choices, then the dynamic programme over sets of tasks, or CP-SAT (the default)"
    capabilities = Capabilities(problem="selection", exact=True, bounds=True, objectives=("loss", "affinity"))

    def run(self, problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> None:
        """Until optimality is proven or the limits are reached."""
        candidates = begin(problem, search)
        if candidates is None or search.finished():
            return
        if suits_subsets(problem) and solve_by_subsets(problem, search):
            return
        solve_selection_cpsat(problem, search, candidates)
        explain_infeasible(problem, search)
