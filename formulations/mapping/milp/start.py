"""From a plan to values of the binary variables: what a MIP solver starts from."""

from __future__ import annotations

from dnnplan.costs import Decisions
from dnnplan.formulations.mapping.milp.variables import Variables


def start_values(v: Variables, decisions: Decisions) -> dict[str, float]:
    """Values of x, pin, keep and before, by variable name; the solver completes them.

    A layer on a device that the model has ruled out for it gives no values at all.
    """
    place = decisions.place
    if any(d not in row for d, row in zip(place, v.x, strict=True)):
        return {}
    values = {x.name: float(d == place[i]) for i, row in enumerate(v.x) for d, x in row.items()}
    used = set(zip(v.problem.weight_of.tolist(), place, strict=True))
    for (w, d), pin in v.pin.items():
        values[pin.name] = float((w, d) in used and w in decisions.pinned[d])
    for (k, d), keep in v.keep.items():
        values[keep.name] = float((k, d) in decisions.kept)
    position = {layers[0]: p for p, layers in enumerate(decisions.calls)}
    rank = {c: p for row in decisions.order for p, c in enumerate(row)}
    for (i, j), before in v.before.items():
        if place[i] != place[j]:
            values[before.name] = 0.0
        elif v.problem.slots[place[i]] == 1:
            values[before.name] = float(rank[position[i]] < rank[position[j]])
    return values
