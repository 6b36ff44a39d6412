"""How long heft takes on a task graph of SAGA, beside the time that is recorded for SAGA's own HEFT."""

from __future__ import annotations

from benchmarks.case import Measured
from benchmarks.data import data_folder
from benchmarks.suites.saga import FOLDER, recorded_seconds
from benchmarks.timings import Timing, take, time_heft
from dnnplan.instances.files import read_instance

FASTER = 50.0


def measure(name: str) -> Measured:
    """Median seconds of heft, warm, on ``heft-INSTANCE``; the target is a fiftieth of the recorded time."""
    stem = name.removeprefix("heft-")
    recorded = recorded_seconds(stem, "HEFT")
    instance = read_instance(data_folder() / FOLDER / f"{stem}.json")
    return take(
        Timing(
            what=f"heft on {stem}, warm",
            target=None if recorded is None else recorded / FASTER,
            prepare=lambda: time_heft(instance),
            warm=3,
        )
    )
