"""The search of a re-plan: the value of a plan is its objective plus what it costs to get there."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.costs import Evaluation
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.solvers.replan.migration import Migration
from dnnplan.solvers.search import Search


@dataclass(eq=False, kw_only=True)
class ReplanSearch(Search):
    """A search whose values are (first stage of the) objective + weight x seconds of migration.

    Parameters
    ----------
    migration
        What it costs to get from the old plan to another.
    plan_bound
        Proven bound on the objective alone; `bound` has what every plan pays for migration on top.
    """

    migration: Migration
    plan_bound: float | None = None

    def total(self, evaluation: Evaluation) -> float:
        """Value of an evaluated plan, migration included."""
        value = objective_value(self.problem.stages[0], evaluation.cost)
        return value + self.migration.cost(evaluation.decisions.pinned)

    def accept(self, evaluation: Evaluation) -> bool:
        """Keep an evaluated plan if it is feasible and better than the incumbent; True if it was kept."""
        value = self.total(evaluation)
        return self.improves(value) and is_feasible(evaluation) and self.keep(evaluation, value)

    def improve_bound(self, bound: float, name: str) -> bool:
        """Report a proven lower bound on the objective alone."""
        if self.plan_bound is None or bound > self.plan_bound:
            self.plan_bound = bound
        return super().improve_bound(bound + self.migration.least(), name)
