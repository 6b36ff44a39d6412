"""Times that hold for every plan: how long it can take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dnnplan.costs.mapping import MappingProblem

LIMIT_TOLERANCE = 1e-6


def power_of_two(value: float) -> float:
    """The power of two next to a value."""
    return float(2.0 ** math.floor(math.log2(value))) if 0 < value < math.inf else 1.0


def serial_horizon(problem: MappingProblem) -> float:
    """Seconds in which everything can be done one after the other, each in its slowest way."""

    def slowest(values: Sequence[float]) -> float:
        return max((float(t) for t in values if math.isfinite(t)), default=0.0)

    total = float(problem.release.max(initial=0.0)) + float(problem.tensor_release.max(initial=0.0))
    total += sum(slowest(row) for row in problem.duration.tolist())
    total += sum(slowest(row) for row in problem.load.tolist())
    ends = range(problem.m + 1)
    for k, readers in enumerate(problem.readers):
        times = [problem.move_seconds(k, a, b) for a in ends for b in ends]
        sizes = {problem.read_sizes[k, i] for i in readers}
        times += [problem.read_seconds(k, d, size) for size in sorted(sizes) for d in range(problem.m)]
        total += (len(readers) + 2) * slowest(times)
    return total * (1 + LIMIT_TOLERANCE) or 1.0
