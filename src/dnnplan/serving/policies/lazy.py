"""LazyBatching at exits: new samples preempt those before them, catch up and merge, while no one will be late.

After Choi, Kim and Rhu (HPCA 2021, arXiv 2010.13103), with exits as the points at which batches can change, where the
paper has every node of the graph. Batches form a stack: the one that started last runs until it meets the one before
it, and both go on together. New samples may start only if every sample in the system keeps its deadline under a
careful prediction: that all of them run one by one, each to the last stage.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import NONE, WAIT, Policy, compiled, oldest_new, run_all, whole_latency


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Start new samples if that is safe, else go on with the batch that started last."""
    top, work, urgent = NONE, 0.0, np.inf
    for stage in range(len(state.length)):
        if state.length[stage] == 0 or state.device[stage] != device:
            continue
        if stage != state.first[state.model[stage]]:
            if top == NONE:
                top = stage
            work += state.length[stage] * whole_latency(stage, 1, state)
            urgent = min(urgent, state.deadline[state.head[stage]])
    new = oldest_new(device, state)
    if new == NONE:
        return WAIT if top == NONE else run_all(top, state)
    if top == NONE:
        return run_all(new, state)
    count = min(state.length[new], state.latency.shape[1] - 1)
    work += count * whole_latency(new, 1, state)
    urgent = min(urgent, state.deadline[state.head[new]])
    return run_all(new, state) if now + work <= urgent else run_all(top, state)


def lazy(problem: ServingProblem) -> Policy:
    """The policy ``lazy``."""
    return Policy("lazy", decide)
