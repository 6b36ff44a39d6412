"""Figures of the published solver script of HaX-CoNN that its layer-group file lacks.

All from github ismetdagli/HaX-CoNN, src/z3_solver_multi_dnn.py at 14096dc, whose comments call the transitions
and the memory demands dummies. Its first network is GoogleNet, its second AlexNet.
"""

from __future__ import annotations

TRANSITIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "alexnet": {
        "gpu": ("0.03", "0.11", "0.08", "0.03", "0.09", "0.08", "0.07"),
        "dla": ("0.07", "0.14", "0.10", "0.05", "0.16", "0.12", "0.09"),
    }
}
"""Milliseconds to the other processor after each layer group but the last."""

_DEMANDS: dict[str, dict[str, tuple[float, ...]]] = {
    "googlenet": {
        "gpu": (30, 35, 41, 53, 61, 52, 49, 66, 66, 41),
        "dla": (25, 28, 33, 38, 49, 45, 41, 44, 58, 29),
    },
    "alexnet": {
        "gpu": (50, 68, 71, 49, 53, 62, 55, 48),
        "dla": (38, 49, 43, 37, 27, 39, 32, 30),
    },
}
"""Memory demand of each layer group on each processor, in the unit of the script."""


def slowdowns(network: str) -> list[dict[str, float]] | None:
    """Slow-down factors of each layer group by processor; None where no demands are published."""
    demands = _DEMANDS.get(network)
    if demands is None:
        return None
    return [
        {"gpu": _gpu_slowdown(gpu), "dla": _dla_slowdown(dla)}
        for gpu, dla in zip(demands["gpu"], demands["dla"], strict=True)
    ]


def _gpu_slowdown(demand: float) -> float:
    """Slow-down on the GPU: piecewise in the percentage of speed that is lost."""
    if demand < 38.1:
        lost = demand * 4.9 / 127.5
    elif demand < 96.2:
        lost = demand
    else:
        lost = (demand - 41.9) * 1.11
    return 100 / (100 - lost)


def _dla_slowdown(demand: float) -> float:
    """Slow-down on the DLA, like `_gpu_slowdown`."""
    lost = demand if demand < 27.9 else (demand + 49) * 0.35
    return 100 / (100 - lost)
