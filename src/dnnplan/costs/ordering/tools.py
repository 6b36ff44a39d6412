"""A memory that keeps more than one path of blocks: what is loaded along an order (docs/cost-model.md, 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray

NEVER = 1 << 60


@dataclass(frozen=True, eq=False, kw_only=True)
class Tools:
    """What tasks need in memory: blocks of a task graph, or tools of a machine.

    Parameters
    ----------
    needs
        (n, T) whether a task needs a tool.
    bytes, load
        (T,) room that a tool takes, and cost of loading it.
    room
        (n,) bytes for tools that the running task does not need.
    warm
        Whether the memory holds, at the start, what is needed first, as much as fits.
    """

    needs: NDArray[np.bool_]
    bytes: FloatArray
    load: FloatArray
    room: FloatArray
    warm: bool

    @property
    def switches(self) -> bool:
        """Whether this is the tool switching problem of the literature: tools alike, and a memory of fixed size."""
        total = self.room + self.needs @ self.bytes
        alike = bool(np.all(self.bytes == 1) and np.all(self.load == 1))
        return alike and bool(np.all(total == total[:1])) and bool(np.all(total == np.floor(total)))


def loads(tools: Tools, order: Sequence[int], *, closed: bool = False) -> float:
    """Cost of everything that is loaded along an order, keeping the tools that are needed soonest.

    Where something has to go, the tool whose next use is farthest away goes first, ties by number. For tools of equal
    size this is optimal (Tang and Denardo 1988, "keep tool needed soonest"); for others it is the policy of the device
    (ours). In a closed order the memory of one period is that of the next; the cost is the mean over the periods after
    which the memory is the same again.
    """
    if not order:
        return 0.0
    required = [np.flatnonzero(tools.needs[task]).tolist() for task in order]
    held = _first_needed(tools, order, required) if tools.warm and not closed else set()
    if not closed:
        return _run(tools, order, required, held, cyclic=False)
    return _steady(tools, order, required)


def _steady(tools: Tools, order: Sequence[int], required: Sequence[Sequence[int]]) -> float:
    """Mean cost of a period once memory repeats."""
    held: set[int] = set()
    seen: dict[frozenset[int], int] = {}
    costs: list[float] = []
    while frozenset(held) not in seen:
        seen[frozenset(held)] = len(costs)
        costs.append(_run(tools, order, required, held, cyclic=True))
    period = costs[seen[frozenset(held)] :]
    return sum(period) / len(period)


def _run(
    tools: Tools, order: Sequence[int], required: Sequence[Sequence[int]], held: set[int], *, cyclic: bool
) -> float:
    """Cost of one period; `held` becomes what is in memory after it."""
    after = _next_use(required, len(tools.bytes), cyclic=cyclic)
    cost = 0.0
    for position, task in enumerate(order):
        for tool in required[position]:
            if tool not in held:
                cost += float(tools.load[tool])
                held.add(tool)
        others = held.difference(required[position])
        spare = float(tools.room[task]) - sum(float(tools.bytes[tool]) for tool in others)
        for tool in sorted(others, key=lambda x: (-after[position][x], x)):
            if spare >= 0:
                break
            held.discard(tool)
            spare += float(tools.bytes[tool])
    return cost


def _next_use(required: Sequence[Sequence[int]], tools: int, *, cyclic: bool) -> list[list[int]]:
    """Position of the next use of each tool after each position; `NEVER` if there is none."""
    count = len(required)
    soonest = [NEVER] * tools
    if cyclic:
        for position in reversed(range(count)):
            for tool in required[position]:
                soonest[tool] = count + position
    found: list[list[int]] = [[]] * count
    for position in reversed(range(count)):
        found[position] = list(soonest)
        for tool in required[position]:
            soonest[tool] = position
    return found


def _first_needed(tools: Tools, order: Sequence[int], required: Sequence[Sequence[int]]) -> set[int]:
    """What a warm memory holds: tools in the order of their first use, until one does not fit."""
    free = float(tools.room[order[0]]) + sum(float(tools.bytes[tool]) for tool in required[0])
    held: set[int] = set()
    for row in required:
        for tool in row:
            if tool in held:
                continue
            if tools.bytes[tool] > free:
                return held
            held.add(tool)
            free -= float(tools.bytes[tool])
    return held
