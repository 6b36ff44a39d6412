"""From a solution of the MILP to a task graph and an order."""

from __future__ import annotations

from dnnplan.costs.joint import Answer
from dnnplan.formulations.grouping.milp.extract import extract as extract_groups
from dnnplan.formulations.joint.milp.variables import Variables
from dnnplan.formulations.joint.rules import depth_first, some_order


def extract(v: Variables, values: dict[str, float]) -> Answer:
    """The task graph and the order, from the value of each variable by its name."""
    groups = extract_groups(v.graph, values)
    if v.place:
        return groups, tuple(sorted(range(v.problem.n), key=lambda a: values.get(v.place[a].name, 0.0)))
    if not v.problem.template.is_free:
        return groups, some_order(v.problem)
    first = next((b for b, one in v.first.items() if values.get(one.name, 0.0) > 0.5), 0)
    return groups, depth_first(groups, v.problem.n, first)
