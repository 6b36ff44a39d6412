"""A background load: processes that are busy for a share of each period, one on each core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

from dnnplan.costs.profile.setting import pin

PERIOD = 0.01
"""Seconds; about the time slices of schedulers, short against most networks."""


@contextlib.contextmanager
def background_load(utilisation: float, cores: list[int]) -> Iterator[None]:
    """Keep each core busy for a share of the time while the context lasts.

    The share is of wall-clock time: a load of 0.5 that has to wait for the core asks for it again in the next period,
    as a periodic task does. The load, and that it is what utilisation means, are ours.
    """
    if utilisation <= 0:
        yield
        return
    context = multiprocessing.get_context("spawn")
    loads = [
        context.Process(target=be_busy, args=(utilisation, core, os.getpid()), daemon=True) for core in cores
    ]
    for load in loads:
        load.start()
    try:
        time.sleep(0.5)  # until the processes have started
        yield
    finally:
        for load in loads:
            load.terminate()
        for load in loads:
            load.join()


def end_with(parent: int) -> None:
    """End this process when its parent is gone, looking each second: workers of a pool do not notice themselves."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def be_busy(utilisation: float, core: int, parent: int) -> None:
    """Spin and sleep on one core until the parent is gone."""
    pin([core])
    while os.getppid() == parent:
        start = time.perf_counter()
        while time.perf_counter() - start < utilisation * PERIOD:
            pass
        time.sleep(max(0.0, PERIOD - (time.perf_counter() - start)))
