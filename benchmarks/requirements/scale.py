"""What the suite `scale` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.growth import MOST_EXPONENT
from benchmarks.requirements.verdict import Verdict, cut, not_run, worst
from benchmarks.suites.scale import INSTANCES
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent, readable

LEAST_CUT = 0.03
MOST_BYTES = 2e9


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Quality, memory and growth."""
    return [_below_heft(rows), _memory(rows), _growth(rows)]


def _below_heft(rows: Sequence[Row]) -> Verdict:
    text = f"10,000 layers x 16 devices, 60 s: auto at least {percent(LEAST_CUT)} below heft on each instance"
    found: dict[str, float | None] = {}
    for name in INSTANCES:
        auto, heft = worst(rows, name, "auto"), worst(rows, name, "heft")
        if auto is not None and heft is not None:
            found[name] = cut(auto, heft)
    if not found:
        return not_run(text)
    return Verdict(
        requirement=text,
        found="; ".join(f"{name} {percent(value)}" for name, value in found.items()),
        reached=all(value is not None and value >= LEAST_CUT for value in found.values()),
    )


def _memory(rows: Sequence[Row]) -> Verdict:
    text = f"10,000 layers x 16 devices: at most {readable(MOST_BYTES, 'bytes')} of memory"
    peaks = [r.peak_memory for r in rows if r.kind == "solve" and r.peak_memory is not None]
    if not peaks:
        return not_run(text)
    return Verdict(requirement=text, found=readable(max(peaks), "bytes"), reached=max(peaks) <= MOST_BYTES)


def _growth(rows: Sequence[Row]) -> Verdict:
    text = f"heuristics grow near-linearly from 100 to 10,000 layers: exponent at most {MOST_EXPONENT:g}"
    found = [r for r in rows if r.kind == "measure" and r.instance.startswith("growth-")]
    if not found:
        return not_run(text)
    said = (
        f"{r.instance.removeprefix('growth-')} " + ("failed" if r.value is None else f"{r.value:.2f}")
        for r in found
    )
    return Verdict(requirement=text, found=", ".join(said), reached=all(r.reached is True for r in found))
