"""From a solution of the CP-SAT model to batches, and from batches to a hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnnplan.costs.serving.evaluate import serving_times
from dnnplan.formulations.serving.cpsat.variables import Variables
from dnnplan.formulations.serving.operations import Operation, batches_by


def extract(v: Variables, value: Callable[[object], int]) -> list[tuple[int, tuple[int, ...]]]:
    """Operations that share a batch, by their starts."""
    starts = {o: float(value(x)) for o, x in v.start.items()}
    same = {pair: bool(value(x)) for pair, x in v.same.items()}
    return batches_by(starts, same)


def hint(v: Variables, batches: Sequence[tuple[int, Sequence[int]]]) -> None:
    """Hint all that follows from batches: sizes, sharing, order, times and lateness."""
    v.model.clear_hints()
    times = serving_times(v.problem.serving, v.problem.samples, batches)
    number: dict[Operation, int] = {(j, q): k for k, (q, members) in enumerate(batches) for j in members}
    size = [len(members) for _, members in batches]
    origin = v.operations.origin
    for o, x in v.start.items():
        v.model.add_hint(x, v.ticks(float(times.start[number[o]]) - origin))
        v.model.add_hint(v.end[o], v.ticks(float(times.end[number[o]]) - origin))
    for (o, b), x in v.size.items():
        v.model.add_hint(x, int(size[number[o]] == b))
    for (o, u), x in v.same.items():
        v.model.add_hint(x, int(number[o] == number[u]))
    for (o, u), x in v.ahead.items():
        v.model.add_hint(x, int(number[o] < number[u]))
    for (o, j, b), x in v.pays.items():
        waits = number[o] <= number[v.operations.last(j)]
        v.model.add_hint(x, int(waits and size[number[o]] == b))
    for j, x in v.late.items():
        v.model.add_hint(x, int(times.completion[j] - origin > v.operations.deadline[j]))
