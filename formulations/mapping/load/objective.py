"""Objective of the load MILP."""

from __future__ import annotations

import pulp

from dnnplan.formulations.mapping.load.variables import Variables


def minimise(v: Variables) -> None:
    """Min T; T >= compute(d) + transfers(d), or T >= each of the two where a device computes while it moves."""
    for work, moves in zip(v.work, v.moves, strict=True):
        if v.loads.overlap:
            v.model += pulp.lpSum(c * x for c, x in work) <= v.largest
            v.model += pulp.lpSum(c * x for c, x in moves) <= v.largest
        else:
            v.model += pulp.lpSum(c * x for c, x in work + moves) <= v.largest
    v.model += v.largest
