"""Compilation on first use, so that short runs never wait for the compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_compiled: dict[Callable[..., Any], Any] = {}
_lock = threading.Lock()


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Callable[..., Any]:
    """The function compiled by numba at its first call; compiled code is cached on disk.

    Parameters
    ----------
    nogil
        Whether it runs without the interpreter's lock: for what takes longer than other threads may wait.
    """
    if function not in _compiled:
        import numba

        with _lock:
            if function not in _compiled:
                _compiled[function] = numba.njit(cache=True, nogil=nogil)(function)
    return _compiled[function]  # type: ignore[no-any-return]


def is_ready(function: Callable[..., Any]) -> bool:
    """Whether the compiled form has run in this process, so that a call costs nothing extra."""
    return function in _compiled and bool(_compiled[function].signatures)


def is_cached(dispatcher: Any) -> bool:
    """Whether compiled code of a numba function lies on disk, so that the first call takes no seconds."""
    folder = Path(dispatcher.stats.cache_path)
    return any(folder.glob(f"*.{dispatcher.py_func.__name__}-*.nbi"))
