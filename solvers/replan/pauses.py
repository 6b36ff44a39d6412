"""No garbage collection while milliseconds count: a full one of a large process takes longer than a whole re-plan."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 1.0
"""Seconds up to which collection waits; what is planned in longer ones can afford it."""
_lock = threading.Lock()
_state = {"running": 0, "enabled": False}


@contextmanager
def without_collection(seconds: float) -> Iterator[None]:
    """Put off the cyclic garbage collector of the process for a time that short; several threads may."""
    if seconds > LONGEST:
        yield
        return
    with _lock:
        if _state["running"] == 0:
            _state["enabled"] = gc.isenabled()
            gc.disable()
        _state["running"] += 1
    try:
        yield
    finally:
        with _lock:
            _state["running"] -= 1
            if _state["running"] == 0 and _state["enabled"]:
                gc.enable()
