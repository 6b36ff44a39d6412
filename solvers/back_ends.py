"""What native back ends do wrong: not there, ended, or contradicting what was checked; each becomes a typed error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dnnplan.instances.errors import DnnplanError, MissingDependencyError, SolverError

if TYPE_CHECKING:
    from dnnplan.solvers.search import Run

log = logging.getLogger("dnnplan")
PACKAGES = ("ortools", "highspy", "pulp", "scipy")


def typed(error: BaseException) -> DnnplanError | None:
    """The error of the library that stands for one of a back end; None where it is not one of a back end."""
    if isinstance(error, DnnplanError):
        return None
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            return None
        return MissingDependencyError(
            f"the back end {package} cannot be loaded: {error}; install it anew (pip install --force-reinstall "
            f"{package}), "
            "or take a solver that does not need it (`dnnplan solvers`)"
        )
    if type(error).__module__.partition(".")[0] in PACKAGES:
        return SolverError(f"a native back end failed: {type(error).__name__}: {str(error)[:300]}")
    return None


def attempt(search: Run[Any, Any], work: Callable[[], object]) -> None:
    """Do what needs a back end; where that is missing or fails, say so in the log, and let others go on.

    Raises
    ------
    MissingDependencyError, SolverError
        The back end is missing or has failed, and there is no plan to go on from.
    """
    try:
        work()
    except Exception as error:
        back_end_failed(search, error)


def back_end_failed(search: Run[Any, Any], error: Exception) -> None:
    """Go on with what `auto` has found; raise the error, typed where it is one of a back end, for all others."""
    known = error if isinstance(error, MissingDependencyError | SolverError) else typed(error)
    if known is None or (known is error and search.name != "auto"):
        raise error
    if search.best is None or search.name != "auto":
        raise known from error
    log.warning("%s: %s; going on without it", search.name, known)


def contradiction(search: Run[Any, Any]) -> str:
    """What a search says against itself, "" for nothing: there is provably no plan, and yet there is one."""
    if search.infeasible is None or search.best is None:
        return ""
    return f"{search.name} claims that {search.infeasible}, yet a checked plan costs {search.value!r}"
