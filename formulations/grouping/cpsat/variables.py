"""Variables of the CP-SAT model of a task graph, and how the constraints ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

from ortools.sat.python import cp_model

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.answer import Answer
from dnnplan.formulations.grouping.levels import always, distances

IntVar: TypeAlias = cp_model.IntVar
Literal: TypeAlias = Any
Recipe: TypeAlias = Callable[[Answer], int]
STEPS = 2.0**24
"""Integer steps in the largest value of a quantity that is no Boolean."""


@dataclass(frozen=True, eq=False)
class Leaders:
    """One task stands for each group: the one that comes first in a ranking of the tasks.

    Parameters
    ----------
    ranking
        All tasks, the first one first.
    lead
        lead[i] = 1: task i stands for its group.
    member
        member[i, j] = 1: task i, which comes before j in the ranking, stands for the group of j.
    """

    ranking: tuple[int, ...]
    lead: list[IntVar]
    member: dict[tuple[int, int], IntVar]


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    apart
        apart[l][i, j] = 1: tasks i < j have parted at branch point l; it determines everything else.
    leaders
        By branch point and ranking; made when a constraint asks for them.
    count
        count[l][k - 1] = 1: there are k groups at branch point l.
    mean
        mean[l]: mean over the groups of their largest dissimilarity, in steps of `step`.
    widest
        widest[l][i]: largest dissimilarity in the group of task i, in steps of `step`.
    distance, step
        (L, n, n) dissimilarities, and that of one step.
    extra
        Further variables by name.
    recipes
        What each variable is in a known answer.
    unit, constant
        Value of one unit of the model's objective, in that of the instance, and what every task graph costs beside it.
    keep_going
        Asked in the longest loops; they end where it says False, and the model is of no use then.
    """

    problem: GroupingProblem
    model: cp_model.CpModel
    distance: FloatArray
    step: float
    keep_going: Callable[[], bool] = always
    apart: list[dict[tuple[int, int], IntVar]] = field(default_factory=list)
    leaders: dict[tuple[int, tuple[int, ...]], Leaders] = field(default_factory=dict)
    count: list[list[IntVar]] = field(default_factory=list)
    mean: list[IntVar] = field(default_factory=list)
    widest: list[list[IntVar]] = field(default_factory=list)
    extra: dict[Any, Any] = field(default_factory=dict)
    recipes: list[tuple[IntVar, Recipe]] = field(default_factory=list)
    unit: float = 1.0
    constant: float = 0.0

    def flag(self, name: str, recipe: Recipe) -> IntVar:
        """A new Boolean variable; `recipe` says what it is in a known answer."""
        variable = self.model.new_bool_var(name)
        self.recipes.append((variable, recipe))
        return variable

    def number(self, name: str, most: int, recipe: Recipe) -> IntVar:
        """A new integer variable from 0 to `most`."""
        variable = self.model.new_int_var(0, most, name)
        self.recipes.append((variable, recipe))
        return variable

    def parted(self, level: int, i: int, j: int) -> IntVar:
        """Apart of two different tasks in either order."""
        return self.apart[level][min(i, j), max(i, j)]

    def together(self, level: int, i: int, j: int) -> Literal:
        """1 if two different tasks share the block behind a branch point."""
        return ~self.parted(level, i, j)

    def steps(self, level: int, i: int, j: int) -> int:
        """Dissimilarity of two tasks in steps, rounded down."""
        return int(self.distance[level, min(i, j), max(i, j)] / self.step * (1 + 1e-12))

    def most_steps(self, level: int) -> int:
        """Largest dissimilarity of two tasks at a branch point, in steps."""
        return max((self.steps(level, i, j) for i, j in self.apart[level]), default=0)


def create_variables(
    problem: GroupingProblem, model: cp_model.CpModel, keep_going: Callable[[], bool] = always
) -> Variables:
    """Which pairs of tasks have parted at which branch point."""
    distance = distances(problem)
    largest = float(distance.max(initial=0.0))
    v = Variables(problem, model, distance, largest / STEPS if largest > 0 else 1.0, keep_going)
    for level in range(problem.levels):
        v.apart.append({(i, j): _apart(v, level, i, j) for i, j in combinations(range(problem.n), 2)})
    return v


def _apart(v: Variables, level: int, i: int, j: int) -> IntVar:
    return v.flag(f"apart_{level}_{i}_{j}", lambda answer: answer.apart(level, i, j))
