"""Deferred batching: wait as long as one more sample could still join in time.

After Symphony (Chen et al., arXiv 2308.07470): a batch of b waiting samples starts when a batch of b + 1 would be
late for the first of them, so when deadline - L(b + 1) has come; at the largest batch, when it is full. Samples that
could not make it even alone are dropped; the most urgent network goes first.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, WAIT, Policy, compiled, in_flight, run_all, whole_latency
from dnnplan.serving.policies.hopeless import pick_hopeless
from dnnplan.serving.policies.objective import require_objectives
from dnnplan.serving.state import DROP


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the batch that has started, else drop, else start what cannot wait."""
    stage = in_flight(device, state)
    if stage != NONE:
        return run_all(stage, state)
    if pick_hopeless(now, device, state) > 0:
        return DROP
    largest = state.latency.shape[1] - 1
    found, soonest = NONE, np.inf
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        if state.length[stage] == 0 or state.device[stage] != device:
            continue
        size = min(state.length[stage] + 1, largest)
        start = state.deadline[state.head[stage]] - whole_latency(stage, size, state)
        if state.length[stage] >= largest:
            start = min(start, now)
        if start < soonest:
            found, soonest = stage, start
    if found == NONE:
        return WAIT
    if soonest <= now:
        return run_all(found, state)
    state.wake[0] = soonest
    return WAIT


def symphony(problem: ServingProblem) -> Policy:
    """The policy ``symphony``; needs service-level objectives."""
    require_objectives("symphony", problem)
    return Policy("symphony", decide)
