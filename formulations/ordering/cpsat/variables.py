"""Variables of the CP-SAT model of ordering."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.rules import Round, ends_of, rounds_of, slots_of, steps_of

BoolVar: TypeAlias = cp_model.IntVar


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    rounds
        Sets of tasks that run together; r counts them.
    place
        place[a]: number of tasks before task a.
    arc, first, last
        arc[r, a, b] = 1: in round r task b comes right after task a; first[r, a], last[r, a]: it is the first or last.
    wrap
        wrap[q, r, a, b] = 1: a is the last of round q and b the first of round r (closed orders).
    at
        at[p, a] = 1: task a has place p (tools).
    held, loaded
        held[p, k] = 1: tool k is in memory while the task at place p runs; loaded[p, k] = 1: it is loaded for it.
    unit
        Value of one unit of the model's objective.
    """

    problem: OrderingProblem
    model: cp_model.CpModel
    rounds: tuple[Round, ...]
    place: list[cp_model.IntVar]
    arc: dict[tuple[int, int, int], BoolVar] = field(default_factory=dict)
    first: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    last: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    wrap: dict[tuple[int, int, int, int], BoolVar] = field(default_factory=dict)
    at: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    held: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    loaded: dict[tuple[int, int], BoolVar] = field(default_factory=dict)
    unit: float = 1.0

    @property
    def slots(self) -> int:
        """Tools that fit at once."""
        return slots_of(self.problem)


def create(problem: OrderingProblem) -> Variables:
    """All variables."""
    model, n = cp_model.CpModel(), problem.n
    v = Variables(
        problem,
        model,
        rounds_of(problem),
        [model.new_int_var(0, max(n - 1, 0), f"place_{a}") for a in range(n)],
    )
    for r, one in enumerate(v.rounds):
        firsts, lasts = ends_of(problem, one.tasks)
        v.first |= {(r, a): model.new_bool_var(f"first_{r}_{a}") for a in firsts}
        v.last |= {(r, a): model.new_bool_var(f"last_{r}_{a}") for a in lasts}
        v.arc |= {(r, a, b): model.new_bool_var(f"arc_{r}_{a}_{b}") for a, b in steps_of(problem, one.tasks)}
    if problem.closed:
        for q, a in v.last:
            for r, b in v.first:
                if np.isfinite(problem.close[a, b]):
                    v.wrap[q, r, a, b] = model.new_bool_var(f"wrap_{q}_{r}_{a}_{b}")
    if problem.tools is not None:
        for p in range(n):
            v.at |= {(p, a): model.new_bool_var(f"at_{p}_{a}") for a in range(n)}
            for k in range(len(problem.tools.bytes)):
                v.held[p, k] = model.new_bool_var(f"held_{p}_{k}")
                v.loaded[p, k] = model.new_bool_var(f"loaded_{p}_{k}")
    return v
