"""Variables of the MILP of a task graph, and how the constraints ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pulp

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.formulations.grouping.levels import always, distances
from dnnplan.formulations.mapping.milp.variables import BuildStoppedError

Linear = Any
ROWS_BETWEEN_LOOKS = 500


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
    lead: list[pulp.LpVariable]
    member: dict[tuple[int, int], pulp.LpVariable]


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    apart
        apart[l][i, j] = 1: tasks i < j have parted at branch point l. It determines everything else; flags that are
        integer with it are declared so, as the presolve of HiGHS errs where it finds that out (ERGO-Code/HiGHS #3274).
    leaders
        By branch point and ranking; made when a constraint asks for them.
    count
        count[l][k - 1] = 1: there are k groups at branch point l.
    mean
        mean[l]: mean over the groups of their largest dissimilarity.
    widest
        widest[l][i]: largest dissimilarity in the group of task i.
    distance
        (L, n, n) dissimilarities.
    extra
        Further variables by name.
    keep_going
        Asked while rows are added.
    unit, constant, largest
        Value of one unit of the model's objective, in that of the instance; what every task graph costs beside it; the
        most that the objective can be, in units.
    """

    problem: GroupingProblem
    model: pulp.LpProblem
    distance: FloatArray
    apart: list[dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=list)
    leaders: dict[tuple[int, tuple[int, ...]], Leaders] = field(default_factory=dict)
    count: list[list[pulp.LpVariable]] = field(default_factory=list)
    mean: list[pulp.LpVariable] = field(default_factory=list)
    widest: list[list[pulp.LpVariable]] = field(default_factory=list)
    extra: dict[Any, Any] = field(default_factory=dict)
    keep_going: Callable[[], bool] = always
    serial: int = 0
    rows: int = 0
    unit: float = 1.0
    constant: float = 0.0
    largest: float = 0.0

    def flag(self, name: str) -> pulp.LpVariable:
        """A new binary variable."""
        self.serial += 1
        return self.model.add_variable(f"{name}_{self.serial}", cat=pulp.LpBinary)

    def share(self, name: str, most: float = 1.0) -> pulp.LpVariable:
        """A new variable in [0, most]."""
        self.serial += 1
        return self.model.add_variable(f"{name}_{self.serial}", 0, most)

    def add(self, row: Any) -> None:
        """Add a row; rows that hold by themselves (no variables) are left out.

        Raises
        ------
        BuildStoppedError
            `keep_going` says False.
        """
        if isinstance(row, pulp.LpConstraint):
            self.rows += 1
            if self.rows % ROWS_BETWEEN_LOOKS == 0 and not self.keep_going():
                raise BuildStoppedError("the model was not finished in time")
            self.model.addConstraint(row)

    def parted(self, level: int, i: int, j: int) -> pulp.LpVariable:
        """Apart of two different tasks in either order."""
        return self.apart[level][min(i, j), max(i, j)]

    def together(self, level: int, i: int, j: int) -> Linear:
        """1 if two different tasks share the block behind a branch point."""
        return 1 - self.parted(level, i, j)

    def dissimilarity(self, level: int, i: int, j: int) -> float:
        """Dissimilarity of two different tasks."""
        return float(self.distance[level, min(i, j), max(i, j)])

    def most(self, level: int) -> float:
        """Largest dissimilarity of two tasks at a branch point."""
        return max((self.dissimilarity(level, i, j) for i, j in self.apart[level]), default=0.0)


def create_variables(problem: GroupingProblem, keep_going: Callable[[], bool] = always) -> Variables:
    """Which pairs of tasks have parted at which branch point."""
    model = pulp.LpProblem("task_graph", pulp.LpMinimize)
    v = Variables(problem, model, distances(problem), keep_going=keep_going)
    for level in range(problem.levels):
        pairs = combinations(range(problem.n), 2)
        v.apart.append({(i, j): v.flag(f"apart_{level}_{i}_{j}") for i, j in pairs})
    return v
