"""Variables of the CP-SAT model of choosing networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.formulations.grouping.selection.useful import Useful

IntVar: TypeAlias = cp_model.IntVar


@dataclass(eq=False)
class Variables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    chosen
        chosen[c] = 1: candidate c is there.
    takes
        takes[t][c] = 1: task t takes candidate c; only where that can be part of a good choice.
    unit, constant
        Score of one unit of the model's objective, and what the tasks get at least.
    """

    candidates: Useful
    model: cp_model.CpModel
    chosen: list[IntVar] = field(default_factory=list)
    takes: list[dict[int, IntVar]] = field(default_factory=list)
    unit: float = 1.0
    constant: float = 0.0


def create_variables(candidates: Useful, value: float | None) -> Variables:
    """One for each candidate, and for each task and candidate."""
    v = Variables(candidates, cp_model.CpModel())
    v.chosen = [v.model.new_bool_var(f"chosen_{c}") for c in range(len(candidates.candidates))]
    usable = candidates.usable(value)
    for t in range(usable.shape[1]):
        row = np.flatnonzero(usable[:, t]).tolist()
        v.takes.append({c: v.model.new_bool_var(f"takes_{t}_{c}") for c in row})
    return v
