"""Samples that will be late whatever is done."""

from __future__ import annotations

import numba
from numba import types

from dnnplan.serving.policies.common import NONE, whole_latency
from dnnplan.serving.state import COMPILED, STATE

ROUNDING = 1e-12
"""Part of a time by which a sample may seem to be late that is not: deadline - L + L may be below the deadline."""


@numba.njit(types.boolean(types.float64, types.float64), cache=True)
def is_late(end, deadline):  # type: ignore[no-untyped-def]
    """Whether an end is after a deadline."""
    return end * (1 - ROUNDING) > deadline


@numba.njit(types.int64(types.float64, types.int64, types.int64, STATE), **COMPILED)
def pick_late(end, stage, count, state):  # type: ignore[no-untyped-def]
    """Pick samples that wait for a stage and would be late at `end`, behind `count` others; how many there are then."""
    sample = state.head[stage]
    while sample != NONE and count < len(state.picked):
        if is_late(end, state.deadline[sample]):
            state.picked[count] = sample
            count += 1
        elif len(state.slo) == 1:
            break  # one objective: those behind came later
        sample = state.after[sample]
    return count


@numba.njit(types.int64(types.float64, types.int64, STATE), **COMPILED)
def pick_hopeless(now, device, state):  # type: ignore[no-untyped-def]
    """Pick new samples that would be late even if they ran at once and alone to the last stage; how many."""
    count = 0
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        if state.device[stage] == device:
            count = pick_late(now + whole_latency(stage, 1, state), stage, count, state)
    state.choice[1] = count
    return count
