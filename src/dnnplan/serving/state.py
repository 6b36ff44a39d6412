"""What a policy sees and what it answers: arrays that simulator and policies share.

A policy is a function ``decide(now, device, state) -> action``. It is called for an idle device whenever something
happened: the device ended a batch, samples arrived, or the time came that it asked for. It writes its choice into the
state and returns

    WAIT    until something happens, or until ``state.wake[0]`` (seconds; infinite by default),
    RUN     the first ``state.choice[1]`` samples that wait for stage ``state.choice[0]``,
    PICK    the ``state.choice[1]`` samples ``state.picked[:...]`` that wait for stage ``state.choice[0]``,
    DROP    the ``state.choice[1]`` samples ``state.picked[:...]``, wherever they wait; it is then called again.

Compiled policies carry `SIGNATURE` and run inside the compiled simulator; plain Python functions work too, slower.
Everything else in the state is only to be read. It holds nothing that a real system does not know: of samples that have
not arrived, and of the exits that samples will take, nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types

WAIT, RUN, PICK, DROP = 0, 1, 2, 3
COMPILED: dict[str, bool] = {"cache": True, "_nrt": False}
"""Options of the compiler. Nothing is allocated, so references need not be counted, which takes most of the time."""
MEMORY = 256
"""Numbers that a policy may keep from call to call."""
NONE = -1


class State(NamedTuple):
    """Arrays for Q stages, S streams, D devices, M networks, batches of up to B, and n samples.

    Parameters
    ----------
    latency, energy
        (Q, B + 1) seconds and joules of a batch.
    leaves, reach
        (S, Q) probability to leave at the end of a stage, of a sample that runs it; to run it at all.
    model, device
        (Q,) network and device of a stage.
    first
        (M + 1,) first stage of a network.
    networks, slo, weight
        (S,) network of a stream, seconds that its samples have, and their weight.
    length, head, tail
        (Q,) samples that wait for a stage: how many, the first, the last (`NONE`: no one waits).
    after, before
        (n,) the next and the previous sample in the same line.
    arrival, deadline
        (n,) seconds; only of samples that have arrived.
    stream
        (n,) stream of a sample that has arrived.
    place
        (n,) stage that a sample waits for; `NONE`: it does not wait.
    running, until
        (D,) samples in the batch that runs on a device, and when the latest batch ends or ended.
    arrived
        (S,) samples of a stream so far.
    parameters
        Numbers of the policy, as it was made.
    memory
        Numbers that it keeps; zeros at the start.
    choice, picked, wake
        What it answers.
    """

    latency: Any
    energy: Any
    leaves: Any
    reach: Any
    model: Any
    device: Any
    first: Any
    networks: Any
    slo: Any
    weight: Any
    length: Any
    head: Any
    tail: Any
    after: Any
    before: Any
    arrival: Any
    deadline: Any
    stream: Any
    place: Any
    running: Any
    until: Any
    arrived: Any
    parameters: Any
    memory: Any
    choice: Any
    picked: Any
    wake: Any


_REALS = {"slo", "weight", "arrival", "deadline", "until", "parameters", "memory", "wake"}
_TABLES = {"latency", "energy", "leaves", "reach"}


def _kind(field: str) -> Any:
    if field in _TABLES:
        return types.float64[:, ::1]
    return types.float64[::1] if field in _REALS else types.int64[::1]


STATE = types.NamedTuple([_kind(field) for field in State._fields], State)
SIGNATURE = types.int64(types.float64, types.int64, STATE)
"""Of compiled policies."""
POLICY = types.FunctionType(SIGNATURE)
