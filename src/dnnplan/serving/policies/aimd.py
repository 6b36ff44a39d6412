"""A largest batch that grows by one while batches keep the objective and shrinks by a tenth when one does not.

Clipper (Crankshaw et al., NSDI 2017, section 4.3): additive increase, multiplicative decrease of the batch size, with
the latency of a batch against the objective. Here a batch is measured from its start until its last sample has left.
"""

from __future__ import annotations

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, RUN, WAIT, Policy, compiled, in_flight, oldest_new, run_all
from dnnplan.serving.policies.objective import require_objectives

MOST_NETWORKS = 80
"""Networks for which there is memory: three numbers each."""


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Go on with the batch that has started; else learn from the one that ended, and start the next."""
    stage = in_flight(device, state)
    if stage != NONE:
        return run_all(stage, state)
    for model in range(len(state.first) - 1):
        at = 3 * model
        started, objective = state.memory[at + 1], state.memory[at + 2]
        if objective > 0 and state.device[state.first[model]] == device:
            # The device may have been idle since.
            took = min(now, state.until[device]) - started
            state.memory[at] = state.memory[at] + 1 if took <= objective else 0.9 * state.memory[at]
            state.memory[at + 2] = 0.0
    stage = oldest_new(device, state)
    if stage == NONE:
        return WAIT
    at = 3 * state.model[stage]
    largest = state.latency.shape[1] - 1
    state.memory[at] = min(max(state.memory[at], 1.0), float(largest))
    state.memory[at + 1] = now
    state.memory[at + 2] = state.slo[state.stream[state.head[stage]]]
    state.choice[0], state.choice[1] = stage, min(state.length[stage], int(state.memory[at]))
    return RUN


def aimd(problem: ServingProblem) -> Policy:
    """The policy ``aimd``; needs service-level objectives."""
    require_objectives("aimd", problem)
    return Policy("aimd", decide)
