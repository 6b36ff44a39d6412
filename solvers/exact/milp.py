"""Exact mapping and scheduling with mixed-integer linear programming."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.instances import SolverError, UnsupportedError
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search, TaskSearch
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    import pulp

    from dnnplan.formulations.mapping.milp import Model

log = logging.getLogger("dnnplan")
HIGHS = "HiGHS"


class Programme(Protocol):
    """A built model: its PuLP problem, and the answer of a solution (value by variable name), None if there is none."""

    @property
    def pulp(self) -> pulp.LpProblem:
        """The model for any solver that PuLP knows."""

    def plan(self, values: dict[str, float]) -> Any:
        """The plan, or decisions, of a solution."""


@dataclass(frozen=True, kw_only=True)
class MilpParameters:
    """Parameters of the solver.

    Parameters
    ----------
    backend
        A solver that PuLP knows, by PuLP's name (``HiGHS``, ``PULP_CBC_CMD``, ``GUROBI``, ...). Only HiGHS
        reports bounds: through PuLP the others report none, so that their plans are never called optimal.
    start
        Whether to begin with simple plans (HEFT, compute-first, single devices); the best one bounds the
        search.
    """

    backend: str = HIGHS
    start: bool = True


class Milp:
    """The formulation of `dnnplan.formulations.mapping.milp`, solved by HiGHS or any solver that PuLP knows.

    The model grows with the square of the layers: it proves optimality up to some 20 layers, and serves as
    the second opinion on CP-SAT. Energy times delay is a product, and left to CP-SAT. Bounds are lowered by
    what the tolerances of HiGHS may add up to (`safe_bound`).
    """

    summary = "exact: mixed-integer programming with HiGHS, or any solver that PuLP knows"
    capabilities = Capabilities(
        exact=True,
        bounds=True,
        objectives=("latency", "energy", "traffic", "max_load", "weighted_completion", "tardiness", "memory"),
    )

    def __init__(self, parameters: MilpParameters | None = None) -> None:
        self.parameters = parameters or MilpParameters()

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Bounds, simple plans, then the MILP until the limits."""
        if self.parameters.start:
            bound = objective_bound(problem)
            search.improve_bound(bound.value, bound.name)
            propose_simple_plans(problem, search)
        if not search.finished():
            self.solve_exactly(problem, search)

    def solve_exactly(self, problem: MappingProblem, search: Search, *, presolve: bool = True) -> None:
        """Build the model and run the back end until the limits of the search."""
        from dnnplan.formulations.mapping.milp import BuildStoppedError, build

        latency_only = problem.stages[0] == (("latency", 1.0),)
        horizon = search.best.cost.latency * (1 + 1e-9) if search.best is not None and latency_only else None
        cutoff = None if latency_only else search.value
        try:
            model = build(problem, horizon=horizon, cutoff=cutoff, ordered=True, stop=search.finished)
        except BuildStoppedError:
            log.info("the MILP was not built in time; the incumbent stands")
            return
        if self.parameters.backend == HIGHS:
            _with_highs(model, problem, search, presolve=presolve, solver=self)
        else:
            with_pulp(self.parameters.backend, model, search)


def safe_bound(bound: float, model: Model) -> float:
    """A bound of HiGHS, in the unit of the objective, that holds for exact arithmetic.

    HiGHS keeps rows and integrality to a tolerance of `highs.FEASIBILITY` (scaled units), which M = horizon
    may magnify in every row of a path through all layers and tensors; that much is subtracted, and a
    relative 1e-9 for the arithmetic of the bound itself. No measure is ever below 0.
    """
    from dnnplan.solvers.exact.highs import FEASIBILITY

    v = model.variables
    rows = 2 * (v.problem.n + len(v.problem.tensors)) + 1
    return max(0.0, (bound - FEASIBILITY * rows * max(v.horizon, 1.0) - 1e-9 * abs(bound)) * model.unit)


def _with_highs(
    model: Model, problem: MappingProblem, search: Search, *, presolve: bool, solver: Milp
) -> None:
    from dnnplan.solvers.exact.highs import run_highs

    def propose(values: dict[str, float]) -> None:
        plan = model.plan(values)
        if plan is not None:
            search.propose(plan)

    def improve(bound: float) -> None:
        search.improve_bound(safe_bound(bound, model), "MILP (HiGHS)")

    outcome = run_highs(
        model.pulp,
        time_limit=search.remaining,
        gap=search.settings.gap / 2,
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
    if outcome.status == "infeasible":
        if search.best is not None:
            log.warning("HiGHS says infeasible, yet there is a checked plan; its word is not taken")
        elif presolve:
            solver.solve_exactly(problem, search, presolve=False)
        else:
            search.infeasible = (
                "no plan keeps all constraints and limits (proved by HiGHS, with and without presolve)"
            )


def with_pulp(name: str, model: Programme, search: Search | TaskSearch[Any]) -> None:
    """Any solver of PuLP; it gives one plan at the end and no bound."""
    import pulp

    if name not in pulp.listSolvers(onlyAvailable=True):
        known = ", ".join(pulp.listSolvers(onlyAvailable=True))
        raise UnsupportedError(f"MILP back end '{name}' is not available here; expected one of {known}")
    limit = search.remaining
    options = {"timeLimit": limit} if math.isfinite(limit) else {}
    try:
        model.pulp.solve(pulp.getSolver(name, msg=False, **options))
    except (pulp.PulpSolverError, OSError) as error:  # not there, or ended by somebody else
        raise SolverError(f"the MILP back end {name} failed: {str(error)[:300]}") from error
    if model.pulp.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        plan = model.plan({variable.name: variable.varValue or 0.0 for variable in model.pulp.variables()})
        if plan is not None:
            search.propose(plan)
