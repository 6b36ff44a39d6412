"""Serving of early-exit networks: the simulator, policies on a grid, small systems, arrays, splits, the optimum."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.serving_grid import INSTANCES, cells
from benchmarks.serving_measurements import OPTIMUM, SPEEDS, SPLITS

SUMMARY = "serving of early-exit networks: policies on a grid of arrays, arrivals and loads, and the optimum"
MODULE = "benchmarks.serving_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each question."""
    yield Measurement(name="inoue", module=MODULE, seconds=60.0)
    yield Measurement(name="twin", module=MODULE, seconds=120.0)
    for policy in SPEEDS:
        yield Measurement(name=f"speed:{policy}", module=MODULE, seconds=60.0)
    for cell in cells():
        yield Measurement(name=f"grid:{cell.name}", module=MODULE, seconds=60.0)
    for instance in INSTANCES:
        for load in (0.5, 0.8):
            yield Measurement(name=f"best-policy:{instance}|{load:g}", module=MODULE, seconds=60.0)
    for instance in INSTANCES:
        yield Measurement(name=f"npus:{instance}", module=MODULE, seconds=60.0)
    for split in SPLITS:
        yield Measurement(name=f"split:{split}", module=MODULE, seconds=120.0)
    for question in OPTIMUM:
        yield Measurement(name=f"optimum:{question}", module=MODULE, seconds=200.0)
