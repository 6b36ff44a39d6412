"""What both models of ordering agree on: which steps there are, which sets of tasks run, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.instances import UnsupportedError

MOST_SCENARIOS = 64
MOST_CELLS = 40_000
"""Most scenarios, and most pairs (place, tool), that a model is built for."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """A set of tasks that run in a period, and with what probability; all of them surely without conditions."""

    tasks: tuple[int, ...]
    chance: float


def rounds_of(problem: OrderingProblem) -> tuple[Round, ...]:
    """The sets of tasks that can run together, those in which nothing runs left out.

    Raises
    ------
    UnsupportedError
        More than `MOST_SCENARIOS`.
    """
    if problem.scenarios is None:
        return (Round(tasks=tuple(range(problem.n)), chance=1.0),)
    found = tuple(
        Round(tasks=tuple(np.flatnonzero(runs).tolist()), chance=float(chance))
        for runs, chance in zip(problem.scenarios.runs, problem.scenarios.probability, strict=True)
        if runs.any() and chance > 0
    )
    if len(found) > MOST_SCENARIOS:
        raise UnsupportedError(
            f"{len(found)} sets of tasks can run together; the models take {MOST_SCENARIOS}"
        )
    return found


def steps_of(problem: OrderingProblem, tasks: tuple[int, ...]) -> list[tuple[int, int]]:
    """Steps that some order takes among tasks: allowed, not against a precedence, nothing in between that has to be."""
    between = problem.before[:, list(tasks)].astype(int) @ problem.before[list(tasks), :].astype(int) > 0
    return [
        (a, b)
        for a in tasks
        for b in tasks
        if a != b and np.isfinite(problem.switch[a, b]) and not problem.before[b, a] and not between[a, b]
    ]


def ends_of(problem: OrderingProblem, tasks: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Tasks that can be the first, and the last, of those that run."""
    rows = problem.before[np.ix_(tasks, tasks)]
    firsts = [t for k, t in enumerate(tasks) if not rows[:, k].any()]
    lasts = [t for k, t in enumerate(tasks) if not rows[k].any()]
    return [t for t in firsts if problem.closed or np.isfinite(problem.first[t])], lasts


def require_alike(problem: OrderingProblem) -> None:
    """Refuse a memory for which keeping what is needed soonest is a rule, and not the best that can be done.

    Raises
    ------
    UnsupportedError
        Tools of different sizes or costs, a memory whose size depends on the task, or a closed order.
    """
    tools = problem.tools
    if tools is None:
        return
    if problem.closed or not tools.switches:
        raise UnsupportedError(
            "the models know memories for tools alike, in open orders; use tool_search or auto"
        )
    if problem.n * len(tools.bytes) > MOST_CELLS:
        raise UnsupportedError(
            f"{problem.n} tasks x {len(tools.bytes)} tools, expected at most {MOST_CELLS} pairs"
        )


def most_cost(problem: OrderingProblem) -> float:
    """What an order may cost at most, with the tolerance of `check`; infinite without a limit.

    All limits are on the one cost, whatever name of it they or the objective have.
    """
    limits = limits_of(problem)
    return min(
        (limit / math.fsum(weight for _, weight in terms) for terms, limit in limits), default=math.inf
    )


def slots_of(problem: OrderingProblem) -> int:
    """Tools that fit at once."""
    assert problem.tools is not None
    return int((problem.tools.room + problem.tools.needs.sum(axis=1))[0])
