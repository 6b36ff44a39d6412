"""What `make bench` runs in half an hour: every target that the project sets itself, and a sample of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from benchmarks.case import Case, Measurement
from benchmarks.suites import generated, limits, real_networks, small, speed

SUMMARY = "half an hour: every target, and a sample of the other suites"

SMALL_INSTANCES = 5


def cases() -> Iterator[Case | Measurement]:
    """Targets first, then the sample."""
    yield from speed.cases()
    yield small.AGREEMENT
    for name in (real_networks.PAIR, real_networks.FOUR, real_networks.NINE):
        yield from real_networks.mixture(name)
    yield from limits.cases()
    for case in generated.cases():
        if case.solver in ("heft", "auto") and ("-100x4" in case.instance or case.instance.count("-") > 1):
            yield case
    yield from islice(small.cases(), 1, 1 + SMALL_INSTANCES * len(small.SOLVERS))
