"""A source of costs: every layer takes the same time, plus what its operator takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.filled import LayerCosts
from dnnplan.instances import InputError, Model, Problem


@dataclass(frozen=True)
class PerLayer:
    """Seconds of any layer, and of operators by name on top; errors of logarithms as everywhere."""

    seconds: float
    operators: Mapping[str, float]
    error: float

    def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
        """(L, B) seconds, in proportion to the batch."""
        each = [self.seconds + self.operators.get(layer.op, 0.0) for layer in model.layers]
        seconds = np.outer(each, np.asarray(batch, dtype=float))
        return LayerCosts(seconds=seconds, spread=np.full(seconds.shape, self.error))


def per_layer(entry: Mapping[str, Any], folder: Path) -> PerLayer:
    """The source of an entry of `costs.json`, ``{"kind": "example-per-layer", "seconds": 1e-3}``.

    Entries are data of strangers: whatever is wrong with one is named.
    """
    problems = [
        Problem(key, "is no key of this kind; expected seconds, operators, error")
        for key in entry
        if key not in ("seconds", "operators", "error")
    ]
    operators = entry.get("operators", {})
    numbers = {"seconds": entry.get("seconds"), "error": entry.get("error", 0.1)}
    if isinstance(operators, dict):
        numbers |= {f"operators.{name}": value for name, value in operators.items()}
    else:
        problems.append(Problem("operators", "expected an object of seconds by operator"))
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
            problems.append(Problem(key, f"{value!r}, expected a number from 0 to 1e6"))
    if problems:
        raise InputError(problems=problems)
    return PerLayer(float(entry["seconds"]), operators, float(numbers["error"] or 0.0))
