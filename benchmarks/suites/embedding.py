"""dnnplan inside other programs: cancelling every solver, eight threads at once, a search for networks."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.embedding_measurements import cancel_names

SUMMARY = "seconds from cancelling to the plan, every solver; eight threads at once; 1,000 candidates planned"
MODULE = "benchmarks.embedding_measurements"


def cases() -> Iterator[Measurement]:
    """Threads and the loop, then every solver."""
    yield Measurement(name="threads:larger", module=MODULE, seconds=120.0)
    yield Measurement(name="threads:", module=MODULE, seconds=60.0)
    yield Measurement(name="fresh-threads:", module=MODULE, seconds=300.0)
    yield Measurement(name="nas:1000", module=MODULE, seconds=30.0)
    yield Measurement(name="cold-cancel:mapping:auto", module=MODULE, seconds=10.0)
    for name in cancel_names():
        yield Measurement(name=name, module=MODULE, seconds=10.0)
