"""HiGHS on a PuLP model: bounds, solutions as they are found, limits and interruption.

There is no MIP start: HiGHS completes a start by a search of its own, whose dual bound its callbacks report
as if it were that of the model (seen with 1.15.1: 33 for an optimum of 21). A cutoff row serves instead.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pulp

from dnnplan.instances import SolverError

FEASIBILITY = 1e-9
"""Feasibility tolerance of rows and integrality; the default of 1e-6 times a big M would show in plans."""
SECONDS_BETWEEN_LOOKS = 0.02
PATIENCE = 5.0
"""Seconds to wait after an interruption: HiGHS does not ask in the midst of a linear programme."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    status
        ``optimal``, ``infeasible``, or ``stopped``.
    bound
        Dual bound of the minimum, in units of the model; -inf if there is none.
    nodes
        Branch-and-bound nodes.
    """

    status: str
    bound: float
    nodes: int


@dataclass(frozen=True, eq=False)
class Matrix:
    """A PuLP model as arrays: names of the columns, and the model for HiGHS."""

    names: list[str]
    lp: Any


def to_matrix(model: pulp.LpProblem) -> Matrix:
    """Columns and rows of a PuLP model, passed at once (PuLP's own interface adds them one by one)."""
    import highspy

    variables = model.variables()
    column = {variable.name: c for c, variable in enumerate(variables)}
    start, index, value, low, high = [0], [], [], [], []
    for row in model.constraints():
        for variable, factor in row.items():
            index.append(column[variable.name])
            value.append(float(factor))
        start.append(len(index))
        low.append(-math.inf if row.sense == pulp.LpConstraintLE else -float(row.constant))
        high.append(math.inf if row.sense == pulp.LpConstraintGE else -float(row.constant))
    costs = np.zeros(len(variables))
    for variable, factor in model.objective.items():
        costs[column[variable.name]] += factor
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(variables), len(low)
    lp.col_cost_, lp.offset_ = costs, float(model.objective.constant)
    lp.col_lower_ = np.array(
        [-math.inf if v.lowBound is None else v.lowBound for v in variables], dtype=float
    )
    lp.col_upper_ = np.array([math.inf if v.upBound is None else v.upBound for v in variables], dtype=float)
    lp.row_lower_, lp.row_upper_ = np.array(low), np.array(high)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.array(start, dtype=np.int32)
    lp.a_matrix_.index_ = np.array(index, dtype=np.int32)
    lp.a_matrix_.value_ = np.array(value)
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[v.cat == pulp.LpInteger] for v in variables]
    return Matrix([v.name for v in variables], lp)


def run_highs(
    model: pulp.LpProblem,
    *,
    time_limit: float,
    gap: float,
    threads: int,
    seed: int,
    presolve: bool,
    tolerance: float = FEASIBILITY,
    on_solution: Callable[[dict[str, float]], None],
    on_bound: Callable[[float], None],
    stop: Callable[[], bool],
) -> Outcome:
    """Minimise a PuLP model with HiGHS.

    The native search runs in a thread of its own, so that this one can stop it. `on_solution` and
    `on_bound` are called from this thread.

    Raises
    ------
    SolverError
        HiGHS refuses the model.
    """
    import highspy

    matrix = to_matrix(model)
    highs = highspy.Highs()
    options = {
        "output_flag": False,
        "mip_rel_gap": gap,
        "mip_abs_gap": 0.0,
        "mip_feasibility_tolerance": tolerance,
        "primal_feasibility_tolerance": tolerance,
        "dual_feasibility_tolerance": tolerance,
        "random_seed": seed,
        "threads": threads,
        "presolve": "choose" if presolve else "off",
    }
    if math.isfinite(time_limit):
        options["time_limit"] = max(time_limit, 0.0)
    for name, value in options.items():
        highs.setOptionValue(name, value)
    if highs.passModel(matrix.lp) == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the model")
    _search(highs, matrix, (on_solution, on_bound, stop))
    return _outcome(highs, matrix, on_solution)


def _search(
    highs: Any, matrix: Matrix, calls: tuple[Callable[..., None], Callable[..., None], Callable[..., bool]]
) -> None:
    on_solution, on_bound, stop = calls
    found: queue.SimpleQueue[np.ndarray | float] = queue.SimpleQueue()
    highs.HandleUserInterrupt = True
    highs.cbMipImprovingSolution.subscribe(lambda event: found.put(np.array(event.data_out.mip_solution)))
    highs.cbMipInterrupt.subscribe(lambda event: found.put(float(event.data_out.mip_dual_bound)))
    # An interrupted Thread.join takes the thread for ended (Python 3.11): an event says when it is.
    ended = threading.Event()
    failure: list[Exception] = []

    def solve() -> None:
        try:
            highs.solve()
        except Exception as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=solve, name="highs", daemon=True).start()
    bound = -math.inf
    try:
        while True:
            over = ended.wait(SECONDS_BETWEEN_LOOKS)
            while not found.empty():
                item = found.get()
                if isinstance(item, float):
                    bound = max(bound, item if math.isfinite(item) else -math.inf)
                else:
                    on_solution(dict(zip(matrix.names, item.tolist(), strict=True)))
            if math.isfinite(bound):
                on_bound(bound)
            if over:
                break
            if stop():
                highs.cancelSolve()
    finally:
        highs.cancelSolve()
        ended.wait(PATIENCE)
    if failure:
        raise SolverError(f"HiGHS failed: {type(failure[0]).__name__}: {str(failure[0])[:300]}") from failure[
            0
        ]


def _outcome(highs: Any, matrix: Matrix, on_solution: Callable[[dict[str, float]], None]) -> Outcome:
    import highspy

    status, info = highs.getModelStatus(), highs.getInfo()
    kinds = highspy.HighsModelStatus
    solution = highs.getSolution().col_value
    if info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible):
        on_solution(dict(zip(matrix.names, solution, strict=True)))
    bound = float(info.mip_dual_bound) if math.isfinite(info.mip_dual_bound) else -math.inf
    if status == kinds.kOptimal:
        # A model without integer variables left after presolve may report no dual bound of its own.
        return Outcome(
            "optimal",
            bound if math.isfinite(bound) else float(info.objective_function_value),
            info.mip_node_count,
        )
    if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return Outcome("infeasible", -math.inf, info.mip_node_count)
    return Outcome("stopped", bound, info.mip_node_count)
