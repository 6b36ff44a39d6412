"""Variables of the MILP of a task graph and an order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pulp

from dnnplan.costs.joint import JointProblem
from dnnplan.formulations.grouping.milp.variables import Variables as GraphVariables
from dnnplan.formulations.grouping.milp.variables import create_variables
from dnnplan.formulations.joint.rules import Rule, arcs_of


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    graph
        The task graph, with the model and the unit of the objective.
    first, last
        first[b] = 1: task b comes first; last[a] = 1: task a comes last. Only where that is a choice that counts.
    arc
        arc[a, b] = 1: task b comes right after task a; only where precedences allow it.
    place
        place[a]: number of tasks before task a.
    entered
        entered[rule, l][b] = 1: task b, in its place, pays for its node at branch point l.
    several
        several[l] = 1: there is more than one group at branch point l.
    """

    problem: JointProblem
    graph: GraphVariables
    first: dict[int, pulp.LpVariable] = field(default_factory=dict)
    last: dict[int, pulp.LpVariable] = field(default_factory=dict)
    arc: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    place: list[pulp.LpVariable] = field(default_factory=list)
    entered: dict[tuple[Rule, int], list[pulp.LpVariable]] = field(default_factory=dict)
    several: dict[int, pulp.LpVariable] = field(default_factory=dict)

    @property
    def model(self) -> pulp.LpProblem:
        """The model."""
        return self.graph.model


def create(problem: JointProblem, keep_going: Callable[[], bool]) -> Variables:
    """The task graph; what an order needs is made when it counts."""
    return Variables(problem, create_variables(problem.grouping, keep_going))


def create_first(v: Variables) -> None:
    """Which task comes first."""
    if not v.first:
        able = [b for b in range(v.problem.n) if not v.problem.template.before[:, b].any()]
        v.first = {b: v.graph.flag(f"first_{b}") for b in able}
        v.graph.add(pulp.lpSum(v.first.values()) == 1)


def create_order(v: Variables) -> None:
    """Which task follows which, and in which place each one is."""
    create_first(v)
    for a in range(v.problem.n):
        if not v.problem.template.before[a].any():
            v.last[a] = v.graph.flag(f"last_{a}")
        v.place.append(v.graph.share(f"place_{a}", v.problem.n - 1))
    for a, b in arcs_of(v.problem):
        v.arc[a, b] = v.graph.flag(f"arc_{a}_{b}")
