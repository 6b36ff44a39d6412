"""What the suite `energy` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, mean, not_run
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

MOST_GAP = 0.05


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Gaps of auto: at most 5 % for energy; for the energy-delay product they are said."""
    return [_energy(rows), _product(rows)]


def _gaps(rows: Sequence[Row], objective: str) -> list[float | None]:
    runs = [r for r in rows if r.solver == "auto" and r.objective == objective]
    return [r.gap if r.valid else None for r in runs]


def _energy(rows: Sequence[Row]) -> Verdict:
    text = f"real networks, energy: gap of auto at most {percent(MOST_GAP)} on every mixture"
    gaps = _gaps(rows, "energy")
    if not gaps:
        return not_run(text)
    known = [gap for gap in gaps if gap is not None]
    return Verdict(
        requirement=text,
        found=f"{sum(gap <= MOST_GAP for gap in known)} of {len(gaps)}, largest {percent(max(known, default=None))}",
        reached=len(known) == len(gaps) and max(known) <= MOST_GAP,
    )


def _product(rows: Sequence[Row]) -> Verdict:
    text = "real networks, energy-delay product: valid plans with a gap"
    gaps = _gaps(rows, "edp")
    if not gaps:
        return not_run(text)
    average = mean(gaps)
    return Verdict(
        requirement=text, found=f"{len(gaps)} runs, mean gap {percent(average)}", reached=average is not None
    )
