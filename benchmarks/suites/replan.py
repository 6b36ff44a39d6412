"""Re-planning after change events: time to a plan, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.replan_measurements import FAMILIES

SUMMARY = "re-planning after random events: time to a checked plan, gain over the repaired one, what more time gives"
MODULE = "benchmarks.replan_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each question."""
    for family in FAMILIES:
        yield Measurement(name=f"deadline:{family}", module=MODULE, seconds=60.0)
    for family in FAMILIES:
        yield Measurement(name=f"long:{family}", module=MODULE, seconds=200.0)
    for size in ("500x4", "1000x8"):
        yield Measurement(name=f"scale:{size}", module=MODULE, seconds=60.0)
    yield Measurement(name="small", module=MODULE, seconds=200.0)
    yield Measurement(name="evaluation", module=MODULE, seconds=30.0)
