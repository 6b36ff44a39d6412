"""The compiled simulator. `twin` does the same in plain Python; both end with equal events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numba import types

from dnnplan.serving.state import COMPILED, DROP, NONE, PICK, POLICY, RUN, STATE, WAIT, State

DONE, STALLED, BAD_ACTION, BAD_STAGE, BAD_COUNT, NOT_WAITING, NO_PROGRESS, PAST = range(8)
"""How a simulation ended: all samples are gone, or what the policy did wrong."""
MOST_CALLS = 100_000
"""Calls of a policy for one device at one time, or wakes in a row, without effect, after which it is stopped."""
BATCHES, MEMBERS, CALLS, GONE = range(4)


Function = TypeVar("Function", bound=Callable[..., Any])


def inline(function: Function) -> Function:
    """A part of `run`, which would copy all arrays for each call of a function."""
    made: Function = numba.njit(inline="always")(function)
    return made


class Job(NamedTuple):
    """What is to be served, and what the state does not say: n samples, Q stages, D devices.

    Parameters
    ----------
    arrival, stream, depth
        (n,) the samples, as in `Samples`.
    transfer, switch
        (Q, B + 1) and (Q,), as in `ServingProblem`.
    """

    arrival: Any
    stream: Any
    depth: Any
    transfer: Any
    switch: Any


class Record(NamedTuple):
    """What happened.

    Parameters
    ----------
    left, dropped
        (n,) when each sample left, or was dropped; NaN.
    sizes
        (Q, B + 1) batches by stage and size.
    busy
        (D,) seconds of work.
    joules
        (1,) of all batches.
    counters
        (4,) batches, members of all batches, calls of the policy, samples that are gone.
    stage, size, start, end
        (m,) of each batch in the order in which they started; m = 0: not kept.
    members
        Samples of all batches, one batch after the other.
    due, heading, flight, on_device, on_stage, wakes
        Scratch: (n,) end of a transfer and stage that it leads to, (2,) first and last sample under way, (D, B) samples
        of the latest batch of a device and (D,) its stage, (D,) when to ask again.
    """

    left: Any
    dropped: Any
    sizes: Any
    busy: Any
    joules: Any
    counters: Any
    stage: Any
    size: Any
    start: Any
    end: Any
    members: Any
    due: Any
    heading: Any
    flight: Any
    on_device: Any
    on_stage: Any
    wakes: Any


_REAL, _COUNT = types.float64[::1], types.int64[::1]
_REAL_TABLE, _COUNT_TABLE = types.float64[:, ::1], types.int64[:, ::1]
JOB = types.NamedTuple([_REAL, _COUNT, _COUNT, _REAL_TABLE, _REAL], Job)
RECORD = types.NamedTuple(
    [
        *(_REAL, _REAL, _COUNT_TABLE, _REAL, _REAL, _COUNT),
        *(_COUNT, _COUNT, _REAL, _REAL, _COUNT),
        *(_REAL, _COUNT, _COUNT, _COUNT_TABLE, _COUNT, _REAL),
    ],
    Record,
)


@inline
def _link(sample: int, previous: int, follower: int, state: State) -> None:
    """Put a sample between two others of a line."""
    state.before[sample] = previous
    state.after[sample] = follower
    if previous != NONE:
        state.after[previous] = sample
    if follower != NONE:
        state.before[follower] = sample


@inline
def park(sample: int, stage: int, state: State) -> None:
    """Let a sample wait for a stage, in the order of arrival."""
    previous = state.tail[stage]
    while previous != NONE and previous > sample:
        previous = state.before[previous]
    follower = state.head[stage] if previous == NONE else state.after[previous]
    _link(sample, previous, follower, state)
    if previous == NONE:
        state.head[stage] = sample
    if follower == NONE:
        state.tail[stage] = sample
    state.place[sample] = stage
    state.length[stage] += 1


@inline
def _take(sample: int, state: State) -> None:
    """Take a sample out of the line that it waits in."""
    stage, previous, follower = state.place[sample], state.before[sample], state.after[sample]
    if previous == NONE:
        state.head[stage] = follower
    else:
        state.after[previous] = follower
    if follower == NONE:
        state.tail[stage] = previous
    else:
        state.before[follower] = previous
    state.place[sample] = NONE
    state.length[stage] -= 1


@inline
def _send(sample: int, state: State, record: Record) -> None:
    """Let a sample be under way until `record.due`, in the order of arrival at the other device."""
    previous = record.flight[1]
    while previous != NONE and record.due[previous] > record.due[sample]:
        previous = state.before[previous]
    follower = record.flight[0] if previous == NONE else state.after[previous]
    _link(sample, previous, follower, state)
    if previous == NONE:
        record.flight[0] = sample
    if follower == NONE:
        record.flight[1] = sample


@inline
def _are_waiting(state: State, stage: int) -> int:
    """Whether all picked samples wait for a stage (`NONE`: for any), and none is picked twice."""
    for k in range(state.choice[1]):
        sample = state.picked[k]
        if sample < 0 or sample >= len(state.place) or state.place[sample] == NONE:
            return NOT_WAITING
        if stage != NONE and state.place[sample] != stage:
            return NOT_WAITING
        for other in range(k):
            if state.picked[other] == sample:
                return NOT_WAITING
    return DONE


@inline
def _wrong(action: int, device: int, state: State) -> int:
    """What is wrong with an action; `DONE`: nothing."""
    stage, count = state.choice[0], state.choice[1]
    if action not in (RUN, PICK, DROP):
        return BAD_ACTION
    if count < 1 or count >= state.latency.shape[1]:
        return BAD_COUNT
    if action == DROP:
        return _are_waiting(state, NONE)
    if stage < 0 or stage >= len(state.length) or state.device[stage] != device:
        return BAD_STAGE
    if count > state.length[stage]:
        return BAD_COUNT
    return DONE if action == RUN else _are_waiting(state, stage)


@inline
def _drop(now: float, state: State, record: Record) -> None:
    """Let the picked samples go unserved."""
    for k in range(state.choice[1]):
        _take(state.picked[k], state)
        record.dropped[state.picked[k]] = now
    record.counters[GONE] += state.choice[1]


@inline
def _strangers(device: int, state: State, record: Record) -> int:
    """How many of the picked samples were not in the batch that the device ran right before."""
    count = int(state.choice[1])
    for k in range(state.choice[1]):
        for place in range(record.on_device.shape[1]):
            if record.on_device[device, place] == NONE:
                break
            if record.on_device[device, place] == state.picked[k]:
                count -= 1
                break
    return count


@inline
def _begin(now: float, device: int, state: State, job: Job, record: Record) -> None:
    """Run the picked samples as one batch."""
    stage, count = state.choice[0], state.choice[1]
    number, at = record.counters[BATCHES], record.counters[MEMBERS]
    span = state.latency[stage, count]
    if job.switch[stage] > 0:
        span += job.switch[stage] * _strangers(device, state, record)
    for k in range(count):
        sample = state.picked[k]
        _take(sample, state)
        record.on_device[device, k] = sample
    if count < record.on_device.shape[1]:
        record.on_device[device, count] = NONE
    state.running[device] = count
    state.until[device] = now + span
    record.on_stage[device] = stage
    record.busy[device] += span
    record.sizes[stage, count] += 1
    record.joules[0] += state.energy[stage, count]
    if len(record.stage) > 0:
        record.stage[number], record.size[number] = stage, count
        record.start[number], record.end[number] = now, now + span
        for k in range(count):
            record.members[at + k] = state.picked[k]
    record.counters[BATCHES] += 1
    record.counters[MEMBERS] += count


@inline
def _finish(now: float, device: int, state: State, job: Job, record: Record) -> None:
    """Let the samples of a batch leave, wait for their next stage, or be sent there."""
    stage, count = record.on_stage[device], state.running[device]
    first = state.first[state.model[stage]]
    delay = job.transfer[stage, count]
    state.running[device] = 0
    for k in range(count):
        sample = record.on_device[device, k]
        if stage - first + 1 == job.depth[sample]:
            record.left[sample] = now
            record.counters[GONE] += 1
        elif delay > 0:
            record.due[sample], record.heading[sample] = now + delay, stage + 1
            _send(sample, state, record)
        else:
            park(sample, stage + 1, state)


@inline
def _land(now: float, state: State, job: Job, record: Record) -> int:
    """Let samples wait that were under way; how many."""
    landed = 0
    while record.flight[0] != NONE and record.due[record.flight[0]] <= now:
        sample = record.flight[0]
        record.flight[0] = state.after[sample]
        if record.flight[0] == NONE:
            record.flight[1] = NONE
        else:
            state.before[record.flight[0]] = NONE
        park(sample, record.heading[sample], state)
        landed += 1
    return landed


@inline
def _next_event(arriving: int, devices: int, state: State, job: Job, record: Record) -> float:
    """When something happens next; arrivals matter only where a device is idle."""
    soonest = np.inf
    idle = False
    for device in range(devices):
        if state.running[device] > 0:
            soonest = min(soonest, state.until[device])
        else:
            idle = True
            soonest = min(soonest, record.wakes[device])
    if record.flight[0] != NONE:
        soonest = min(soonest, record.due[record.flight[0]])
    if idle and arriving < len(job.arrival):
        soonest = min(soonest, job.arrival[arriving])
    return soonest


@inline
def _arrive(now: float, arriving: int, state: State, job: Job, record: Record) -> int:
    """Let the samples wait that have come by now; the next one to come."""
    while arriving < len(job.arrival) and job.arrival[arriving] <= now:
        stream, time = job.stream[arriving], job.arrival[arriving]
        state.arrival[arriving] = time
        state.deadline[arriving] = time + state.slo[stream]
        state.stream[arriving] = stream
        state.arrived[stream] += 1
        park(arriving, state.first[state.networks[stream]], state)
        arriving += 1
    return arriving


@inline
def _decide(decide, now, device, state, job, record):  # type: ignore[no-untyped-def]
    """Ask the policy for an idle device until it runs a batch or waits; what it did wrong."""
    record.wakes[device] = np.inf
    for _ in range(MOST_CALLS):
        waiting = 0
        for stage in range(len(state.length)):
            waiting += state.length[stage] * (state.device[stage] == device)
        if waiting == 0:
            return DONE
        state.wake[0] = np.inf
        action = decide(now, device, state)
        record.counters[CALLS] += 1
        if action == WAIT:
            record.wakes[device] = state.wake[0]
            return DONE if state.wake[0] > now else PAST
        fault = _wrong(action, device, state)
        if fault != DONE:
            return fault
        if action == DROP:
            _drop(now, state, record)
            continue
        if action == RUN:
            sample = state.head[state.choice[0]]
            for k in range(state.choice[1]):
                state.picked[k] = sample
                sample = state.after[sample]
        _begin(now, device, state, job, record)
        return DONE
    return NO_PROGRESS


@numba.njit(types.Tuple((types.int64, types.int64, types.float64))(POLICY, STATE, JOB, RECORD), **COMPILED)
def run(decide, state, job, record):  # type: ignore[no-untyped-def]
    """Serve samples to the end.

    Parameters
    ----------
    decide
        The policy.
    state, job, record
        As `begin` makes them: no sample has arrived, nothing has happened.

    Returns
    -------
    code, device, time
        How it ended; where and when, if not with `DONE`.

    Notes
    -----
    What happens at one time happens in this order: batches end, samples land, samples arrive, devices are asked. Each
    event takes O(D + Q) beside what the policy takes, and each sample O(1) for each stage unless it is overtaken.
    """
    devices = len(state.running)
    arriving, quiet, last = 0, 0, 0.0
    while True:
        now = _next_event(arriving, devices, state, job, record)
        if now == np.inf:
            break
        happened = -arriving
        for device in range(devices):
            if state.running[device] > 0 and state.until[device] <= now:
                _finish(now, device, state, job, record)
                happened += 1
        happened += _land(now, state, job, record)
        arriving = _arrive(now, arriving, state, job, record)
        happened += arriving
        quiet = 0 if happened > 0 else quiet + 1
        if quiet > MOST_CALLS:
            return NO_PROGRESS, 0, now
        for device in range(devices):
            if state.running[device] == 0:
                code = _decide(decide, now, device, state, job, record)  # type: ignore[no-untyped-call]
                if code != DONE:
                    return code, device, now
        last = now
    code = DONE if record.counters[GONE] == len(job.arrival) else STALLED
    return code, 0, last
