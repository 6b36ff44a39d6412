"""A verdict on one requirement, and what the modules that give them share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent, readable

NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found for one requirement; `reached` is None where the store says nothing about it, or nobody can."""

    requirement: str
    found: str
    reached: bool | None


def not_run(requirement: str) -> Verdict:
    """The verdict where there are no rows."""
    return Verdict(requirement=requirement, found=NOT_RUN, reached=None)


def solved(rows: Sequence[Row], instance: str, solver: str, most_seconds: float = float("inf")) -> list[Row]:
    """The runs of a solver on an instance with at most that time limit."""
    return [
        r
        for r in rows
        if r.kind == "solve"
        and r.instance == instance
        and r.solver == solver
        and r.time_limit is not None
        and r.time_limit <= most_seconds
    ]


def worst(rows: Sequence[Row], instance: str, solver: str) -> Row | None:
    """Of several seeds the one with the worst answer: a claim holds for all of them."""
    runs = solved(rows, instance, solver)
    return max(runs, key=lambda r: float("inf") if r.value is None or not r.valid else r.value, default=None)


def outcome(row: Row) -> str:
    """A run in a line."""
    if row.value is None:
        return f"{row.status} after {row.seconds:.1f} s"
    proof = "" if row.bound is None else f", bound {readable(row.bound, row.unit)}, gap {percent(row.gap)}"
    return f"{readable(row.value, row.unit)} {row.status}{proof}, {row.seconds:.1f} s"


def cut(row: Row, rival: Row) -> float | None:
    """By how much a run is below another one, relative; None where one of them has no checked plan."""
    if row.value is None or not row.valid or rival.value is None or rival.value <= 0:
        return None
    return 1.0 - row.value / rival.value


def mean(values: Iterable[float | None]) -> float | None:
    """Mean; None if there is nothing, or if something is missing."""
    several = list(values)
    known = [v for v in several if v is not None]
    return statistics.fmean(known) if known and len(known) == len(several) else None


def measured(rows: Sequence[Row], asked: Callable[[str], str]) -> list[Verdict]:
    """A verdict for each measurement that was judged or has a target, or failed; `asked` says what one is for."""
    return [
        Verdict(
            requirement=asked(row.instance),
            found=f"{row.value:.4g} {row.unit}; {row.message}" if row.value is not None else row.status,
            reached=False if row.value is None else row.reached,
        )
        for row in rows
        if row.kind == "measure"
        and not (row.target is None and row.reached is None and row.value is not None)
    ]
