"""`plan`: a whole plan, and what planning step by step would have lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dnnplan.instances import Instance, Result
from dnnplan.instances.arguments import refuse, require_search
from dnnplan.solvers.facade import solve

Method = Literal["sequential", "alternating", "joint"]
SOLVERS: dict[str, str] = {"sequential": "sequential", "alternating": "alternating", "joint": "auto"}
"""Solver of each method."""
SEQUENTIAL_PART = 0.3
"""Share of the time (or work) of the joint method for the sequential plan, which it starts from."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A whole plan, and the sequential one.

    Parameters
    ----------
    result
        The answer.
    sequential
        The answer of planning step by step, which method ``joint`` starts from; None for other methods.
    """

    result: Result
    sequential: Result | None = None

    @property
    def loss(self) -> float | None:
        """By how much the sequential value is above that of the answer, relative to it; None if unknown."""
        return self._above(self.result.objective.value)

    @property
    def loss_at_most(self) -> float | None:
        """By how much it is at most above the least value possible: relative to the bound; None if unknown."""
        return self._above(self.result.bound)

    def _above(self, value: float | None) -> float | None:
        if self.sequential is None or value is None or value <= 0:
            return None
        own = self.sequential.objective.value
        return None if own is None else max(0.0, own / value - 1.0)


def plan(
    instance: Instance,
    method: Method = "joint",
    *,
    time_limit: float | None = 60.0,
    work_limit: float | None = None,
    **options: Any,
) -> Planned:
    """Decide together which tasks share which blocks, in which order they run, and where.

    Parameters
    ----------
    method
        ``sequential``: task graph, then order, then mapping, each for itself. ``alternating``: the same in turn, with
        the costs of blocks where they run, to a fixed point. ``joint``: everything together, from the sequential plan
        on, so that it is never worse.
    time_limit, work_limit, options
        As in `solve`; for ``joint`` the sequential plan is part of the time.

    Raises
    ------
    InputError, UnsupportedError
        As in `solve`; another method.

    Examples
    --------
    >>> from dnnplan.instances.generators import whole_instance
    >>> planned = plan(whole_instance(2, 4, 2, seed=1), time_limit=10)
    >>> planned.result.status, planned.loss >= 0
    ('optimal', True)
    """
    if not isinstance(method, str) or method not in SOLVERS:
        refuse("method", method, f"one of {', '.join(SOLVERS)}")
    require_search(time_limit=time_limit, work_limit=work_limit)
    limits: Mapping[str, Any] = {"time_limit": time_limit, "work_limit": work_limit}
    options = {**options, "problem": "whole"}
    if method != "joint":
        return Planned(result=solve(instance, SOLVERS[method], **limits, **options))
    began = time.perf_counter()
    parts = {name: None if value is None else SEQUENTIAL_PART * value for name, value in limits.items()}
    first = solve(instance, SOLVERS["sequential"], **{**options, **parts})
    if first.stop_reason == "interrupted" or first.status in ("infeasible", "optimal"):
        return Planned(result=first, sequential=first)
    spent = time.perf_counter() - began
    left = {
        "time_limit": None if time_limit is None else max(0.0, time_limit - spent),
        "work_limit": None if work_limit is None else (1 - SEQUENTIAL_PART) * work_limit,
    }
    start = {"warm_start": first.plan} if first.plan is not None else {}
    result = solve(instance, SOLVERS["joint"], **{**options, **left, **start})
    return Planned(result=result, sequential=first)
