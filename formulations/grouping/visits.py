"""How often blocks are entered, pair by pair of tasks: what makes the execution cost linear."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray


def by_pairs(share: FloatArray) -> tuple[float, float]:
    """The numbers a, b with share[g] = a g (n - g) + b g: by ordered pairs of tasks that parted, and by tasks.

    A node of g tasks is entered by a step from each of n - g other tasks to each of its own, with the same probability
    a, and by each of its tasks with probability b if that one is first (docs/cost-model.md, 9).

    Raises
    ------
    ValueError
        The table is no such function of g.

    Examples
    --------
    >>> by_pairs(np.array([0.0, 1.0, 1.0]))
    (0.5, 0.5)
    """
    n = len(share) - 1
    b = float(share[n]) / n
    a = (float(share[1]) - b) / (n - 1) if n > 1 else 0.0
    g = np.arange(n + 1)
    if not np.allclose(share, a * g * (n - g) + b * g, rtol=1e-9, atol=1e-12):
        raise ValueError("visits of nodes are no function of pairs and tasks")
    return max(a, 0.0), max(b, 0.0)
