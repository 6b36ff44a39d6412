"""Large neighbourhoods of whole plans."""

from __future__ import annotations

from dnnplan.costs.whole import WholeProblem
from dnnplan.solvers.search import TaskSearch


def improve_whole(problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float) -> None:
    """Improve the incumbent for some seconds."""
