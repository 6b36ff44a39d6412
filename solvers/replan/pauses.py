"""No garbage collection while milliseconds count: a full one of a large process takes longer than a whole re-plan."""

from __future__ import annotations

import gc
import threading

LONGEST = 1.0
"""Seconds up to which collection waits; what is planned in longer ones can afford it."""
_lock = threading.Lock()
_state = {"running": 0, "enabled": False}


class WithoutCollection:
    """Put off the cyclic garbage collector of the process for a time that short; several threads may.

    A class and not a generator: what has waited is collected at the next allocation, and a generator that ends makes an
    exception, so that the collection would come before the plan is handed back.

    Parameters
    ----------
    seconds
        How long it is to wait.
    """

    def __init__(self, seconds: float) -> None:
        self.short = seconds <= LONGEST

    def __enter__(self) -> None:
        if self.short:
            with _lock:
                if _state["running"] == 0:
                    _state["enabled"] = gc.isenabled()
                    gc.disable()
                _state["running"] += 1

    def __exit__(self, *_: object) -> None:
        if self.short:
            with _lock:
                _state["running"] -= 1
                if _state["running"] == 0 and _state["enabled"]:
                    gc.enable()
