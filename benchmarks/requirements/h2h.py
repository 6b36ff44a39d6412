"""What the suite `h2h` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.h2h_printed import PRINTED
from benchmarks.requirements.verdict import Verdict, not_run, worst
from benchmarks.suites.h2h import NAMES
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

LEAVES, MOST_GAP, SHARE = 0.03, 0.05, 2 / 3
"""A bound leaves room from 3 % on; gap, and the share of rows that are to have it."""


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Printed rows, auto against step 4, and gaps."""
    return [_reproduced(rows), _beaten(rows), _close(rows)]


def _reproduced(rows: Sequence[Row]) -> Verdict:
    text = "steps 1-3 of H2H: the printed rows, to the last digit"
    found = [row for row in rows if row.instance == "h2h-printed-rows" and row.value is not None]
    if not found:
        return not_run(text)
    return Verdict(requirement=text, found=f"{found[-1].value:g} rows", reached=found[-1].reached)


def step_four(rows: Sequence[Row], name: str) -> float | None:
    """The least that step 4 reaches on an instance: as printed, or here."""
    printed = [p.remapped for p in PRINTED if f"h2h/{p.model}-{p.bandwidth}" == name and p.remapped]
    ours = [row.value for row in rows if row.instance == name and row.solver == "h2h" and row.value]
    return min(printed + ours, default=None)


def _beaten(rows: Sequence[Row]) -> Verdict:
    text = "auto never worse than step 4 of H2H, better where its bound leaves more than 3 %"
    compared, missed = 0, []
    for name in NAMES:
        reference, run = step_four(rows, name), worst(rows, name, "auto")
        if reference is None or run is None or run.value is None:
            continue
        compared += 1
        room = run.bound is not None and reference > run.bound * (1 + LEAVES)
        # Printed figures have six decimals.
        if run.value > reference + 0.51e-6 or (room and run.value >= reference * (1 - 1e-6)):
            missed.append(name)
    if not compared:
        return not_run(text)
    found = f"{compared - len(missed)} of {compared}" + "".join(f"; not {name}" for name in missed)
    return Verdict(requirement=text, found=found, reached=not missed)


def _close(rows: Sequence[Row]) -> Verdict:
    text = f"gap of auto at most {percent(MOST_GAP)} on two thirds of the suite"
    runs = [run for name in NAMES if (run := worst(rows, name, "auto")) is not None]
    if not runs:
        return not_run(text)
    close = sum(run.gap is not None and run.gap <= MOST_GAP for run in runs)
    proven = sum(run.status == "optimal" for run in runs)
    return Verdict(
        requirement=text,
        found=f"{close} of {len(runs)}, {proven} proven",
        reached=close >= SHARE * len(runs),
    )
