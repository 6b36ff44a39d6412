"""Wait for a full batch, but no longer than a time-out: batching as in TensorFlow Serving (Olston et al. 2017)."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, WAIT, Policy, compiled, in_flight, run_all


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Start the network whose batch is full, or whose first sample has waited long enough, longest first."""
    stage = in_flight(device, state)
    if stage != NONE:
        return run_all(stage, state)
    delay, largest = state.parameters[0], state.latency.shape[1] - 1
    found = NONE
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        if state.length[stage] == 0 or state.device[stage] != device:
            continue
        due = state.arrival[state.head[stage]] + delay
        if due <= now or state.length[stage] >= largest:
            if found == NONE or state.head[stage] < state.head[found]:
                found = stage
        elif due < state.wake[0]:
            state.wake[0] = due
    return WAIT if found == NONE else run_all(found, state)


def timeout(problem: ServingProblem, seconds: float | None = None) -> Policy:
    """The policy ``timeout``; by default as long as one sample alone takes (ours)."""
    alone = min(
        float(problem.latency[problem.first[m] : problem.first[m + 1], 1].sum())
        for m in range(len(problem.first) - 1)
    )
    return Policy("timeout", decide, np.array([alone if seconds is None else seconds]))
