"""What a model of task graphs has to keep, which measures it needs, and what no task graph changes in them."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dnnplan.costs.judged import Terms
from dnnplan.costs.objectives import TOLERANCE
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.grouping import GroupingProblem


class Limited(Protocol):
    """What views of grouping, alone or with ordering, have in common here."""

    @property
    def stages(self) -> tuple[Terms, ...]:
        """The objective."""

    @property
    def limits(self) -> dict[str, float]:
        """Upper limits by measure."""

    @property
    def sums_at_most(self) -> tuple[tuple[Terms, float], ...]:
        """Upper limits on weighted sums."""


def limits_of(problem: Limited) -> list[tuple[Terms, float]]:
    """Upper limits on weighted sums, as loose as `dnnplan.costs.judged.keeps_limits` takes them."""
    single: list[tuple[Terms, float]] = [(((name, 1.0),), limit) for name, limit in problem.limits.items()]
    return [
        (terms, limit + TOLERANCE * abs(limit) + 1e-12) for terms, limit in (*single, *problem.sums_at_most)
    ]


def measured(problem: Limited) -> set[str]:
    """Measures that the objective or a limit names."""
    stages = (problem.stages[0], *(terms for terms, _ in limits_of(problem)))
    return {name for stage in stages for name, _ in stage}


def constant_of(problem: GroupingProblem, name: str) -> float:
    """What stem and heads add to a measure: the stem has one node, each head is a task's own."""
    costs = problem.costs
    if name in ("variety", "task_variety"):
        return 0.0
    if name == "size":
        return _outside(costs, costs.bytes, np.ones(problem.n + 1))
    return _outside(costs, costs.compute, problem.share_compute) + _outside(
        costs, costs.load, problem.share_load
    )


def _outside(costs: BlockCosts, figure: FloatArray, share: FloatArray) -> float:
    stem = float(figure[0].max()) * float(share[-1]) if costs.stem else 0.0
    return stem + (float(figure[-1].sum()) * float(share[1]) if costs.head else 0.0)
