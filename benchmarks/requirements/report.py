"""What reports are to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "open:1000-rows": "a report of 1,000 rows opens in Chromium, all charts drawn, within 2 s",
    "size:1000-rows": "a report of 1,000 rows is a file of at most 10 MB",
    "open:10000-layers": "the report of a plan of 10,000 layers opens in Chromium within 2 s (ours)",
    "size:10000-layers": "the report of a plan of 10,000 layers is a file of at most 10 MB (ours)",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict on each measurement."""
    return measured(rows, ASKED.__getitem__)
