"""The default for the whole plan: everything together, from the sequential plan on."""

from __future__ import annotations

from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.alternating import alternate
from dnnplan.solvers.whole.exact import solve_whole_exactly
from dnnplan.solvers.whole.lns import improve_whole
from dnnplan.solvers.whole.parts import FOREVER, OBJECTIVES, bound_first, seconds_of
from dnnplan.solvers.whole.sequential import run_steps
from dnnplan.solvers.whole.start import propose_at_last

FIRST_PART, TURNS_PART = 0.3, 0.1
"""Shares of the time left: for the sequential plan where there is none yet, and for task graph and mapping in turn."""
SMALL_PART = 0.1
"""The first of them where exact search follows at once; task graph and mapping in turn then have half of it."""
EXACT_PAIRS = 400
"""Layers (nothing shared) x devices up to which exact search has most of the time; above it large neighbourhoods."""
LARGE_PART = 0.7
"""Share of the time left for large neighbourhoods where exact search comes after them."""


class Auto:
    """The sequential plan, task graph and mapping in turn, then all together, exactly or in large neighbourhoods.

    The search starts from the plan that it is given, or from the sequential one where it is given none: so the answer
    is never worse than that. Small problems are solved exactly, by task graphs and as one model in turn; large ones by
    large neighbourhoods, with the bounds that exact search has after them.
    """

    summary = "default: the sequential plan, then everything together, exactly or in large neighbourhoods"
    capabilities = Capabilities(problem="whole", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """Until optimality is proven or the limits are reached."""
        self._run(problem, search)
        propose_at_last(problem, search)

    def _run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        bound_first(problem, search)
        if search.finished():
            return
        if problem.grouping is None:
            run_steps(problem, search)
            return
        tried: set[Groups] = set()
        large = problem.mapping(problem.apart).choices > EXACT_PAIRS
        if search.best is None:
            steps = run_steps(
                problem, search, seconds_of(search, FOREVER, FIRST_PART if large else SMALL_PART)
            )
            tried = {steps.groups} if steps is not None else set()
        if not search.finished():
            part = TURNS_PART if large else SMALL_PART / 2
            alternate(problem, search, seconds_of(search, FOREVER, part), tried=tried)
        if search.finished():
            return
        if large:
            improve_whole(problem, search, seconds_of(search, FOREVER, LARGE_PART))
        if not search.finished():
            solve_whole_exactly(problem, search)
        if not search.finished():
            improve_whole(problem, search, seconds_of(search, FOREVER, 1.0))
