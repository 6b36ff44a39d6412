"""Linear programmes in boxes, and bounds from any dual values, however inexact (HiGHS solves, we add up)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY

Terms = Iterable[tuple[int, float]]
"""(variable, coefficient) pairs; variables may repeat."""


@dataclass(eq=False)
class LinearProgram:
    """min c x subject to rows a x >= b or a x = b, and low <= x <= high, all finite.

    Parameters
    ----------
    low, high, cost
        By variable.
    at_least
        By row: right-hand side b, and whether the row is an equation.
    """

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    at_least: list[float] = field(default_factory=list)
    equal: list[bool] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _columns: list[int] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)

    def variable(self, low: float, high: float, cost: float = 0.0) -> int:
        """A new variable in a box; its index."""
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        return len(self.low) - 1

    def row(self, terms: Terms, at_least: float, *, equal: bool = False) -> int:
        """A new row ``sum of terms >= at_least`` (or =); its index."""
        index = len(self.at_least)
        for variable, value in terms:
            self._rows.append(index)
            self._columns.append(variable)
            self._values.append(value)
        self.at_least.append(at_least)
        self.equal.append(equal)
        return index

    def matrix(self) -> csr_array:
        """(rows, variables) coefficients."""
        shape = (len(self.at_least), len(self.low))
        return coo_array((self._values, (self._rows, self._columns)), shape=shape).tocsr()


@dataclass(frozen=True, eq=False)
class Solution:
    """What HiGHS found: values and duals, and the bound that the duals prove.

    Parameters
    ----------
    bound
        Lower bound on c x over all feasible x, from the duals alone.
    reduced
        (variables,) what the bound gains by one unit of each variable beyond where the box has it.
    values
        (variables,) a point, perhaps not quite feasible.
    optimal, infeasible
        What HiGHS says.
    """

    bound: float
    reduced: FloatArray
    values: FloatArray
    optimal: bool
    infeasible: bool


def solve_linear(
    program: LinearProgram, *, time_limit: float, high: Sequence[float] | FloatArray | None = None
) -> Solution:
    """Solve with HiGHS, and prove a bound with whatever duals it returns.

    For all u >= 0 on rows >=, and any u on equations (Neumaier and Shcherbina 2004, section 2):
    ``c x >= u b + sum over variables of min over their box of (c - u A) x``.
    """
    import highspy

    upper = np.array(program.high if high is None else high, dtype=np.float64)
    matrix = program.matrix()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = matrix.shape[1], matrix.shape[0]
    lp.col_cost_ = np.array(program.cost)
    lp.col_lower_, lp.col_upper_ = np.array(program.low), upper
    lp.row_lower_ = np.array(program.at_least)
    lp.row_upper_ = np.where(program.equal, program.at_least, highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("time_limit", max(time_limit, 0.01))
    highs.passModel(lp)
    highs.run()
    status = highs.getModelStatus()
    found = highs.getSolution()
    duals = np.array(found.row_dual) if found.dual_valid else np.zeros(lp.num_row_)
    values = np.array(found.col_value) if found.value_valid else np.zeros(lp.num_col_)
    bound, reduced = prove(program, matrix, upper, duals)
    return Solution(
        bound=bound,
        reduced=reduced,
        values=values,
        optimal=status == highspy.HighsModelStatus.kOptimal,
        infeasible=status == highspy.HighsModelStatus.kInfeasible,
    )


def prove(
    program: LinearProgram, matrix: csr_array, high: FloatArray, duals: FloatArray
) -> tuple[float, FloatArray]:
    """The bound of some duals and the reduced costs, lowered by what floats may have lost."""
    prices = np.where(np.array(program.equal), duals, np.maximum(duals, 0.0))
    low, right = np.array(program.low), np.array(program.at_least)
    reduced = np.array(program.cost) - prices @ matrix
    at_box = np.where(reduced > 0, reduced * low, reduced * high)
    terms: NDArray[np.float64] = np.concatenate([prices * right, at_box])
    lost = SAFETY * float(np.abs(terms).max(initial=0.0)) + 1e-13 * float(np.abs(terms).sum())
    return float(terms.sum()) - lost, reduced


def as_terms(variables: IntArray, values: FloatArray | float) -> list[tuple[int, float]]:
    """Pairs of the variables that exist (index >= 0) with their values."""
    full = np.broadcast_to(np.asarray(values, dtype=np.float64), variables.shape)
    return [(int(v), float(c)) for v, c in zip(variables, full, strict=True) if v >= 0 and c != 0.0]
