"""What the suite `auckland` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.published import compared, count, none_contradicted, proved_by
from benchmarks.requirements.verdict import Verdict
from benchmarks.suites.auckland import SECONDS, references
from dnnplan.reports.runs import Row

LEAST_PROVEN = 0.98
START_UP = 0.5
"""By how much the time limit may be overrun."""


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Proofs, and that none contradicts the database."""
    several = compared(rows, references)
    return [
        count(
            f"Auckland: {LEAST_PROVEN:.0%} proven optimal within {SECONDS:g} s each",
            several,
            proved_by(SECONDS + START_UP),
            share=LEAST_PROVEN,
        ),
        none_contradicted("Auckland: no published optimum contradicted", several, "optimum", "optimum"),
    ]
