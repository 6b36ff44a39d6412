"""What policies share: a policy with its numbers, and compiled questions to the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numba
import numpy as np
from numba import types

from dnnplan.costs.routes import FloatArray
from dnnplan.serving.state import COMPILED, NONE, RUN, SIGNATURE, STATE, WAIT, State

Decide = Callable[[float, int, State], int]


@dataclass(frozen=True, eq=False)
class Policy:
    """A rule that decides at run time.

    Parameters
    ----------
    decide
        ``decide(now, device, state) -> action`` as `dnnplan.serving.state` has it; compiled with `compiled`, or plain.
    parameters
        Numbers that it reads as `state.parameters`.
    """

    name: str
    decide: Decide
    parameters: FloatArray = field(default_factory=lambda: np.zeros(1))

    @property
    def is_compiled(self) -> bool:
        """Whether it runs inside the compiled simulator."""
        return hasattr(self.decide, "py_func") and SIGNATURE.args in getattr(self.decide, "signatures", [])


def compiled(function: Decide) -> Decide:
    """A policy compiled for the simulator; compiled code is cached beside its file, if it has one."""
    try:
        made: Decide = numba.njit(SIGNATURE, **COMPILED)(function)
    except RuntimeError:  # typed in, or in a folder that cannot be written
        made = numba.njit(SIGNATURE, **{**COMPILED, "cache": False})(function)
    return made


@numba.njit(types.int64(types.int64, STATE), **COMPILED)
def run_all(stage, state):  # type: ignore[no-untyped-def]
    """Run all samples that wait for a stage, the first B of them."""
    state.choice[0] = stage
    state.choice[1] = min(state.length[stage], state.latency.shape[1] - 1)
    return RUN


@numba.njit(types.int64(types.int64, STATE), **COMPILED)
def in_flight(device, state):  # type: ignore[no-untyped-def]
    """The deepest stage of a device at which samples wait that have started; `NONE`: there are none.

    On the first device of a network, samples that wait for its first stage have not started; on others all have.
    """
    for stage in range(len(state.length) - 1, -1, -1):
        if (
            state.length[stage] > 0
            and state.device[stage] == device
            and stage != state.first[state.model[stage]]
        ):
            return stage
    return NONE


@numba.njit(types.int64(types.int64, STATE), **COMPILED)
def oldest_new(device, state):  # type: ignore[no-untyped-def]
    """The first stage whose first waiting sample came first; `NONE`: no new sample waits."""
    found = NONE
    for model in range(len(state.first) - 1):
        stage = state.first[model]
        waits = state.length[stage] > 0 and state.device[stage] == device
        if waits and (found == NONE or state.head[stage] < state.head[found]):
            found = stage
    return found


@numba.njit(types.float64(types.int64, types.int64, STATE), **COMPILED)
def whole_latency(stage, count, state):  # type: ignore[no-untyped-def]
    """Seconds of a batch from a stage through the last one of its network, if no one leaves."""
    total = 0.0
    for later in range(stage, state.first[state.model[stage] + 1]):
        total += state.latency[later, count]
    return total


__all__ = [
    "NONE",
    "RUN",
    "WAIT",
    "Policy",
    "State",
    "compiled",
    "in_flight",
    "oldest_new",
    "run_all",
    "whole_latency",
]
