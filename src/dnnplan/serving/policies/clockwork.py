"""Earliest start first over batch sizes, and no work on samples that will be late.

After Clockwork (Gujarati et al., OSDI 2020, section 5.3): for each batch size 1, 2, 4, ... for which enough samples
wait, the latest start at which the first of them keeps its deadline; the size with the earliest such start that has
not passed runs. Samples that could not make it even alone are dropped. Execution times are those of a batch whose
samples all reach the last stage.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import (
    NONE,
    RUN,
    WAIT,
    Policy,
    compiled,
    in_flight,
    run_all,
    whole_latency,
)
from dnnplan.serving.policies.hopeless import is_late, pick_hopeless
from dnnplan.serving.policies.objective import require_objectives
from dnnplan.serving.state import DROP


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the batch that has started, else drop, else start the most urgent batch."""
    stage = in_flight(device, state)
    if stage != NONE:
        return run_all(stage, state)
    if pick_hopeless(now, device, state) > 0:
        return DROP
    soonest = np.inf
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        size = 1
        while state.device[stage] == device and size <= state.length[stage] and size < state.latency.shape[1]:
            deadline, time = state.deadline[state.head[stage]], whole_latency(stage, size, state)
            if deadline - time < soonest and not is_late(now + time, deadline):
                soonest = deadline - time
                state.choice[0], state.choice[1] = stage, size
            size *= 2
    return RUN if soonest < np.inf else WAIT


def clockwork(problem: ServingProblem) -> Policy:
    """The policy ``clockwork``; needs service-level objectives."""
    require_objectives("clockwork", problem)
    return Policy("clockwork", decide)
