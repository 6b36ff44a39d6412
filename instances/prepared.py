"""Types of records, described to msgspec by one thread at a time."""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

T = TypeVar("T")
_lock = threading.Lock()
_ready: set[type] = set()


def prepared(record: type[T]) -> type[T]:
    """The type itself, once msgspec knows all of it: to be asked for wherever data become records.

    msgspec describes a type to itself when it first meets it, and looks at half a description if another thread meets
    it meanwhile: `msgspec.convert` in eight threads of a fresh process crashed it nearly every time (0.22.0).
    """
    if record not in _ready:
        with _lock:
            msgspec.json.Decoder(record)
            _ready.add(record)
    return record
