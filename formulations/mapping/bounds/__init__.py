"""Lower bounds: critical paths, loads, energy, and linear programmes that join them.

All hold for every plan of the view in which each layer is a call, whatever its memory settings and contention.
"""

from dnnplan.formulations.mapping.bounds.bound import LIMIT_TOLERANCE, SAFETY, Bound
from dnnplan.formulations.mapping.bounds.load import load_bound
from dnnplan.formulations.mapping.bounds.paths import (
    communication_path_bound,
    critical_path_bound,
    heads_and_tails,
    least_duration,
)
from dnnplan.formulations.mapping.bounds.quick import (
    broken_limit,
    energy_bound,
    latency_bounds,
    objective_bound,
    stage_bound,
)
from dnnplan.formulations.mapping.bounds.strong import Guide, Strong, strong_bound

__all__ = [
    "LIMIT_TOLERANCE",
    "SAFETY",
    "Bound",
    "Guide",
    "Strong",
    "broken_limit",
    "communication_path_bound",
    "critical_path_bound",
    "energy_bound",
    "heads_and_tails",
    "latency_bounds",
    "least_duration",
    "load_bound",
    "objective_bound",
    "stage_bound",
    "strong_bound",
]
