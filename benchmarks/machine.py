"""What a row was measured on, and with: hardware, system, versions. No host names, no paths, no users."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dnnplan

PACKAGES = ("ortools", "highspy", "pulp", "numpy", "numba", "onnx")
GIBIBYTE = 2**30


@cache
def describe_machine() -> dict[str, str | int]:
    """Processor model, cores that may be used, memory in whole GiB, and operating system."""
    return {
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "memory_gib": _memory_gib(),
        "os": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


@cache
def describe_versions() -> dict[str, str]:
    """Versions of the packages that an answer depends on; `code` is a digest of the library's own sources.

    A version number stays the same while the library is being worked on, so it alone would make a store
    take yesterday's rows for today's.
    """
    found = {name: _version(name) for name in PACKAGES}
    return {"dnnplan": dnnplan.__version__} | found | {"code": _source_digest()}


def machine_line(machine: dict[str, str | int]) -> str:
    """One line for people.

    >>> machine_line({"cpu": "Z80", "cores": 1, "memory_gib": 0, "os": "CP/M 2", "python": "CPython 3.11.9"})
    'Z80, 1 core, 0 GiB, CP/M 2, CPython 3.11.9'
    """
    cores = machine.get("cores", "?")
    return (
        f"{machine.get('cpu', '?')}, {cores} core{'' if cores == 1 else 's'}, "
        f"{machine.get('memory_gib', '?')} GiB, {machine.get('os', '?')}, {machine.get('python', '?')}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _source_digest() -> str:
    """First 12 hexadecimal digits of a SHA-256 over the Python files of the library, in order of names."""
    spec = importlib.util.find_spec("dnnplan")
    digest = hashlib.sha256()
    for folder in (spec.submodule_search_locations if spec else None) or ():
        root = Path(folder)
        # `followlinks`: three rooms of the library are links in a checkout.
        files = [
            Path(at) / f
            for at, _, names in os.walk(root, followlinks=True)
            for f in names
            if f.endswith(".py")
        ]
        for file in sorted(files):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _cpu_model() -> str:
    """Model name as the system tells it; on Linux `platform.processor()` is often empty."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE)
    except (AttributeError, ValueError, OSError):
        return 0
