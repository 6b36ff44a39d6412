"""The linear relaxation of orders with precedences: degrees, cuts that are violated, columns that pay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY
from dnnplan.formulations.ordering.bounds.path_form import BoolArray, PathForm
from dnnplan.formulations.ordering.bounds.precedence_cuts import Cuts, no_cuts, violated_cuts

NEAREST = 8
"""Cheapest arcs from and to each node that the programme begins with."""
POSITIVE, PAYING = 1e-7, 1e-6
"""Values that count as positive, and reduced costs (by the mean cost) that count as negative."""
MOST_IDLE, PURGED_ROWS = 12, 100
"""Programmes after which a cut without a dual is dropped, and how many such cuts make it worth it."""
STALLED, STALLED_ROUNDS = 1e-4, 10
"""Relative gain in that many rounds below which separation ends."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Duals:
    """What the duals of a programme prove about all paths along allowed arcs.

    Parameters
    ----------
    bound
        No such path costs less.
    reduced
        (arcs,) not negative: a path costs at least the bound plus the reduced costs of its arcs.
    """

    bound: float
    reduced: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Relaxed:
    """A programme that was solved: its duals, its values, and the arcs that a path below the ceiling may have.

    Parameters
    ----------
    empty
        Whether there is no path along allowed arcs that costs at most the ceiling.
    values
        (arcs,) of the last programme; empty if none was solved to its end.
    path
        The one path that the values describe, where they are whole numbers.
    """

    duals: Duals
    allowed: BoolArray
    empty: bool
    values: FloatArray
    path: IntArray | None


