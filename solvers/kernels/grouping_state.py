"""A task graph as slots of tasks at every branch point: changed task by task or group by group, and measured again.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.plan_state import MODULUS, MULTIPLIER

VARIETY, TASK_VARIETY, SIZE, COST = 0, 1, 2, 3
"""Columns of figures. The first is a sum of largest dissimilarities until it is divided by the number of groups."""


class Tables(NamedTuple):
    """What does not change: L branch points, n tasks, and C sums of measures, the objective first and then the limits.

    Parameters
    ----------
    distance
        (L, n, n) symmetric dissimilarities, diagonal 0.
    bytes, compute, load
        (L, n) what a task's own copy of the block behind each branch point takes.
    share_compute, share_load
        (n + 1,) visits of a node by the number of its tasks.
    weights, constant, limit
        (C, 4), (C,) and (C,): a sum of the four measures with what stem and heads add; the limit of the objective is
        infinite.
    """

    distance: FloatArray
    bytes: FloatArray
    compute: FloatArray
    load: FloatArray
    share_compute: FloatArray
    share_load: FloatArray
    weights: FloatArray
    constant: FloatArray
    limit: FloatArray


class State(NamedTuple):
    """A task graph.

    Parameters
    ----------
    home
        (L, n) slot of each task at each branch point, 0 to n - 1; tasks in one slot are a group.
    members
        (L, n) tasks in each slot.
    figure
        (L, n, 4) what each slot adds to the measures; 0 where it is empty.
    total
        (L, 4) what each branch point adds.
    random
        (1,) state of the generator.
    """

    home: IntArray
    members: IntArray
    figure: FloatArray
    total: FloatArray
    random: IntArray


@inner
def pick(s: State, n: int) -> int:
    """A random number below n."""
    s.random[0] = s.random[0] * MULTIPLIER % MODULUS
    return int(s.random[0] % n)


@inner
def chance(s: State) -> float:
    """A random number above 0 and below 1."""
    s.random[0] = s.random[0] * MULTIPLIER % MODULUS
    return float(s.random[0] / MODULUS)


@inner
def measure_slot(a: Tables, s: State, level: int, slot: int) -> None:
    """What a slot adds to each measure, from its tasks: O(n + g^2) for g tasks."""
    n = s.home.shape[1]
    inside = np.empty(n, dtype=np.int64)
    count = 0
    size, compute, load, widest = 0.0, 0.0, 0.0, 0.0
    for t in range(n):
        if s.home[level, t] == slot:
            for e in range(count):
                widest = max(widest, a.distance[level, t, inside[e]])
            inside[count] = t
            count += 1
            size = max(size, a.bytes[level, t])
            compute = max(compute, a.compute[level, t])
            load = max(load, a.load[level, t])
    s.members[level, slot] = count
    s.figure[level, slot, VARIETY] = widest
    s.figure[level, slot, TASK_VARIETY] = widest * count / n
    s.figure[level, slot, SIZE] = size
    s.figure[level, slot, COST] = compute * a.share_compute[count] + load * a.share_load[count]


@inner
def add_up(s: State, level: int) -> None:
    """What a branch point adds to each measure; sums are made anew, so that no error piles up."""
    n = s.home.shape[1]
    groups = 0
    s.total[level, :] = 0.0
    for slot in range(n):
        if s.members[level, slot] > 0:
            groups += 1
            for f in range(4):
                s.total[level, f] += s.figure[level, slot, f]
    s.total[level, VARIETY] /= groups


@inner
def measure_all(a: Tables, s: State) -> None:
    """Measure a task graph of which only `home` is known."""
    levels, n = s.home.shape
    for level in range(levels):
        for slot in range(n):
            measure_slot(a, s, level, slot)
        add_up(s, level)


@inner
def sums(a: Tables, s: State, found: FloatArray) -> None:
    """(C,) the objective and the sums that have limits."""
    levels = s.home.shape[0]
    for c in range(found.shape[0]):
        value = a.constant[c]
        for f in range(4):
            if a.weights[c, f] != 0.0:
                for level in range(levels):
                    value += a.weights[c, f] * s.total[level, f]
        found[c] = value


@kernel
def parting(s: State, t: int, u: int) -> int:
    """The first branch point at which two tasks are apart; L if none."""
    levels = s.home.shape[0]
    for level in range(levels):
        if s.home[level, t] != s.home[level, u]:
            return int(level)
    return int(levels)


@inner
def empty_slot(s: State, level: int) -> int:
    """A slot without tasks; -1 if each task has one."""
    for slot in range(s.home.shape[1]):
        if s.members[level, slot] == 0:
            return slot
    return -1


@kernel
def regraft(a: Tables, s: State, t: int, u: int, low: int, last: int) -> bool:
    """Move the group that task t has at branch point `low` (L: the task alone) next to task u, down to `last`.

    With p the first branch point at which t and u are apart: from min(p, last + 1) to low - 1 the group leaves what
    it was in, and joins that of u up to `last` or is alone behind it; from `low` to `last` the groups of t and u are
    joined. So ``low = p`` joins whole groups, and ``last = -1`` makes a group part from all others. All partitions
    stay refinements of those before. False: nothing changed.
    """
    levels, n = s.home.shape
    first = min(parting(s, t, u), last + 1)
    moved = np.zeros(n, dtype=np.bool_)
    for v in range(n):
        moved[v] = v == t if low == levels else s.home[low, v] == s.home[low, t]
    changed = False
    for level in range(first, max(low, last + 1)):
        source = s.home[level, t]
        if level <= last:
            target = s.home[level, u]
        else:
            stays = False
            for v in range(n):
                if s.home[level, v] == source and not moved[v]:
                    stays = True
            target = empty_slot(s, level) if stays else source
        if target == source:
            continue
        changed = True
        for v in range(n):
            if s.home[level, v] == source and (level >= low or moved[v]):
                s.home[level, v] = target
        measure_slot(a, s, level, source)
        measure_slot(a, s, level, target)
        add_up(s, level)
    return changed


@inner
def exchange(a: Tables, s: State, t: int, u: int) -> bool:
    """Two tasks change places in the tree. False: they are together everywhere."""
    levels = s.home.shape[0]
    first = parting(s, t, u)
    for level in range(first, levels):
        one, other = s.home[level, t], s.home[level, u]
        s.home[level, t], s.home[level, u] = other, one
        measure_slot(a, s, level, one)
        measure_slot(a, s, level, other)
        add_up(s, level)
    return bool(first < levels)
