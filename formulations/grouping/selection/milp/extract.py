"""From a solution of the MILP to a choice of networks."""

from __future__ import annotations

from dnnplan.formulations.grouping.selection.milp.variables import Variables


def extract(v: Variables, values: dict[str, float]) -> tuple[int, ...]:
    """Positions of the candidates that are chosen, from the value of each variable by its name."""
    chosen = [c for c, one in enumerate(v.chosen) if values.get(one.name, 0.0) > 0.5]
    return tuple(sorted(int(v.candidates.candidates[c]) for c in chosen))
