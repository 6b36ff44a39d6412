"""What a processor is to the runtime."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

BLOCK, WIDE_BLOCK = 8, 16
"""Channels of a block of the blocked layout on processors with AVX2, and with AVX-512."""


@functools.cache
def channel_block() -> int:
    """Channels of a block where the runtime blocks them, on this processor."""
    return WIDE_BLOCK if "avx512f" in _processor("flags").split() else BLOCK


@functools.cache
def device_name() -> str:
    """The name of the processor, as the system calls it."""
    return _processor("model name") or platform.processor() or platform.machine()


def _processor(entry: str) -> str:
    """What Linux says of the first processor; empty elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(entry):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""
