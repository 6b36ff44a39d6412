"""From a solution of the load MILP to a placement."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.load.variables import Variables


def extract(v: Variables, values: dict[str, float]) -> IntArray | None:
    """(G,) device of each group; None if some group is on none."""
    place = np.zeros(len(v.x), dtype=np.int64)
    for g, row in enumerate(v.x):
        device, share = max(((d, values.get(x.name, 0.0)) for d, x in row.items()), key=lambda pair: pair[1])
        if share < 0.5:
            return None
        place[g] = device
    return place
