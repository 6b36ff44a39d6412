"""From a solution of the MILP to batches."""

from __future__ import annotations

from dnnplan.formulations.serving.milp.variables import Variables
from dnnplan.formulations.serving.operations import batches_by


def extract(v: Variables, values: dict[str, float]) -> list[tuple[int, tuple[int, ...]]]:
    """Operations that share a batch, by their starts."""
    starts = {o: values.get(x.name, 0.0) for o, x in v.start.items()}
    same = {pair: values.get(x.name, 0.0) > 0.5 for pair, x in v.same.items()}
    return batches_by(starts, same)
