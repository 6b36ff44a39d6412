"""What the first task of a period pays for, and what models of task graphs with orders do not cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dnnplan.costs.joint import JointProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.grouping.measures import measured
from dnnplan.instances import Ordering, UnsupportedError

Rule = Literal["all", "none", "around"]
"""The first task of a period pays for all nodes of its path, for none, or for those that the last one does not have."""
START: dict[Rule, bool | None] = {"all": True, "none": False, "around": None}
"""Whether the first task of a period enters its nodes; None: as if it came after the last one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Charge:
    """One of the two costs of blocks, with its rule.

    Parameters
    ----------
    figure
        (B, n) cost of each block for each task.
    rule
        What the first task of a period pays for.
    """

    figure: FloatArray
    rule: Rule


def charges(problem: JointProblem) -> tuple[Charge, Charge]:
    """Computing and loading, each with its rule (docs/cost-model.md, 10).

    ===================== ======= =======
    closed, input, start  compute load
    ===================== ======= =======
    closed, same          around  around
    closed, fresh         all     around
    open, cold            all     all
    open, warm, fresh     all     none
    open, warm, same      none    none
    ===================== ======= =======
    """
    ordering = problem.instance.ordering or Ordering()
    same = ordering.input == "same"
    compute: Rule
    load: Rule
    if ordering.closed:
        compute, load = "around" if same else "all", "around"
    elif ordering.start == "cold":
        compute, load = "all", "all"
    else:
        compute, load = "none" if same else "all", "none"
    costs = problem.costs
    return Charge(figure=costs.compute, rule=compute), Charge(figure=costs.load, rule=load)


def require_plain(problem: JointProblem) -> None:
    """Refuse what the models do not cover.

    Raises
    ------
    UnsupportedError
        Tasks that run only sometimes, or a memory that keeps more than one path.
    """
    if not problem.template.is_plain:
        what = "conditions" if problem.template.scenarios is not None else "cache_bytes"
        raise UnsupportedError(
            f"ordering.{what}: the exact models of grouping and ordering together do not cover it; use auto"
        )


def order_counts(problem: JointProblem) -> bool:
    """Whether the objective or a limit names the cost of the order."""
    return problem.template.name in measured(problem)


def some_order(problem: JointProblem) -> tuple[int, ...]:
    """An order that keeps the precedences: tasks by their numbers, as soon as they may run."""
    left, done, found = list(range(problem.n)), 0, []
    while left:
        task = next(t for t in left if not problem.template.predecessors[t] & ~done)
        left.remove(task)
        found.append(task)
        done |= 1 << task
    return tuple(found)


def arcs_of(problem: JointProblem) -> list[tuple[int, int]]:
    """Pairs of tasks that may follow each other: not the wrong way round, and no task has to come between them."""
    before = problem.template.before
    return [
        (a, b)
        for a in range(problem.n)
        for b in range(problem.n)
        if a != b and not before[b, a] and not (before[a] & before[:, b]).any()
    ]


def depth_first(groups: Groups, n: int, first: int = 0) -> tuple[int, ...]:
    """The depth-first order of a task graph that begins with a task: its group comes first at every branch point.

    >>> depth_first((((0, 1, 2),), ((0, 2), (1,))), 3, first=2)
    (2, 0, 1)
    """
    home = [{task: group for group in level for task in group} for level in groups]

    def key(task: int) -> list[tuple[bool, int]]:
        path = [(level[task] != level[first], level[task][0]) for level in home]
        return [*path, (task != first, task)]

    return tuple(sorted(range(n), key=key))


def outside(problem: JointProblem, charge: Charge) -> tuple[float, FloatArray]:
    """What stem and heads cost whatever the answer, and (n,) what is saved where a task comes first.

    The stem is charged once or never, each head once; only under the rule ``none`` the first task has its head for
    nothing.
    """
    costs, figure = problem.costs, charge.figure
    saved = np.zeros(problem.n)
    total = float(figure[0].max()) if costs.stem and charge.rule == "all" else 0.0
    if costs.head and not (charge.rule == "around" and problem.n == 1):
        total += float(figure[-1].sum())
        if charge.rule == "none":
            saved = figure[-1]
    return total, saved
