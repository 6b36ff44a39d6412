"""What the suite of re-planning is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "deadline": "re-plan: a valid plan within 50 ms for 200 layers on 4 devices, never worse than the repaired old one",
    "long": "the plan of 50 ms within 5 % of that of 3 s",
    "scale": "re-plan of larger networks, 1 ms for each 4 layers",
    "small": "small instances: the proven optimum within 50 ms",
    "evaluation": "what every re-plan needs: view, evaluation, check",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each measurement."""
    return measured(rows, _asked)


def _asked(measurement: str) -> str:
    kind, _, rest = measurement.partition(":")
    return f"{ASKED[kind]} ({rest})" if rest else ASKED[kind]
