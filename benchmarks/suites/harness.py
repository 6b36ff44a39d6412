"""The harness itself: what it adds to a solve, how well workers add up, and that nothing gets lost."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement

SUMMARY = "what the harness adds to a solve, how two workers add up, 100 times kill -9 during a sweep"
MODULE = "benchmarks.harness_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each target."""
    yield Measurement(name="overhead", module=MODULE, seconds=60.0)
    yield Measurement(name="throughput:local", module=MODULE, seconds=150.0)
    yield Measurement(name="throughput:dask", module=MODULE, seconds=150.0)
    yield Measurement(name="kills:local", module=MODULE, seconds=600.0)
    yield Measurement(name="kills:dask", module=MODULE, seconds=600.0)
