"""MILP on a model of task graphs, orders or choices of networks, reporting to a search."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dnnplan.solvers.exact.milp import HIGHS, with_pulp
from dnnplan.solvers.search import TaskSearch

if TYPE_CHECKING:
    import pulp

log = logging.getLogger("dnnplan")
SECONDS_A_ROW = 2e-5
"""About how long it takes to hand a row to HiGHS, and HiGHS to look at it for the first time."""


@dataclass(frozen=True, kw_only=True)
class TaskMilpParameters:
    """Parameters of a solver.

    Parameters
    ----------
    backend
        A solver that PuLP knows, by PuLP's name (``HiGHS``, ``PULP_CBC_CMD``, ``GUROBI``, ...). Only HiGHS reports
        bounds.
    """

    backend: str = HIGHS


@dataclass(frozen=True, eq=False, kw_only=True)
class TaskProgramme:
    """A built model.

    Parameters
    ----------
    pulp
        The model.
    unit, constant
        Value of one unit of its objective, and what every answer costs beside it.
    largest
        What the objective can be, in units: how far tolerances may reach.
    least
        What no answer is below.
    extract
        The answer of a solution (value by variable name).
    answers
        What is looked for, for messages: ``task graph``.
    gap
        Relative gap of the model at which HiGHS stops; None: that of the search.
    """

    pulp: pulp.LpProblem
    unit: float
    constant: float
    largest: float
    least: float
    extract: Callable[[dict[str, float]], Any]
    answers: str
    gap: float | None = None

    def plan(self, values: dict[str, float]) -> Any:
        """The answer of a solution."""
        return self.extract(values)

    def bound(self, value: float) -> float:
        """A bound of HiGHS that holds for exact arithmetic.

        Rows and integers are kept to a tolerance, which moves each term of the objective by a few times as much; a
        relative 1e-9 is for the arithmetic of the bound itself.
        """
        from dnnplan.solvers.exact.highs import FEASIBILITY

        slack = 4.0 * FEASIBILITY * max(1.0, self.largest) + 1e-9 * abs(value)
        return max(self.least, (value - slack) * self.unit + self.constant)


def run_task_programme(
    build: Callable[[], TaskProgramme | None], search: TaskSearch[Any], backend: str = HIGHS
) -> None:
    """Build the model and run a solver on it until the limits of the search."""
    built = build()
    if built is None or built.pulp.numConstraints() * SECONDS_A_ROW > search.remaining:
        log.info("the MILP was not built in time; the incumbent stands")
    elif backend != HIGHS:
        with_pulp(backend, built, search)
    elif _with_highs(built, search, presolve=True) == "infeasible":
        if search.best is not None:
            log.warning(
                "HiGHS says infeasible, yet there is a checked %s; solving again without presolve",
                built.answers,
            )
        if _with_highs(built, search, presolve=False) == "infeasible" and search.best is None:
            search.infeasible = f"no {built.answers} keeps all limits (HiGHS, with and without presolve)"


def _with_highs(built: TaskProgramme, search: TaskSearch[Any], *, presolve: bool) -> str:
    from dnnplan.solvers.exact.highs import run_highs

    def propose(values: dict[str, float]) -> None:
        search.propose(built.extract(values))

    def improve(bound: float) -> None:
        search.improve_bound(built.bound(bound), "MILP (HiGHS)")

    outcome = run_highs(
        built.pulp,
        time_limit=search.remaining,
        gap=search.settings.gap / 2 if built.gap is None else built.gap,
        threads=search.settings.workers,
        seed=search.settings.seed,
        presolve=presolve,
        on_solution=propose,
        on_bound=improve,
        stop=search.finished,
    )
    log.debug("HiGHS: %s, %d nodes", outcome.status, outcome.nodes)
    if math.isfinite(outcome.bound):
        improve(outcome.bound)
    return outcome.status
