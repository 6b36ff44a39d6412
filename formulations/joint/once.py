"""What an order costs at least: every node once, but for what is free of charge at the start of a period."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.joint import JointProblem
from dnnplan.costs.judged import Terms
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.levels import Nodes
from dnnplan.formulations.joint.rules import charges


def nodes_of_order(problem: JointProblem) -> Nodes:
    """The cost of the order as a sum over nodes: computing and loading, (L, n) each, by its name."""
    rows = problem.grouping.rows
    return {problem.template.name: [charge.figure[rows] for charge in charges(problem)]}


def free_by_count(problem: JointProblem, terms: Terms) -> FloatArray:
    """(L, n) the most that a weighted sum may be below that with every node once, by the number of groups.

    The dearest node where the first task of a period pays for none; where it pays as after the last one, a node of all
    tasks, which is never left.
    """
    weight = sum(weight for name, weight in terms if name == problem.template.name)
    free = np.zeros((problem.grouping.levels, problem.n))
    for charge in charges(problem):
        top = charge.figure[problem.grouping.rows].max(axis=1)
        if charge.rule == "none":
            free += weight * top[:, None]
        elif charge.rule == "around":
            free[:, 0] += weight * top
    return free
