"""How long the library itself takes: heuristics, evaluation, check, readers, start."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.timings import MEASUREMENTS

SUMMARY = "timings of heft, evaluate, check, reading and start-up against their targets"


def cases() -> Iterator[Measurement]:
    """Every measurement there is."""
    for name in MEASUREMENTS:
        yield Measurement(name=name)
