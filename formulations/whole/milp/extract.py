"""From a solution of the MILP to a whole plan."""

from __future__ import annotations

from dnnplan.costs import Decisions, decisions_of
from dnnplan.costs.sharing.graph import Groups
from dnnplan.formulations.grouping.milp import extract as extract_graph
from dnnplan.formulations.whole.milp.variables import Variables


def extract(v: Variables, values: dict[str, float]) -> tuple[Groups, Decisions]:
    """The task graph of a solution, and the mapping that it leaves.

    Starts give the order of devices. As they are kept to a tolerance, no layer counts as earlier than one that it reads
    from: every order is one that can run.

    Parameters
    ----------
    values
        Value of each variable by its name.
    """
    groups = extract_graph(v.graph, values)
    view, copy_of = v.problem.mapping(groups), v.copies.of_layers(v.problem, groups)
    place = [max(v.x[c], key=lambda d, c=c: values.get(v.x[c][d].name, 0.0)) for c in copy_of]  # type: ignore[misc]
    moment = [values.get(v.start[c].name, 0.0) for c in copy_of]
    rank = {i: r for r, i in enumerate(view.topological)}
    for i in view.topological:
        for k in view.inputs[i]:
            if view.source[k] >= 0:
                moment[i] = max(moment[i], moment[int(view.source[k])])
    order: list[list[int]] = [[] for _ in range(view.m)]
    for i in sorted(range(view.n), key=lambda i: (moment[i], rank[i])):
        order[place[i]].append(i)
    return groups, decisions_of(view, place, order)
