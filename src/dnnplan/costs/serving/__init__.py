"""Serving: stages of early-exit networks, what batches of them cost, and how much a platform can serve."""

from dnnplan.costs.serving.capacity import at_load, capacity, instance_at_load, load
from dnnplan.costs.serving.npu import with_npu
from dnnplan.costs.serving.placement import placed
from dnnplan.costs.serving.problem import Samples, ServedStream, ServingProblem
from dnnplan.costs.serving.samples import trace_samples
from dnnplan.costs.serving.view import serving_problem

__all__ = [
    "Samples",
    "ServedStream",
    "ServingProblem",
    "at_load",
    "capacity",
    "instance_at_load",
    "load",
    "placed",
    "serving_problem",
    "trace_samples",
    "with_npu",
]
