"""Labels of layers from values of the variables, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dnnplan.costs.evaluate import Evaluation
from dnnplan.formulations.mapping.calls.cpsat.variables import CallVariables

HOST = -1


def extract(v: CallVariables, value: Callable[[object], int]) -> list[int]:
    """(n,) label of each layer, -1 for the host."""
    return [next((c for c, here in row.items() if value(here)), HOST) for row in v.z]


def labels_of(v: CallVariables, plan: Evaluation) -> list[int]:
    """(n,) label of each layer in a plan: calls of a device by their start.

    Identical devices change names so that they start their first calls in the order that the model wants.
    """
    label = [HOST] * v.problem.n
    first = {d: c for c, d in reversed(list(enumerate(v.device)))}
    name = {d: d for d in first}
    for devices in v.identical:
        by_start = sorted(devices, key=lambda d: (_first_start(plan, d), d))
        name |= dict(zip(by_start, sorted(devices), strict=True))
    for d, row in enumerate(plan.decisions.order):
        for number, call in enumerate(row if d in first else ()):
            for i in plan.decisions.calls[call]:
                label[i] = first[name[d]] + number
    return label


def _first_start(plan: Evaluation, device: int) -> float:
    """When a device starts its first call; infinite if it has none."""
    return min((plan.times.start[call] for call in plan.decisions.order[device]), default=math.inf)


def hint(v: CallVariables, label: Sequence[int]) -> None:
    """Hint the places of all layers; times follow from them."""
    v.model.clear_hints()
    seen: set[int] = set()
    for i, row in enumerate(v.z):
        if id(row) in seen:
            continue
        seen.add(id(row))
        for c, here in row.items():
            v.model.add_hint(here, int(label[i] == c))
        home = v.host[i]
        if home is not None:
            v.model.add_hint(home, int(label[i] == HOST))
