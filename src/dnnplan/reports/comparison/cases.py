"""Rows of a store as cases: what was solved, and the runs of every method on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from dnnplan.reports.runs import Row, newest
from dnnplan.reports.shown_text import shown

EQUAL = 1e-9
"""Relative difference below which two values are the same."""
WRONG = 1e-6
"""A bound that is beyond the best value by more than this share of it is wrong; less are floats."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a method on a case.

    Parameters
    ----------
    method
        The solver, with its time limit where the store has several for it.
    value, bound
        Of a plan that `check` accepted, else None; what no plan can beat.
    seconds
        Wall time until the solver came back.
    history
        (seconds, value, bound) whenever one of them improved; of a run without an accepted plan only bounds.
    """

    method: str
    row: Row
    value: float | None
    bound: float | None
    seconds: float
    history: tuple[tuple[float, float | None, float | None], ...]

    @property
    def proven(self) -> bool:
        """Whether the answer is proven: optimal, or that there is none."""
        return self.row.status in ("optimal", "infeasible")

    @property
    def ended(self) -> bool:
        """Whether it came to its own end rather than to a limit."""
        return self.row.stop_reason in ("proved", "gap_limit", "exhausted")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something to solve, and who has tried.

    Parameters
    ----------
    suite, instance, problem, objective, limits
        What is the same in all runs; problem and objective are empty where the instance says them.
    maximise
        Whether more is better.
    """

    suite: str
    instance: str
    problem: str
    objective: str
    limits: tuple[tuple[str, float], ...]
    unit: str | None
    layers: int
    devices: int
    maximise: bool
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The instance, with what else tells it from other cases."""
        more = [text for text in (self.problem, self.objective) if text]
        more += [f"{name} <= {limit:g}" for name, limit in self.limits]
        return f"{self.instance} ({', '.join(more)})" if more else self.instance

    @cached_property
    def best(self) -> float | None:
        """The best value that any run found."""
        found = [run.value for run in self.runs if run.value is not None]
        if not found:
            return None
        return max(found) if self.maximise else min(found)

    @cached_property
    def infeasible(self) -> bool:
        """Whether a run proved that there is no plan."""
        return any(run.row.status == "infeasible" for run in self.runs)

    @cached_property
    def contradicted(self) -> bool:
        """Whether the best plan refutes what a run says is proven: a bound, or that there is no plan."""
        if self.best is None:
            return False
        bounds = [run.bound for run in self.runs if run.bound is not None]
        slack = WRONG * max(1e-12, abs(self.best))
        wrong = [self.best - bound if self.maximise else bound - self.best for bound in bounds]
        return self.infeasible or max(wrong, default=0.0) > slack

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods that were run, in the order of the store."""
        return tuple(dict.fromkeys(run.method for run in self.runs))

    def of(self, method: str) -> tuple[Run, ...]:
        """The runs of a method, one for each seed."""
        return tuple(run for run in self.runs if run.method == method)

    def ratio(self, value: float | None, to: float | None = None) -> float:
        """How many times worse a value is than another one (without: than the best); infinite without a value.

        NaN where a ratio says nothing: the two have different signs.
        """
        other = self.best if to is None else to
        if value is None or other is None:
            return math.inf
        worse, better = (other, value) if self.maximise else (value, other)
        if abs(worse - better) <= EQUAL * max(abs(worse), abs(better)):
            return 1.0
        if better < 0 or worse < 0:
            return math.nan
        return math.inf if better == 0 else worse / better


def newest_solves(rows: Iterable[Row]) -> list[Row]:
    """Rows of solves; of several of the same thing, on the same content of an instance, the one that was run last."""
    return newest((row for row in rows if row.kind == "solve"), lambda row: (row.instance_hash, row.asked))


def cases_of(rows: Iterable[Row]) -> tuple[Case, ...]:
    """The cases of a store, in the order in which they were first run."""
    grouped: dict[tuple[object, ...], list[Row]] = {}
    solves = newest_solves(rows)
    for row in solves:
        grouped.setdefault(_case_key(row), []).append(row)
    several = _with_several_limits(solves)
    return tuple(_case(own, several) for own in grouped.values())


def _case_key(row: Row) -> tuple[object, ...]:
    return (
        row.suite,
        row.instance,
        row.instance_hash,
        row.problem,
        row.objective,
        tuple(sorted(row.limits.items())),
    )


def _with_several_limits(rows: Sequence[Row]) -> set[str]:
    """Solvers that were run on one case with several time limits."""
    limits: dict[tuple[object, ...], set[float | None]] = {}
    for row in rows:
        limits.setdefault((*_case_key(row), row.solver), set()).add(row.time_limit)
    return {str(key[-1]) for key, own in limits.items() if len(own) > 1}


def _case(rows: Sequence[Row], several: set[str]) -> Case:
    first = rows[0]
    return Case(
        suite=first.suite,
        instance=first.instance,
        problem=first.problem,
        objective=first.objective,
        limits=tuple(sorted(first.limits.items())),
        unit=next((shown(row.unit, 12) for row in rows if row.unit is not None), None),
        layers=max(row.layers for row in rows),
        devices=max(row.devices for row in rows),
        maximise=_maximised(rows),
        runs=tuple(_run(row, several) for row in rows),
    )


def _run(row: Row, several: set[str]) -> Run:
    solver = row.solver or "(no solver)"
    limited = row.solver in several and row.time_limit is not None
    valid = row.valid is not False and row.status not in ("error", "infeasible")
    # What led to a plan that was refused is no progress.
    history = row.history if valid else tuple((at, None, bound) for at, _, bound in row.history)
    return Run(
        method=f"{solver} {row.time_limit:g} s" if limited else solver,
        row=row,
        value=row.value if valid else None,
        bound=row.bound,
        seconds=row.seconds,
        history=history,
    )


def _maximised(rows: Sequence[Row]) -> bool:
    """Whether more is better; where old rows do not say, a bound lies on the better side of a value."""
    if any(row.sense == "max" for row in rows):
        return True
    for row in rows:
        if row.value is not None and row.bound is not None:
            apart = row.bound - row.value
            if abs(apart) > 1e-6 * max(abs(row.value), abs(row.bound)):
                return apart > 0
    return False
