"""Compilation on first use, so that short runs never wait for the compiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by numba; compiled code is cached on disk."""
    import numba  # noqa: PLC0415

    return numba.njit(cache=True)(function)  # type: ignore[no-any-return]
