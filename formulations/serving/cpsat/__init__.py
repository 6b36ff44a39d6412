"""Batches as a CP-SAT model: which operations share a batch, which run ahead of which, and what waits for what."""

from __future__ import annotations

from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.cpsat import constraints
from dnnplan.formulations.serving.cpsat.extract import extract, hint
from dnnplan.formulations.serving.cpsat.objective import set_objective
from dnnplan.formulations.serving.cpsat.variables import Variables, create

__all__ = ["Variables", "build", "extract", "hint"]


def build(problem: OfflineServing) -> Variables:
    """The model.

    Raises
    ------
    UnsupportedError
        Costs of parked samples, or too many operations.
    """
    v = create(problem)
    constraints.batches_have_a_size(v)
    constraints.sharing_is_transitive(v)
    constraints.batches_start_together(v)
    constraints.batches_take_their_time(v)
    constraints.stages_follow_each_other(v)
    constraints.devices_run_one_batch(v)
    constraints.order_is_that_of_stages(v)
    constraints.alike_samples_keep_their_order(v)
    constraints.samples_wait_for_each_other(v)
    if problem.name == "late":
        constraints.lateness_shows(v)
    set_objective(v)
    return v
