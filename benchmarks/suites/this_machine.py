"""Latency of this machine: measured, learned from sampled operators, predicted. It should do nothing else meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.suites.predictors import MODULE

SUMMARY = (
    "latency of this machine: sampled operators, networks predicted from them, a regression for each module"
)


def cases() -> Iterator[Measurement]:
    """Networks with one thread and with two, then modules over batch, threads and load."""
    for threads in (1, 2):
        yield Measurement(name=f"this-machine:{threads}", module=MODULE, seconds=1200.0)
    yield Measurement(name="modules", module=MODULE, seconds=1200.0)
