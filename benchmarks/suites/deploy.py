"""Acting on plans: what the runner adds, and predictions against what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.run_measurements import OVERHEAD, PAIRS

SUMMARY = "split plans run on two cores: overhead of the runner, predicted against measured after calibration, gains"
RUNNING = "benchmarks.run_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each question."""
    for what in OVERHEAD:
        yield Measurement(name=f"overhead:{what}", module=RUNNING, seconds=60.0)
    for pair in PAIRS:
        for kind in ("prediction", "gain"):
            yield Measurement(name=f"{kind}:{'+'.join(pair)}", module=RUNNING, seconds=120.0)
