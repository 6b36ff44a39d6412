"""What the suite `memory` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, cut, not_run, outcome, worst
from benchmarks.suites.memory import SHARES, case_name
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """For every share: a valid plan with a gap, and what pinning saves."""
    return [_pinned(rows, share) for share in SHARES]


def _pinned(rows: Sequence[Row], share: float) -> Verdict:
    text = (
        f"nine networks, memory for {percent(share)} of the weights: valid plan, gap, pinning beats streaming"
    )
    chosen, streamed = (worst(rows, case_name(share, weights), "auto") for weights in ("choice", "streamed"))
    if chosen is None or streamed is None:
        return not_run(text)
    saved = cut(chosen, streamed)
    return Verdict(
        requirement=text,
        found=f"{outcome(chosen)}; streaming {outcome(streamed)}: {percent(saved)} less",
        reached=saved is not None and saved > 0 and chosen.gap is not None,
    )
