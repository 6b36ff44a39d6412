"""Batches as a mixed-integer linear programme: which operations share a batch, which run ahead of which."""

from __future__ import annotations

from collections.abc import Callable

from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.milp import constraints
from dnnplan.formulations.serving.milp.extract import extract
from dnnplan.formulations.serving.milp.objective import set_objective
from dnnplan.formulations.serving.milp.variables import Variables, create

__all__ = ["Variables", "build", "extract"]


def build(problem: OfflineServing, *, keep_going: Callable[[], bool] = lambda: True) -> Variables | None:
    """The model, or None if it was abandoned because `keep_going` said so.

    Raises
    ------
    UnsupportedError
        Costs of parked samples, or too many operations.
    """
    v = create(problem)
    steps = [
        constraints.batches_have_a_size,
        constraints.sharing_is_transitive,
        constraints.batches_start_together,
        constraints.batches_take_their_time,
        constraints.stages_follow_each_other,
        constraints.devices_run_one_batch,
        constraints.order_is_that_of_stages,
        constraints.alike_samples_keep_their_order,
        constraints.samples_wait_for_each_other,
    ]
    if problem.name == "late":
        steps.append(constraints.lateness_shows)
    for step in (*steps, set_objective):
        if not keep_going():
            return None
        step(v)
    return v
