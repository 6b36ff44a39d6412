"""Whether there are service-level objectives, for policies that cannot do without."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.instances.errors import UnsupportedError


def require_objectives(policy: str, problem: ServingProblem) -> None:
    """Refuse streams without an objective.

    Raises
    ------
    UnsupportedError
        A stream has none.
    """
    without = [stream.name for stream in problem.streams if not np.isfinite(stream.slo)]
    if without:
        raise UnsupportedError(
            f"policy '{policy}' needs a service-level objective for each stream; stream '{without[0]}' has none"
        )
