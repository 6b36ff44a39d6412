"""Take all that wait, up to the largest batch, whenever the device is free; batches run to their end.

Adaptive batching without a delay, as in the queue that Inoue analysed (Performance Evaluation 2021); its closed form is
the oracle of the simulator.
"""

from __future__ import annotations

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, WAIT, Policy, compiled, in_flight, oldest_new, run_all


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the batch that has started, else start all of the network whose sample waits longest."""
    stage = in_flight(device, state)
    if stage == NONE:
        stage = oldest_new(device, state)
    return WAIT if stage == NONE else run_all(stage, state)


def greedy(problem: ServingProblem) -> Policy:
    """The policy ``greedy``."""
    return Policy("greedy", decide)
