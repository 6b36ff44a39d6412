"""Memory that a process and all it started hold, as the system counts it, and whether the system ran out of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def tree_memory(root: int) -> int:
    """Sum of the resident sets of a process and its descendants, bytes; 0 where it is gone.

    Pages that several of them share count several times. From ``/proc`` on Linux, elsewhere from ``ps``.
    """
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return _tree_from_ps(root)
    page = os.sysconf("SC_PAGE_SIZE")
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        try:
            total += int(_read(f"/proc/{process}/statm").split()[1]) * page
            for thread in os.listdir(f"/proc/{process}/task"):
                waiting += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
        except (OSError, IndexError):
            # It, or one of its threads, ended meanwhile.
            continue
    return total


def out_of_memory_kills() -> int | None:
    """How often the system has ended a process since it was started because memory ran out; None: unknown."""
    try:
        for line in _read("/proc/vmstat").splitlines():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def _read(path: str) -> bytes:
    # A file of /proc is one read; `Path.read_bytes` asks for its size first and takes twice as long.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 2**16)
    finally:
        os.close(descriptor)


def _tree_from_ps(root: int) -> int:
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False)
    rows = [tuple(map(int, line.split())) for line in listed.stdout.splitlines() if line.strip()]
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += sum(kib * 1024 for p, _, kib in rows if p == process)
        waiting += [p for p, parent, _ in rows if parent == process]
    return total
