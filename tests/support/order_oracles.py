"""The best order by trying all of them, through the judge of plans that shares no code with the views."""

from __future__ import annotations

import math
from itertools import permutations

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.tasks import _of_tasks
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.instances import Instance, Plan


def judged_cost(instance: Instance, order: tuple[str, ...]) -> tuple[float, int]:
    """Cost of an order as `check` works it out, and how many rules the order breaks."""
    names = [task.name for task in instance.effective_tasks()]
    groups = instance.sharing.groups if instance.sharing is not None else ()
    found = Findings()
    own = _of_tasks(instance, Plan(problem="ordering", task_order=order, groups=groups), names, found)
    return own.get("switching", math.inf), len(found)


def best_by_trying(instance: Instance) -> float:
    """Least cost of an order that breaks no rule; infinite if there is none."""
    problem = ordering_problem(instance)
    best = math.inf
    for order in permutations(range(problem.n)):
        if not problem.keeps(order):
            continue
        cost, broken = judged_cost(instance, tuple(problem.tasks[t] for t in order))
        if not broken and math.isfinite(cost):
            best = min(best, cost)
    return best
