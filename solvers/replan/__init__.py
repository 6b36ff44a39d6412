"""Re-planning after change events: a repaired plan at once, and a better one by the deadline."""

from dnnplan.solvers.replan.migration import DEFAULT_WEIGHT, Move
from dnnplan.solvers.replan.replanner import DEADLINE, Replanner, replan
from dnnplan.solvers.replan.result import Phase, Replan, ReplanResult, Standing, Step
from dnnplan.solvers.replan.warm import is_there, is_warm, warm_up

__all__ = [
    "DEADLINE",
    "DEFAULT_WEIGHT",
    "Move",
    "Phase",
    "Replan",
    "ReplanResult",
    "Replanner",
    "Standing",
    "Step",
    "is_there",
    "is_warm",
    "replan",
    "warm_up",
]
