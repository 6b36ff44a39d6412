"""The bound that takes some seconds, on a search: reported, and its placements handed on as a guide."""

from __future__ import annotations

import math

from dnnplan.costs import MappingProblem
from dnnplan.formulations.mapping.bounds import Guide, strong_bound
from dnnplan.solvers.search import Search

SHARE, LONGEST, UNLIMITED = 0.15, 30.0, 10.0
"""Share of the time left, most seconds, and seconds where there is no limit."""


def bound_by_relaxation(problem: MappingProblem, search: Search, *, share: float = SHARE) -> Guide | None:
    """Report the bound of the linear relaxation; return what it says of placements, if it was solved.

    Takes at most a share of the time that is left. Nothing is done under a work limit, which must not depend on the
    clock.
    """
    if math.isfinite(search.remaining_work) or search.finished():
        return None
    limit = min(share * search.remaining, LONGEST) if math.isfinite(search.remaining) else UNLIMITED
    found = strong_bound(
        problem, value=search.value, time_limit=limit, keep_going=lambda: not search.finished()
    )
    if found.bound is not None:
        search.improve_bound(found.bound.value, found.bound.name)
    return found.guide
