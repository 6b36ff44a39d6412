"""What on this machine makes measured times doubtful."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

BUSY = 0.25
"""Load of the last minute, in cores, above which it is mentioned."""
STEADY = ("performance", "userspace")
FREQUENCY = "/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"


def load_warning() -> list[str]:
    """A warning if other processes keep the machine busy; ask before anything is measured."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return []
    if load <= BUSY:
        return []
    return [f"the machine is not idle: load {load:.2f} in the last minute; times are less certain"]


def core_warnings(cores: Iterable[int], *, shared: bool = False) -> list[str]:
    """Warnings about cores whose frequency varies, that share one core, or that devices share."""
    cores = sorted(set(cores))
    found = []
    varying = [core for core in cores if _read(FREQUENCY, core) not in ("", *STEADY)]
    if varying:
        names = ", ".join(map(str, varying))
        found.append(f"the frequency of core {names} varies (governor {_read(FREQUENCY, varying[0])!r})")
    siblings: dict[str, list[int]] = {}
    for core in cores:
        own = _read("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list", core)
        siblings.setdefault(own or str(core), []).append(core)
    for group in siblings.values():
        if len(group) > 1:
            names = ", ".join(map(str, group))
            found.append(f"cores {names} are threads of one core: devices slow each other down")
    if shared:
        found.append("devices share cores: what is predicted holds for cores of their own")
    if not hasattr(os, "sched_setaffinity"):
        found.append("threads cannot be pinned to cores on this system")
    return found


def _read(path: str, core: int) -> str:
    try:
        return Path(path.format(core=core)).read_text().strip()
    except OSError:
        return ""
