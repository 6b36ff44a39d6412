"""The network whose run makes the others wait least.

After EdgeServing (Cao et al., arXiv 2605.05527): for each network, take up to ten waiting samples and the time t that
their run takes; its score is the sum over all other waiting samples of clip(exp((wait + t) / objective - 1), 0, 10);
the network with the lowest score runs, and the device never idles. The paper also chooses the exit; here exits belong
to the samples, so t is the expected time of a batch that shrinks as samples leave (ours).
"""

from __future__ import annotations

import math

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, RUN, WAIT, Policy, compiled, in_flight, run_all
from dnnplan.serving.policies.objective import require_objectives

MOST, CLIP = 10, 10.0


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the batch that has started, else start the network of the lowest score."""
    stage = in_flight(device, state)
    if stage != NONE:
        return run_all(stage, state)
    best, lowest = NONE, 0.0
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        if state.length[stage] == 0 or state.device[stage] != device:
            continue
        count = min(state.length[stage], MOST, state.latency.shape[1] - 1)
        stream = state.stream[state.head[stage]]
        time = 0.0
        for later in range(stage, state.first[model + 1]):
            time += state.latency[later, max(1, round(count * state.reach[stream, later]))]
        score = 0.0
        for other in range(len(state.first) - 1):
            first = state.first[other]
            sample, place = state.head[first], 0
            while sample != NONE:
                if other != model or place >= count:
                    wait = now - state.arrival[sample] + time
                    score += min(math.exp(min(wait / state.slo[state.stream[sample]] - 1, 50.0)), CLIP)
                sample = state.after[sample]
                place += 1
        if best == NONE or score < lowest:
            best, lowest = stage, score
            state.choice[0], state.choice[1] = stage, count
    return WAIT if best == NONE else RUN


def edgeserving(problem: ServingProblem) -> Policy:
    """The policy ``edgeserving``; needs service-level objectives."""
    require_objectives("edgeserving", problem)
    return Policy("edgeserving", decide)
