"""What the suite `embedding` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured, not_run
from dnnplan.reports.runs import Row

MEASURED = {
    "threads:": "eight threads at once, eight problems: the answers of one after the other",
    "threads:larger": "the same on larger instances",
    "fresh-threads:": "the same where all compiled code is missing",
    "cold-cancel:mapping:auto": "cancel in the first second of a process, while libraries are loaded",
    "nas:1000": "a search for networks: predictor and mapper 1,000 times",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """One verdict for all solvers on middle-size instances, one for large ones, and one for each other measurement."""
    cancels = [row for row in rows if row.instance.startswith("cancel:")]
    middle = [row for row in cancels if row.instance.count(":") == 2]
    large = [row for row in cancels if row.instance.count(":") > 2]
    others = [row for row in rows if not row.instance.startswith("cancel:")]
    return [
        _cancel("cancel from another thread returns within 0.5 s, every solver of every problem", middle),
        _cancel("the same on 2,000 layers and 8 devices, every solver of mapping", large),
        *measured(others, lambda name: MEASURED.get(name, name)),
    ]


def _cancel(text: str, rows: Sequence[Row]) -> Verdict:
    if not rows:
        return not_run(text)
    late = [row for row in rows if not row.reached]
    slowest = max(rows, key=lambda row: row.value or 0.0)
    missed = f"; not {', '.join(row.instance for row in late[:5])}" if late else ""
    found = (
        f"{len(rows) - len(late)} of {len(rows)}; slowest {slowest.value or 0.0:.2f} s ({slowest.instance})"
    )
    return Verdict(requirement=text, found=found + missed, reached=not late)
