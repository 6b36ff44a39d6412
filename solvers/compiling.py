"""Whether compiled searches are there, or worth waiting for."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from dnnplan.costs.compiled import is_cached
from dnnplan.solvers.search import Run


def worth_waiting(search: Run[Any, Any], kernel: str, compiling: float, loading: float) -> bool:
    """Whether the time left allows for loading a compiled search, or for compiling it, once a machine.

    Parameters
    ----------
    kernel
        The compiled function, ``module:function``; imported only where there is time for that.
    compiling, loading
        Seconds from which waiting is worth it for the compiler, and for code that was compiled before.
    """
    if search.remaining >= compiling:
        return True
    if search.remaining < loading and "numba" not in sys.modules:
        return False
    module, name = kernel.split(":")
    function = getattr(importlib.import_module(module), name)
    # Functions without signatures are plain: the compiler is switched off.
    return bool(getattr(function, "signatures", True)) or (
        search.remaining >= loading and is_cached(function)
    )
