"""Why no choice of networks keeps the limits, and what the nearest limit is that one keeps."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from dnnplan.costs.judged import loosened
from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.formulations.grouping.selection.useful import useful
from dnnplan.solvers.grouping.selection_sets import MOST_TASKS, least_by_number, mask_of, parts_of
from dnnplan.solvers.search import TaskSearch

EXPLAINING_SECONDS = 5.0
"""Longest search for the nearest limit where tasks are too many for their sets to be listed."""


def covers(problem: SelectionProblem, search: TaskSearch[SelectionProblem]) -> bool:
    """Whether every task has a candidate that states a figure for it; if not, that is the reason of the search."""
    served = np.isfinite(problem.score).any(axis=0)
    if not served.all():
        task = problem.tasks[int(np.argmin(served))]
        search.infeasible = f'no candidate states {problem.name} for task "{task}"'
    return bool(served.all())


def explain(problem: SelectionProblem) -> str:
    """The limit that no choice keeps, and the least value that one keeps: of the number first, then of the budget.

    Every task has a candidate. To serve all tasks at the least cost, or with the fewest candidates, is a set cover: by
    the dynamic programme over sets of tasks, or by CP-SAT where tasks are many.
    """
    fewest, least = _by_sets(problem) if problem.n <= MOST_TASKS else _by_cpsat(problem)
    if fewest > problem.most:
        return f"limits.groups: {problem.most} cannot be kept; the least possible is {fewest:g}"
    if least > loosened(problem.budget):
        return f"limits.budget: {problem.budget:g} cannot be kept; the least possible is {least:.9g}"
    named = " and ".join(f"limits.{name}: {limit:g}" for name, limit in problem.limits.items())
    return f"no choice of networks keeps {named}" + (" together" if len(problem.limits) > 1 else "")


def _by_sets(problem: SelectionProblem) -> tuple[float, float]:
    """The fewest candidates that serve all tasks, and their least cost within `most`."""
    price = np.full(1 << problem.n, np.inf)
    for cost, row in zip(problem.cost.tolist(), np.isfinite(problem.score).tolist(), strict=True):
        within = parts_of(mask_of(row))
        price[within] = np.minimum(price[within], cost)
    best, _ = least_by_number(price, problem.n)
    costs = best[:, -1]
    return float(np.argmax(np.isfinite(costs))), float(costs[: problem.most + 1].min())


def _by_cpsat(problem: SelectionProblem) -> tuple[float, float]:
    """The same, where they are proven in time; else values that explain nothing."""
    from ortools.sat.python import cp_model

    from dnnplan.formulations.grouping.selection.cpsat import build

    def least(most: int, objective: str) -> float:
        relaxed = dataclasses.replace(problem, budget=math.inf, most=most, limits={})
        v = build(useful(relaxed), objective="cost" if objective == "cost" else "number")
        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = EXPLAINING_SECONDS
        if solver.solve(v.model) != cp_model.OPTIMAL:
            return -math.inf
        return float(solver.objective_value) * v.unit

    fewest = least(problem.m, "number")
    return fewest, math.inf if fewest > problem.most else least(problem.most, "cost")
