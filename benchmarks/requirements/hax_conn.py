"""What the suite `hax-conn` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.published import Compared, compared, count
from benchmarks.requirements.verdict import Verdict
from benchmarks.suites.hax_conn import OPTIMA, references
from dnnplan.reports.runs import Row

PROOF_SECONDS = 1.0
PRINTED = 5e-6
"""Seconds: optima are printed in milliseconds with two decimals."""


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """The optima of the model, with and without its static slow-down."""
    several = [c for c in compared(rows, references) if c.name in OPTIMA]
    wanted = " and ".join(f"{value * 1e3:.3g} ms" for value in OPTIMA.values())
    text = f"HaX-CoNN, GoogleNet + AlexNet: {wanted} (static slow-down), proven within {PROOF_SECONDS:g} s"
    return [count(text, several, _proved)]


def _proved(c: Compared) -> bool:
    same = c.run.value is not None and abs(c.run.value - c.references["optimum"]) <= PRINTED
    return same and c.run.status == "optimal" and c.run.seconds <= PROOF_SECONDS