class Relaxation:
    """``min sum c[i, j] x[i, j]`` over degrees and cuts, in HiGHS, from one programme to the next.

    ::

        sum_j x[i, j] = 1  (all i but the last),   sum_i x[i, j] = 1  (all j but the first),   cuts,   x >= 0

    The cuts of `precedence_cuts` hold on all paths of the form, so that they are kept whatever arcs are allowed.

    Parameters
    ----------
    form
        Paths and their costs.
    path
        (N,) a known path; its arcs are in the first programme.
    turn
        Where the separation begins: other cuts are found first, and other arcs struck out.
    """

    def __init__(self, form: PathForm, path: IntArray | None = None, turn: int = 0) -> None:
        self.form, self.turn = form, turn
        self.tail, self.head = (a.astype(np.int64) for a in np.nonzero(np.isfinite(form.cost)))
        self.cost = form.cost[self.tail, self.head]
        self.number = np.full((form.size, form.size), -1, dtype=np.int64)
        self.number[self.tail, self.head] = np.arange(len(self.tail))
        self.column = np.full(len(self.tail), -1, dtype=np.int64)
        self.arcs = np.zeros(0, dtype=np.int64)
        self.cuts, self.idle = no_cuts(form), np.zeros(0, dtype=np.int64)
        self.values, self.duals = np.zeros(0), np.zeros(0)
        self.solved = 0
        self.scale = float(np.abs(self.cost).mean()) if len(self.cost) else 1.0
        self.highs = _new_highs(form.size)
        self.add_columns(self._first_arcs(path))

    def copy(self) -> Relaxation:
        """The same columns and cuts in a programme of its own, for another thread."""
        other = Relaxation(self.form, turn=self.turn)
        known = other.column >= 0
        other.add_columns(self.arcs[~known[self.arcs]])
        if len(self.cuts):
            other.add_cuts(self.cuts)
        return other

    def _first_arcs(self, path: IntArray | None) -> IntArray:
        wanted = np.zeros_like(self.form.before)
        for cost, mark in ((self.form.cost, wanted), (self.form.cost.T, wanted.T)):
            near = np.argsort(cost, axis=1, kind="stable")[:, :NEAREST]
            np.put_along_axis(mark, near, True, axis=1)
        if path is not None:
            wanted[path[:-1], path[1:]] = True
        found: IntArray = self.number[wanted]
        return found[found >= 0]

    @property
    def degrees(self) -> int:
        """Rows of degrees; the rows of cuts follow."""
        return 2 * (self.form.size - 1)

    def add_columns(self, arcs: IntArray) -> None:
        """Put arcs into the programme."""
        if not len(arcs):
            return
        n = self.form.size
        members = self.cuts.members(self.tail[arcs], self.head[arcs])
        start: list[int] = []
        index: list[int] = []
        for k, (i, j) in enumerate(zip(self.tail[arcs].tolist(), self.head[arcs].tolist(), strict=True)):
            start.append(len(index))
            index += [i, n - 2 + j, *(self.degrees + np.flatnonzero(members[:, k])).tolist()]
        free, count = np.full(len(arcs), math.inf), len(arcs)
        entries = (np.array(start, dtype=np.int32), np.array(index, dtype=np.int32), np.ones(len(index)))
        self.highs.addCols(count, self.cost[arcs], np.zeros(count), free, len(index), *entries)
        self.column[arcs] = len(self.arcs) + np.arange(count)
        self.arcs = np.concatenate([self.arcs, arcs])

    def add_cuts(self, cuts: Cuts) -> None:
        """Put cuts into the programme."""
        members = cuts.members(self.tail[self.arcs], self.head[self.arcs])
        rows, columns = np.nonzero(members)
        start = np.searchsorted(rows, np.arange(len(cuts))).astype(np.int32)
        infinity = np.full(len(cuts), math.inf)
        entries = (start, columns.astype(np.int32), np.ones(len(columns)))
        self.highs.addRows(len(cuts), np.ones(len(cuts)), infinity, len(columns), *entries)
        self.cuts = self.cuts.joined(cuts)
        self.idle = np.concatenate([self.idle, np.zeros(len(cuts), dtype=np.int64)])

    def drop_cuts(self, idle: int = MOST_IDLE) -> None:
        """Take out cuts without a dual in that many programmes; the basis stays, since their slacks are basic."""
        import highspy

        basis = self.highs.getBasis()
        status = list(basis.row_status)
        slack = np.array([s == highspy.HighsBasisStatus.kBasic for s in status[self.degrees :]], dtype=bool)
        drop = (self.idle > idle) & slack
        if drop.sum() < PURGED_ROWS:
            return
        rows = (self.degrees + np.flatnonzero(drop)).astype(np.int32)
        self.highs.deleteRows(len(rows), rows)
        gone = set(rows.tolist())
        basis.row_status = [s for r, s in enumerate(status) if r not in gone]
        self.highs.setBasis(basis)
        self.cuts, self.idle = self.cuts.chosen(~drop), self.idle[~drop]

    def restrict(self, allowed: BoolArray) -> None:
        """Only these arcs may be used."""
        # Degrees keep the others at 1; a bound of 1 would leave reduced costs below 0 at it.
        upper = np.where(allowed[self.arcs], math.inf, 0.0)
        columns = np.arange(len(self.arcs), dtype=np.int32)
        self.highs.changeColsBounds(len(columns), columns, np.zeros(len(columns)), upper)

    def solve(self, seconds: float, ceiling: float) -> str:
        """Solve the programme as it is: ``optimal``, ``above`` the ceiling, ``infeasible`` or ``stopped``."""
        import highspy

        self.highs.setOptionValue("time_limit", self.highs.getRunTime() + max(seconds, 0.01))
        self.highs.setOptionValue("objective_bound", ceiling + abs(ceiling) * SAFETY)
        self.highs.run()
        self.solved += 1
        status, kinds = self.highs.getModelStatus(), highspy.HighsModelStatus
        solution = self.highs.getSolution()
        if status in (kinds.kOptimal, kinds.kObjectiveBound) and solution.dual_valid:
            self.values = np.array(solution.col_value)
            self.duals = np.array(solution.row_dual)
            self.idle = np.where(self.duals[self.degrees :] > PAYING * self.scale, 0, self.idle + 1)
            return "optimal" if status == kinds.kOptimal else "above"
        return "infeasible" if status == kinds.kInfeasible else "stopped"

    def prove(self, allowed: BoolArray) -> tuple[Duals, FloatArray]:
        """What the duals of the last programme prove, and reduced costs, summed anew: valid whatever the tolerances.

        For any u on degrees and any v >= 0 on cuts, with reduced costs ``c - u A - v B`` (Neumaier and Shcherbina
        2004): ``c x >= u 1 + v 1 + sum over allowed arcs of min(reduced cost, 0)``, as degrees make 0 <= x <= 1.
        """
        total, priced, lost = self._priced(self.duals)
        reduced = self.cost - priced
        below = float(np.minimum(reduced[allowed], 0.0).sum())
        return Duals(bound=total + below - lost, reduced=np.maximum(reduced, 0.0)), reduced

    def _priced(self, duals: FloatArray) -> tuple[float, FloatArray, float]:
        """What all rows are worth at some duals, what each arc uses of it, and how wrong the sums may be."""
        degrees, n = duals[: self.degrees], self.form.size
        prices = np.maximum(duals[self.degrees :], 0.0)
        active = prices > 0
        charged = (self.cuts.tails[active].T * prices[active]) @ self.cuts.heads[active].astype(np.float64)
        total = math.fsum(degrees.tolist()) + math.fsum(prices.tolist())
        lost = SAFETY * (abs(total) + float(np.abs(degrees).max(initial=0.0)) + float(prices.sum()))
        return total, degrees[self.tail] + degrees[n - 2 + self.head] + charged[self.tail, self.head], lost

    def proves_empty(self, allowed: BoolArray) -> bool:
        """Whether a ray of an infeasible programme shows that no path has allowed arcs only (Farkas).

        For a ray (u, v), v >= 0 on cuts: every path uses as much as all rows are worth, ``u 1 + v 1``, or more; none
        does if even all allowed arcs that use anything use less.
        """
        _, found, ray = self.highs.getDualRay()
        if not found:
            return False
        for duals in (np.array(ray), -np.array(ray)):
            total, priced, lost = self._priced(duals)
            if total - float(np.maximum(priced[allowed], 0.0).sum()) > lost:
                return True
        return False

    def separate(self, least: float, most: int) -> int:
        """Add cuts that the last values violate; how many."""
        used = self.values > POSITIVE
        arcs = self.arcs[used]
        cuts = violated_cuts(
            self.form,
            self.tail[arcs],
            self.head[arcs],
            self.values[used],
            least=least,
            most=most,
            turn=self.turn + 7 * self.solved,
        )
        if len(cuts):
            self.add_cuts(cuts)
        return len(cuts)

    def tighten(
        self,
        allowed: BoolArray,
        ceiling: float,
        *,
        left: Callable[[], float],
        least: float = 0.02,
        stalled: float = STALLED,
    ) -> Relaxed:
        """Solve, price, strike out arcs and separate in turn, until nothing is gained.

        Parameters
        ----------
        allowed
            (arcs,) that paths may have.
        ceiling
            Paths that cost more are of no interest: arcs whose reduced cost lifts the bound above it are struck out.
        left
            Seconds that are left.
        least
            Smallest violation of a cut that counts.
        stalled
            Relative gain of the bound in `STALLED_ROUNDS` rounds below which no more cuts are looked for.
        """
        duals = Duals(bound=-math.inf, reduced=np.zeros(len(self.cost)))
        trail: list[float] = []
        self.restrict(allowed)
        while left() > 0:
            status = self.solve(left(), ceiling)
            if status == "stopped":
                break
            if status == "infeasible":
                missing = np.flatnonzero(allowed & (self.column < 0))
                if not len(missing) and self._agrees():
                    return Relaxed(duals=duals, allowed=allowed, empty=True, values=np.zeros(0), path=None)
                self.add_columns(missing)
                continue
            found, reduced = self.prove(allowed)
            duals = found if found.bound > duals.bound else duals
            if duals.bound > ceiling:
                return Relaxed(duals=duals, allowed=allowed, empty=True, values=np.zeros(0), path=None)
            struck = allowed & (found.bound + found.reduced <= ceiling)
            if struck.sum() < allowed.sum():
                allowed = struck
                self.restrict(allowed)
            paying = allowed & (self.column < 0) & (reduced < -PAYING * self.scale)
            if paying.any():
                arcs = np.flatnonzero(paying)
                self.add_columns(arcs[np.argsort(reduced[arcs])][: 5 * self.form.size])
                continue
            trail.append(found.bound)
            tired = len(trail) > STALLED_ROUNDS and trail[-1] - trail[-1 - STALLED_ROUNDS] <= stalled * abs(
                trail[-1]
            )
            if tired or not self.separate(least, max(40, self.form.size)):
                break
            self.drop_cuts()
        return Relaxed(
            duals=duals, allowed=allowed, empty=False, values=self.by_arc(), path=self._whole_path(allowed)
        )

    def by_arc(self) -> FloatArray:
        """(arcs,) values of the last programme."""
        values = np.zeros(len(self.tail))
        values[self.arcs[: len(self.values)]] = self.values
        return values

    def _agrees(self) -> bool:
        """Whether a second run, from scratch, finds the programme infeasible too."""
        import highspy

        self.highs.clearSolver()
        self.highs.run()
        return bool(self.highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible)

    def _whole_path(self, allowed: BoolArray) -> IntArray | None:
        """The path that the last values describe, if they are whole numbers and no cycles."""
        arcs = self.arcs[: len(self.values)]
        chosen = arcs[self.values > 0.5]
        if not len(self.values) or np.any(np.abs(self.values - np.round(self.values)) > 1e-5):
            return None
        follow = dict(zip(self.tail[chosen].tolist(), self.head[chosen].tolist(), strict=True))
        path = [0]
        while path[-1] in follow and len(path) < self.form.size:
            path.append(follow[path[-1]])
        keeps = len(set(path)) == self.form.size and path_keeps(self.form, path)
        return np.array(path, dtype=np.int64) if keeps else None


def path_keeps(form: PathForm, path: Sequence[int]) -> bool:
    """Whether a path of all nodes keeps the precedences."""
    place = np.empty(form.size, dtype=np.int64)
    place[np.asarray(path)] = np.arange(form.size)
    first, second = np.nonzero(form.direct)
    return bool((place[first] < place[second]).all())


def _new_highs(size: int) -> Any:
    """A programme with rows for degrees and no columns."""
    import highspy

    highs = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, "presolve": "off", "solver": "simplex"}.items():
        highs.setOptionValue(name, value)
    rows = 2 * (size - 1)
    nothing = np.zeros(0, dtype=np.int32)
    highs.addRows(rows, np.ones(rows), np.ones(rows), 0, np.zeros(rows, dtype=np.int32), nothing, np.zeros(0))
    return highs
