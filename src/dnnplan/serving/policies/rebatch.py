"""A new batch at every stage: whoever waits for a stage runs it together, without regard to objectives.

What iteration-level scheduling does for each iteration (Orca, Yu et al., OSDI 2022) and multi-entry multi-exit
batching at stages (DVABatch, Cui et al., ATC 2022), at the exits. Which stage comes next is ours: that of the sample
that came first, or the first stage at which anyone waits, so that new samples catch up with those before them.
"""

from __future__ import annotations

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, WAIT, Policy, compiled, run_all


@compiled
def decide_oldest(now, device, state):  # type: ignore[no-untyped-def]
    """Run the stage that the oldest sample waits for."""
    found = NONE
    for stage in range(len(state.length)):
        waits = state.length[stage] > 0 and state.device[stage] == device
        if waits and (found == NONE or state.head[stage] < state.head[found]):
            found = stage
    return WAIT if found == NONE else run_all(found, state)


@compiled
def decide_newest(now, device, state):  # type: ignore[no-untyped-def]
    """Run the first stage at which anyone waits, of the network whose sample has waited longest there."""
    found, place = NONE, 0
    for stage in range(len(state.length)):
        if state.length[stage] > 0 and state.device[stage] == device:
            depth = stage - state.first[state.model[stage]]
            sooner = found != NONE and depth == place and state.head[stage] < state.head[found]
            if found == NONE or depth < place or sooner:
                found, place = stage, depth
    return WAIT if found == NONE else run_all(found, state)


def oldest_first(problem: ServingProblem) -> Policy:
    """The policy ``rebatch``."""
    return Policy("rebatch", decide_oldest)


def newest_first(problem: ServingProblem) -> Policy:
    """The policy ``rebatch_newest``."""
    return Policy("rebatch_newest", decide_newest)
