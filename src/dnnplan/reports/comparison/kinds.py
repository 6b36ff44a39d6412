"""Which solvers are exact: those that prove optimality given time."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

from dnnplan.instances.errors import DnnplanError
from dnnplan.reports.comparison.cases import Case

Kind = Literal["exact", "heuristic"]


def kinds_of(cases: Iterable[Case]) -> dict[str, Kind]:
    """The kind of every method of some cases, in the order of the store.

    A solver that this installation does not know is exact if one of its rows is proven optimal.
    """
    found: dict[str, Kind] = {}
    for case in cases:
        for run in case.runs:
            problem = run.row.problem or (run.row.plan.problem if run.row.plan is not None else "")
            known = _known(run.row.solver, problem)
            exact = run.row.status == "optimal" if known is None else known
            if exact or run.method not in found:
                found[run.method] = "exact" if exact else "heuristic"
    return found


@cache
def _known(solver: str, problem: str) -> bool | None:
    """Whether a solver of that name is exact in a problem, or in any; None: there is no such solver."""
    from dnnplan.solvers.registry import PROBLEMS, get_solver

    answers = {}
    for name, own in PROBLEMS.items():
        if solver in own:
            try:
                answers[name] = get_solver(solver, name).capabilities.exact
            except (DnnplanError, ImportError):
                continue
    if problem in answers:
        return answers[problem]
    return any(answers.values()) if answers else None
