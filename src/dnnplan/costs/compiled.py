"""Compilation on first use, so that short runs never wait for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

_ready: set[str] = set()


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by numba; compiled code is cached on disk."""
    import numba  # noqa: PLC0415

    _ready.add(function.__name__)
    return numba.njit(cache=True)(function)  # type: ignore[no-any-return]


def is_ready(function: Callable[..., Any]) -> bool:
    """Whether this process has already asked for the compiled form of a function."""
    return function.__name__ in _ready
