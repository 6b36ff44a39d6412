"""Acting on plans: split, and running what was split."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.deploy_measurements import LARGE, NETWORKS
from benchmarks.run_measurements import OVERHEAD, PAIRS

SUMMARY = "plans in action: time of split, outputs of the parts against those of the models, running them"
SPLIT = "benchmarks.deploy_measurements"
RUN = "benchmarks.run_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each question."""
    for how in ("command", "library"):
        yield Measurement(name=f"split:{how}", module=SPLIT, seconds=30.0)
    for network in NETWORKS:
        yield Measurement(name=f"equal:{network}", module=SPLIT, seconds=120.0 if network in LARGE else 60.0)
    for what in OVERHEAD:
        yield Measurement(name=f"overhead:{what}", module=RUN, seconds=60.0)
    for pair in PAIRS:
        for kind in ("prediction", "gain"):
            yield Measurement(name=f"{kind}:{'+'.join(pair)}", module=RUN, seconds=120.0)
