"""Simulated annealing of task graphs.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray
from dnnplan.solvers.kernels.grouping_state import (
    State,
    Tables,
    chance,
    exchange,
    measure_all,
    parting,
    pick,
    regraft,
    sums,
)


@inner
def change(a: Tables, s: State) -> bool:
    """A random change: a task or a group to another place, two groups joined, or two tasks exchanged."""
    levels, n = s.home.shape
    t = pick(s, n)
    u = (t + 1 + pick(s, n - 1)) % n
    kind = chance(s)
    if kind < 0.2:
        return bool(exchange(a, s, t, u))
    last = pick(s, levels + 1) - 1
    low = levels
    if kind >= 0.75:
        low = parting(s, t, u)
        last = min(levels - 1, low + pick(s, levels))
    elif kind >= 0.55:
        low = pick(s, levels)
    return bool(regraft(a, s, t, u, low, last))


@inner
def copy_state(source: State, target: State) -> None:
    """Make one task graph like another; the generator is left alone."""
    target.home[:] = source.home
    target.members[:] = source.members
    target.figure[:] = source.figure
    target.total[:] = source.total


@inner
def energy(a: Tables, penalty: FloatArray, found: FloatArray) -> float:
    """The objective, and the penalties of what exceeds limits."""
    value = found[0]
    for c in range(1, found.shape[0]):
        value += penalty[c] * max(0.0, found[c] - a.limit[c])
    return float(value)


@inner
def keeps(a: Tables, found: FloatArray) -> bool:
    """Whether all limits are kept."""
    return bool((found[1:] <= a.limit[1:]).all())


@kernel
def anneal(
    a: Tables,
    s: State,
    spare: State,
    best: State,
    best_value: float,
    penalty: FloatArray,
    heat: tuple[float, float],
    steps: int,
) -> tuple[float, int]:
    """Change the task graph while it cools; what keeps all limits and is better than `best_value` is put into `best`.

    Worse task graphs are kept with probability exp(-difference / temperature); the temperature falls geometrically
    (Kirkpatrick, Gelatt and Vecchi 1983). A step takes O(L (n + g^2)) for groups of g tasks.

    Returns
    -------
    The value of `best`, and the number of task graphs on the way that kept all limits.
    """
    n = s.home.shape[1]
    measure_all(a, s)
    found = np.empty(a.weights.shape[0])
    sums(a, s, found)
    now = energy(a, penalty, found)
    kept = 0
    if n < 2:
        return best_value, kept
    copy_state(s, spare)
    temperature = heat[0]
    cooling = (heat[1] / heat[0]) ** (1.0 / max(steps, 1))
    for _ in range(steps):
        temperature *= cooling
        if not change(a, s):
            continue
        sums(a, s, found)
        value = energy(a, penalty, found)
        if value > now and chance(s) >= np.exp((now - value) / temperature):
            copy_state(spare, s)
            continue
        now = value
        copy_state(s, spare)
        if keeps(a, found):
            kept += 1
            if found[0] < best_value:
                best_value = found[0]
                copy_state(s, best)
    return best_value, kept
