"""How compiled functions are made. Importing this module loads numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compiled at the first call; plain Python where numba is told so (NUMBA_DISABLE_JIT), the twin in the tests."""
    return _made(function)


def inner(function: Function) -> Function:
    """The same for functions that only compiled code calls: a third of the compiler's time is ways in from Python.

    Called from Python they end the process: there is no way in.
    """
    return _made(function, no_cpython_wrapper=True)


def bare(function: Function) -> Function:
    """The same for those that make no arrays, and return none.

    Most of the time of a short function goes into counting references to the arrays that it is handed, each by itself;
    here nobody counts. What makes arrays, or copies one into another, is refused by the compiler.
    """
    return _made(function, no_cpython_wrapper=True, _nrt=False)


def _made(function: Function, **options: bool) -> Function:
    found: Function = numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, **options)(function)
    return found
