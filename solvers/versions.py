"""The versions that an answer was computed with."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache  # reading the metadata of a package takes a millisecond
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """Version of every package that an answer depends on."""
    return {package: _version(package) for package in ("dnnplan", "ortools", "highspy", "pulp", "numpy")}
