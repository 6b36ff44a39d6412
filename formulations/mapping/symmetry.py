"""Devices that may change names without changing any cost, and how models order them.

Two devices are identical if exchanging them leaves every figure of the view as it is: times, energies, slots,
memories, and routes to all other ends. Of the plans that differ by names of identical devices only, models keep
one: going through the layers in a fixed order, each device of a class is used first after the one before it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dnnplan.costs.decisions import Decisions
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import IntArray

MOST_OVERRIDES = 100_000
"""Entries of transfer tables up to which devices are compared; with more of them every device is its own."""


@dataclasses.dataclass(frozen=True, eq=False)
class Symmetry:
    """Classes of two or more identical devices, and the order of layers in which they are named.

    Parameters
    ----------
    classes
        Devices of each class, ascending.
    order
        All layers; those that say most about the plan come first.
    """

    classes: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]


def symmetry_of(problem: MappingProblem) -> Symmetry:
    """The identical devices of a problem. O(m^2 (n + m)) and less where devices differ in their times.

    Under contention of links and live memory none are reported: plans then name transfers by device.
    """
    classes: list[list[int]] = []
    plain = problem.execution.contention == "none" and problem.execution.memory != "live"
    if plain and "memory" not in problem.measured and len(problem.override) <= MOST_OVERRIDES:
        for d in range(problem.m):
            home = next((row for row in classes if _identical(problem, row[0], d)), None)
            if home is None:
                classes.append([d])
            else:
                home.append(d)
    several = tuple(tuple(row) for row in classes if len(row) > 1)
    return Symmetry(several, _by_weight(problem) if several else ())


def _identical(problem: MappingProblem, d: int, e: int) -> bool:
    """Whether exchanging d and e is an automorphism of all costs."""
    if problem.host_device in (d, e) or problem.slots[d] != problem.slots[e]:
        return False
    for column in (problem.duration, problem.energy, problem.load):
        if not np.array_equal(column[:, d], column[:, e]):
            return False
    for figure in (problem.idle_power, problem.weight_capacity):
        if figure[d] != figure[e]:
            return False
    return _same_memory(problem, d, e) and _same_routes(problem, d, e)


def _same_memory(problem: MappingProblem, d: int, e: int) -> bool:
    """One memory, or one each, of equal size, that no other device computes from."""
    a, b = int(problem.memory_of[d]), int(problem.memory_of[e])
    if a == b:
        return True
    alone = int((problem.memory_of == a).sum()) == int((problem.memory_of == b).sum()) == 1
    return alone and problem.capacity[a] == problem.capacity[b]


def _same_routes(problem: MappingProblem, d: int, e: int) -> bool:
    routes, swap = problem.routes, np.arange(problem.m + 1)
    swap[d], swap[e] = e, d
    for table in (routes.latency, routes.per_byte, routes.energy_per_byte, routes.zero_copy):
        if not np.array_equal(table, table[np.ix_(swap, swap)]):
            return False
    names = swap.tolist()
    return all(
        problem.override.get((k, names[a], names[b])) == seconds
        for (k, a, b), seconds in problem.override.items()
        if d in (a, b) or e in (a, b)
    )


def _by_weight(problem: MappingProblem) -> tuple[int, ...]:
    """Layers by what they and the tensors around them take, the most first."""
    finite = np.isfinite(problem.duration)
    weight = np.where(finite, problem.duration, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    off_diagonal = np.isfinite(problem.routes.latency) & ~np.eye(problem.m + 1, dtype=bool)
    per_byte = float(problem.routes.per_byte[off_diagonal].mean()) if off_diagonal.any() else 0.0
    for k, i, j in problem.edges.tolist():
        seconds = float(problem.size[k]) * per_byte
        if problem.override:
            known = [problem.override.get((k, a, b)) for a in range(2) for b in range(problem.m)]
            seconds = max((s for s in known if s is not None and np.isfinite(s)), default=seconds)
        weight[i] += seconds
        weight[j] += seconds
    return tuple(np.lexsort((np.arange(problem.n), -weight)).tolist())


def without_copies(problem: MappingProblem, symmetry: Symmetry) -> MappingProblem:
    """The problem in which the r-th layer of the order runs on none but the first r + 1 devices of each class.

    Every plan has a twin there with the same costs (`named_in_order`).
    """
    if not symmetry.classes:
        return problem
    duration = problem.duration.copy()
    for row in symmetry.classes:
        for r, i in enumerate(symmetry.order[: len(row) - 1]):
            duration[i, list(row[r + 1 :])] = np.inf
    return dataclasses.replace(problem, duration=duration)


def named_in_order(symmetry: Symmetry, decisions: Decisions) -> Decisions:
    """The same plan with identical devices renamed, so that each is used first after the one before it."""
    if not symmetry.classes:
        return decisions
    name: IntArray = np.arange(len(decisions.order))
    for row in symmetry.classes:
        found = list(dict.fromkeys(decisions.place[i] for i in symmetry.order if decisions.place[i] in row))
        found += [d for d in row if d not in found]
        name[found] = row
    back = np.argsort(name).tolist()
    return dataclasses.replace(
        decisions,
        place=[int(name[d]) for d in decisions.place],
        order=[decisions.order[d] for d in back],
        pinned=[decisions.pinned[d] for d in back],
        kept={(k, int(name[d])) for k, d in decisions.kept},
    )
