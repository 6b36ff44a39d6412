"""One sample at a time, first come first served: what a system does that does not batch."""

from __future__ import annotations

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, RUN, WAIT, Policy, compiled, in_flight, oldest_new


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the sample that has started, else start the oldest one."""
    stage = in_flight(device, state)
    if stage == NONE:
        stage = oldest_new(device, state)
    if stage == NONE:
        return WAIT
    state.choice[0], state.choice[1] = stage, 1
    return RUN


def serial(problem: ServingProblem) -> Policy:
    """The policy ``serial``."""
    return Policy("serial", decide)
