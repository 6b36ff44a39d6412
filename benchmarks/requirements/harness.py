"""What the harness itself is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "overhead": "at most 2 % on top of solves of 1 s",
    "throughput:local": "two local workers at least 1.7 times one, at solves of 5 s and more",
    "throughput:dask": "two workers through Dask at least 1.5 times one",
    "kills:local": "100 random kill -9 during a sweep: after a resume every row once, no problem in the store",
    "kills:dask": "the same through Dask, its workers included",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each measurement."""
    return measured(rows, ASKED.__getitem__)
