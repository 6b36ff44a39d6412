"""Ten thousand layers on sixteen devices, and how heuristics grow up to there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case, Measurement
from benchmarks.growth import HEURISTICS
from benchmarks.suites.generated import network

SUMMARY = "10,000 layers x 16 devices: heft and auto; growth of the heuristics from 100 layers on"

LAYERS, DEVICES = 10_000, 16
INSTANCES = {
    f"{family}-{LAYERS}x{DEVICES}-ccr{ccr:g}": partial(network, family, LAYERS, DEVICES, ccr=ccr)
    for family, ccr in (("layered", 1.0), ("layered", 5.0), ("erdos", 1.0), ("fork-join", 1.0))
}
SECONDS = 60.0


def cases() -> Iterator[Case | Measurement]:
    """Growth first, then the large instances."""
    for solver in HEURISTICS:
        yield Measurement(name=f"growth-{solver}", module="benchmarks.growth", seconds=60.0)
    for name, build in INSTANCES.items():
        for solver in ("heft", "auto"):
            yield Case(instance=name, build=build, solver=solver, time_limit=SECONDS)
