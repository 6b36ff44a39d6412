"""What the suite `saga` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.published import Compared, at_most, close, compared, count
from benchmarks.requirements.verdict import Verdict, mean, not_run
from benchmarks.saga_speed import FASTER
from benchmarks.suites.saga import recorded_seconds, references
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

LEAST_CUT, MOST_GAP, SMALL_ENOUGH = 0.06, 0.05, 6
PRINTED = 1e-6


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Against the best of all of SAGA's schedulers over all their hash seeds; proofs; the speed of heft."""
    several = compared(rows, references)
    small = [c for c in several if "_n50_" in c.name]
    return [
        count("SAGA, 60 s: never worse than the best of all its schedulers", several, _not_worse),
        _cuts(several),
        count(
            f"SAGA, 50 tasks: proven, or a gap of at most {percent(MOST_GAP)}, on {SMALL_ENOUGH} of 8",
            small,
            close(MOST_GAP),
            least=SMALL_ENOUGH,
        ),
        _speed(rows),
    ]


def _not_worse(c: Compared) -> bool:
    return "best" not in c.references or at_most(c.run.value, c.references["best"], PRINTED)


def _cuts(several: Sequence[Compared]) -> Verdict:
    text = f"SAGA, 60 s: at least {percent(LEAST_CUT)} below the best of its schedulers on average"
    known = [c for c in several if "best" in c.references]
    found = mean(None if c.run.value is None else 1 - c.run.value / c.references["best"] for c in known)
    if found is None:
        return not_run(text)
    return Verdict(
        requirement=text, found=f"{percent(found)} on {len(known)} instances", reached=found >= LEAST_CUT
    )


def _speed(rows: Sequence[Row]) -> Verdict:
    """Warm, from a view to the schedule, as SAGA's own times are: reading and importing apart."""
    text = f"heft at 1,000 tasks at least {FASTER:g} times faster than the recorded time of SAGA's HEFT"
    ratios = []
    for row in rows:
        if row.kind == "measure" and row.value is not None:
            recorded = recorded_seconds(row.instance.removeprefix("heft-"), "HEFT")
            if recorded is not None:
                ratios.append(recorded / row.value)
    if not ratios:
        return not_run(text)
    found = f"{min(ratios):.0f} to {max(ratios):.0f} times on {len(ratios)} instances"
    return Verdict(requirement=text, found=found, reached=min(ratios) >= FASTER)
