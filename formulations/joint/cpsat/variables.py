"""Variables of the CP-SAT model of a task graph and an order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ortools.sat.python import cp_model

from dnnplan.costs.joint import JointProblem
from dnnplan.formulations.grouping.cpsat.variables import IntVar, Recipe, create_variables
from dnnplan.formulations.grouping.cpsat.variables import Variables as GraphVariables
from dnnplan.formulations.grouping.levels import always
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
    first: dict[int, IntVar] = field(default_factory=dict)
    last: dict[int, IntVar] = field(default_factory=dict)
    arc: dict[tuple[int, int], IntVar] = field(default_factory=dict)
    place: list[IntVar] = field(default_factory=list)
    entered: dict[tuple[Rule, int], list[IntVar]] = field(default_factory=dict)
    several: dict[int, IntVar] = field(default_factory=dict)

    @property
    def model(self) -> cp_model.CpModel:
        """The model."""
        return self.graph.model

    @property
    def unit(self) -> float:
        """Value of one unit of the model's objective."""
        return self.graph.unit

    @property
    def constant(self) -> float:
        """What every answer costs beside it."""
        return self.graph.constant


def create(problem: JointProblem, keep_going: Callable[[], bool] = always) -> Variables:
    """The task graph; what an order needs is made when it counts."""
    return Variables(problem, create_variables(problem.grouping, cp_model.CpModel(), keep_going))


def create_first(v: Variables) -> None:
    """Which task comes first."""
    if not v.first:
        able = [b for b in range(v.problem.n) if not v.problem.template.before[:, b].any()]
        v.first = {b: v.graph.flag(f"first_{b}", _recipe_of_end(0, b)) for b in able}
        v.model.add_exactly_one(list(v.first.values()))


def create_order(v: Variables) -> None:
    """Which task follows which, and in which place each one is."""
    before, n = v.problem.template.before, v.problem.n
    create_first(v)
    for a in range(n):
        if not before[a].any():
            v.last[a] = v.graph.flag(f"last_{a}", _recipe_of_end(-1, a))
        v.place.append(v.graph.number(f"place_{a}", n - 1, _recipe_of_place(a)))
    for a, b in arcs_of(v.problem):
        v.arc[a, b] = v.graph.flag(f"arc_{a}_{b}", _recipe_of_arc(a, b))


def _recipe_of_end(end: int, a: int) -> Recipe:
    return lambda answer: int(answer.order[end] == a)


def _recipe_of_place(a: int) -> Recipe:
    return lambda answer: answer.order.index(a)


def _recipe_of_arc(a: int, b: int) -> Recipe:
    return lambda answer: int(answer.order.index(b) == answer.order.index(a) + 1)
