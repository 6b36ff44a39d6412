"""From a solution of the CP-SAT model to an order, and from an order to a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from dnnplan.formulations.ordering.cpsat.variables import Variables


def extract(v: Variables, value: Callable[[object], int]) -> tuple[int, ...]:
    """Tasks by their places."""
    return tuple(sorted(range(v.problem.n), key=lambda a: value(v.place[a])))


def hint(v: Variables, order: Sequence[int]) -> None:
    """Hint places and steps; what memory holds follows from them."""
    v.model.clear_hints()
    for p, a in enumerate(order):
        v.model.add_hint(v.place[a], p)
        for q in range(v.problem.n if v.at else 0):
            v.model.add_hint(v.at[q, a], int(q == p))
    ran = [[a for a in order if a in one.tasks] for one in v.rounds]
    steps = {(r, a, b) for r, tasks in enumerate(ran) for a, b in pairwise(tasks)}
    for arc, x in v.arc.items():
        v.model.add_hint(x, int(arc in steps))
    for (r, a), x in v.first.items():
        v.model.add_hint(x, int(ran[r][0] == a))
    for (r, a), x in v.last.items():
        v.model.add_hint(x, int(ran[r][-1] == a))
    for (q, r, a, b), x in v.wrap.items():
        v.model.add_hint(x, int(ran[q][-1] == a and ran[r][0] == b))
