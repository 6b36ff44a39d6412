"""From a solution of the MILP to a task graph."""

from __future__ import annotations

from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.grouping.answer import groups_from
from dnnplan.formulations.grouping.milp.variables import Variables


def extract(v: Variables, values: dict[str, float]) -> Groups:
    """The partition at each branch point, from the value of each variable by its name."""

    def parted(level: int, i: int, j: int) -> bool:
        return values.get(v.parted(level, i, j).name, 0.0) > 0.5

    return groups_from(parted, v.problem.n, v.problem.levels)
