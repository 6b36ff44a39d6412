"""Under which conditions, and how often, something is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dnnplan.instances.errors import InputError

MAX_BATCH = 4096
MOST_UTILISATION = 0.95


@dataclass(frozen=True)
class Setting:
    """Conditions of a measurement.

    Attributes
    ----------
    threads
        Threads of the runtime, each pinned to a core of its own.
    batch
        Samples that run together.
    utilisation
        Share of the time that a background load is busy on the same cores, 0 to 0.95.
    """

    threads: int = 1
    batch: int = 1
    utilisation: float = 0.0

    def __post_init__(self) -> None:
        cores = len(available_cores())
        if not 1 <= self.threads <= cores:
            raise InputError(f"threads: {self.threads}, expected 1 to the {cores} cores of this machine")
        if not 1 <= self.batch <= MAX_BATCH:
            raise InputError(f"batch: {self.batch}, expected 1 to {MAX_BATCH}")
        if not 0 <= self.utilisation <= MOST_UTILISATION:
            raise InputError(f"utilisation: {self.utilisation}, expected 0 to {MOST_UTILISATION}")

    @property
    def cores(self) -> list[int]:
        """The cores that the threads are pinned to."""
        return available_cores()[: self.threads]


@dataclass(frozen=True)
class Effort:
    """How often a network is run: `warm_up` times unmeasured, then for about `seconds`, within `least` and `most`."""

    warm_up: int = 3
    least: int = 10
    most: int = 100
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not (self.warm_up >= 0 and 1 <= self.least <= self.most and 0 < self.seconds < float("inf")):
            raise InputError(f"effort: {self}, expected warm_up >= 0, 1 <= least <= most, seconds > 0")

    def runs(self, one: float) -> int:
        """Runs of something that takes `one` second."""
        return int(min(max(self.seconds / max(one, 1e-9), self.least), self.most))


def available_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cores: list[int]) -> None:
    """Keep the calling thread, and threads that it starts, on some cores; where the system cannot, nothing happens."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))
