"""Variables of the MILP of ordering."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pulp

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.rules import Round, ends_of, rounds_of, slots_of, steps_of
from dnnplan.instances import UnsupportedError

MOST_TASKS = 40
"""The rows that make `ahead` an order are n (n - 1) (n - 2) in number."""


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    ahead
        ahead[a, b] = 1: task a runs before task b.
    rounds, arc, first, last, wrap, at, held, loaded
        As in the CP-SAT model.
    unit, largest
        Value of one unit of the objective, and what it can be in units.
    never_negative
        Whether no step has a negative cost, so that no order has.
    """

    problem: OrderingProblem
    model: pulp.LpProblem
    rounds: tuple[Round, ...]
    ahead: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    arc: dict[tuple[int, int, int], pulp.LpVariable] = field(default_factory=dict)
    first: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    last: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    wrap: dict[tuple[int, int, int, int], pulp.LpVariable] = field(default_factory=dict)
    at: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    held: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    loaded: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    unit: float = 1.0
    largest: float = 1.0
    never_negative: bool = False

    @property
    def slots(self) -> int:
        """Tools that fit at once."""
        return slots_of(self.problem)

    def flag(self, name: str) -> pulp.LpVariable:
        """A variable that is 0 or 1."""
        return self.model.add_variable(name, cat=pulp.LpBinary)


def create(problem: OrderingProblem) -> Variables:
    """All variables.

    Raises
    ------
    UnsupportedError
        More than `MOST_TASKS` tasks.
    """
    n = problem.n
    if n > MOST_TASKS:
        raise UnsupportedError(f"milp: {n} tasks, expected at most {MOST_TASKS}; use auto")
    v = Variables(problem, pulp.LpProblem("order", pulp.LpMinimize), rounds_of(problem))
    v.ahead = {(a, b): v.flag(f"ahead_{a}_{b}") for a in range(n) for b in range(n) if a != b}
    for r, one in enumerate(v.rounds):
        firsts, lasts = ends_of(problem, one.tasks)
        v.first |= {(r, a): v.flag(f"first_{r}_{a}") for a in firsts}
        v.last |= {(r, a): v.flag(f"last_{r}_{a}") for a in lasts}
        v.arc |= {(r, a, b): v.flag(f"arc_{r}_{a}_{b}") for a, b in steps_of(problem, one.tasks)}
    if problem.closed:
        for q, a in v.last:
            for r, b in v.first:
                if np.isfinite(problem.close[a, b]):
                    v.wrap[q, r, a, b] = v.flag(f"wrap_{q}_{r}_{a}_{b}")
    if problem.tools is not None:
        for p in range(n):
            v.at |= {(p, a): v.flag(f"at_{p}_{a}") for a in range(n)}
            for k in range(len(problem.tools.bytes)):
                v.held[p, k], v.loaded[p, k] = v.flag(f"held_{p}_{k}"), v.flag(f"loaded_{p}_{k}")
    return v
