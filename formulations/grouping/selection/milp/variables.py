"""Variables of the MILP of choosing networks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pulp

from dnnplan.formulations.grouping.selection.useful import Useful


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    chosen
        chosen[c] = 1: candidate c is there.
    takes
        takes[t][c] = 1: task t takes candidate c; only where that can be part of a good choice. Integer where `chosen`
        is; declared so, as the presolve of HiGHS errs where it finds that out by itself (ERGO-Code/HiGHS #3274).
    unit, constant, largest
        Score of one unit of the model's objective; what the tasks get at least; the most that the objective can be, in
        units.
    """

    candidates: Useful
    model: pulp.LpProblem
    chosen: list[pulp.LpVariable] = field(default_factory=list)
    takes: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    unit: float = 1.0
    constant: float = 0.0
    largest: float = 0.0


def create_variables(candidates: Useful, value: float | None) -> Variables:
    """One for each candidate, and for each task and candidate."""
    v = Variables(candidates, pulp.LpProblem("choice", pulp.LpMinimize))
    count = len(candidates.candidates)
    v.chosen = [v.model.add_variable(f"chosen_{c}", cat=pulp.LpBinary) for c in range(count)]
    usable = candidates.usable(value)
    for t in range(usable.shape[1]):
        row = np.flatnonzero(usable[:, t]).tolist()
        v.takes.append({c: v.model.add_variable(f"takes_{t}_{c}", cat=pulp.LpBinary) for c in row})
    return v
