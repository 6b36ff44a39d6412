"""Several networks at several rates: the largest common factor on all rates, baselines and ours, with the bound."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.rates import SCENARIOS, SECONDS, SOLVERS

SUMMARY = "largest common request rate of three scenarios: npu_only, best_device, genetic and auto"


def cases() -> Iterator[Measurement]:
    """Every solver on every scenario."""
    for scenario in SCENARIOS:
        for solver in SOLVERS:
            yield Measurement(name=f"{scenario}-{solver}", module="benchmarks.rates", seconds=SECONDS)
