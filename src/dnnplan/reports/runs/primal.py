"""Primal integral: how good a run's plans were over all of its time, as one number."""

from __future__ import annotations

from collections.abc import Iterable

from dnnplan.instances.result import EPSILON
from dnnplan.reports.runs.row import Row


def primal_integral(row: Row, best: float) -> float | None:
    """Integral of the primal gap over the time limit, seconds: 0 is best, the time limit is worst.

    The gap is 1 until there is a plan, then ``|value - best| / max(|value|, |best|)``; it stays as it is
    after the run has ended. A plan that `check` refused is none. Needs a time limit.

    Parameters
    ----------
    best
        The best value that is known for the question of the row.

    References
    ----------
    T. Berthold (2013): Measuring the impact of primal heuristics. Operations Research Letters 41(6).

    Examples
    --------
    A plan of 2.0 after one of four seconds, the best known value 1.0 after three:

    >>> row = Row(suite="s", instance="i", status="feasible", stop_reason="time_limit", time_limit=4.0,
    ...           value=1.0, history=((1.0, 2.0, None), (3.0, 1.0, None)))
    >>> primal_integral(row, 1.0)
    2.0
    """
    if row.time_limit is None or row.kind != "solve":
        return None
    if row.valid is False:
        return row.time_limit
    values = [(at, value) for at, value, _ in row.history if value is not None]
    if row.value is not None and (not values or values[-1][1] != row.value):
        # The answer after the last check may be the only thing a heuristic reports.
        values.append((row.seconds, row.value))
    area, before, gap = 0.0, 0.0, 1.0
    for at, value in values:
        now = min(max(at, before), row.time_limit)
        area += gap * (now - before)
        before, gap = now, min(gap, _primal_gap(value, best))
    return area + gap * (row.time_limit - before)


def _primal_gap(value: float, best: float) -> float:
    if value * best < 0:
        return 1.0
    return abs(value - best) / max(abs(value), abs(best), EPSILON)


def best_values(rows: Iterable[Row]) -> dict[tuple[object, ...], float]:
    """The best value of a checked plan for each question that has one."""
    best: dict[tuple[object, ...], float] = {}
    for row in rows:
        if row.kind != "solve" or row.value is None or not row.valid:
            continue
        known = best.get(row.question, row.value)
        best[row.question] = min(known, row.value) if row.sense == "min" else max(known, row.value)
    return best
