"""Exit-aware batching: which stage runs next, and how large, as a value iteration has planned it (ours).

The idea of preempting at exits, merging groups that wait for one stage and knowing how likely exits are is that of
Fluid Batching (Kouris et al., arXiv 2209.13443, abstract); its equations are not public, and nothing here is taken
from it.

A table says for each state - how many samples wait for each stage - what to run: it minimises the mean latency for
Poisson arrivals at some rate (`mdp`). Samples that wait for a deep stage are so left until enough of them share it,
new ones preempt them at exits and merge with them, and batches are no larger than pays. Beyond the table, when the
line of new samples is long, throughput is all that counts: full batches, the deepest first. Which rate the table is
for, when that mode begins, and whether samples of some age go first, is chosen by simulating the expected arrivals
(`planning.tuning`).

Where the objective is few late samples, those that cannot make it any more are dropped, new ones already while they
still need more than a margin, and, if that serves more, the newest go first.

With several networks or devices, each run of stages of a network on one device has a table of its own; of those that
want to run, the one with the highest response ratio does: samples a second, times 1 + age / time of one sample.
"""

from __future__ import annotations

import numba
from numba import types

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.serving.policies.common import (
    NONE,
    RUN,
    WAIT,
    Policy,
    compiled,
    in_flight,
    oldest_new,
    run_all,
    whole_latency,
)
from dnnplan.serving.policies.hopeless import pick_late
from dnnplan.serving.policies.mdp import STEP
from dnnplan.serving.state import COMPILED, DROP, MEMORY, PICK, STATE

LATE, OLDEST, NEWEST, MOST, STRETCH, FINISH, PATIENCE, SEGMENTS, HEAD = range(9)
"""Places in the parameters: objective, age that goes first, order of new samples, most of them in a batch, part of the
time to the end that a batch has to have left, whether batches run to their end, the longest wait for an arrival, number
of segments, and where the segments begin, followed by the seconds that a sample at each stage still needs."""
FIRST, STAGES, BACKLOG, ALONE, CAPS = range(5)
"""Places in a segment: first stage, number of stages, line at which only throughput counts, seconds of one sample, then
the longest lines of the table, the lines looked up at most, and the table: actions as in `mdp`, stages counted in the
segment."""


@numba.njit(types.int64(types.int64, types.int64, STATE), **COMPILED)
def propose(at, largest, state):  # type: ignore[no-untyped-def]
    """What a segment wants to run, stage x `STEP` + size; `NONE`: nothing, or to wait."""
    plan = state.parameters
    first, stages = int(plan[at + FIRST]), int(plan[at + STAGES])
    if state.length[first] >= plan[at + BACKLOG]:
        for stage in range(first + stages - 1, first, -1):
            if state.length[stage] >= largest:
                return stage * STEP + largest
        return first * STEP + min(state.length[first], largest)
    entry = 0
    for stage in range(stages):
        cap, reach = int(plan[at + CAPS + stage]), int(plan[at + CAPS + stages + stage])
        entry = entry * (cap + 1) + min(state.length[first + stage], reach)
    action = int(plan[at + CAPS + 2 * stages + entry])
    if action < 0:
        return NONE
    return first * STEP + action


@numba.njit(types.int64(types.float64, types.int64, STATE), **COMPILED)
def pick_lost(now, device, state):  # type: ignore[no-untyped-def]
    """Pick samples that have less time left than they need; how many."""
    need = HEAD + int(state.parameters[SEGMENTS])
    count = 0
    for stage in range(len(state.length)):
        if state.device[stage] == device:
            count = pick_late(now + state.parameters[need + stage], stage, count, state)
    state.choice[1] = count
    return count


@numba.njit(types.int64(types.float64, types.int64, STATE), **COMPILED)
def overdue(now, device, state):  # type: ignore[no-untyped-def]
    """The stage of the oldest sample, if it is so old that it goes first; else `NONE`."""
    oldest = NONE
    for stage in range(len(state.length)):
        waits = state.length[stage] > 0 and state.device[stage] == device
        if waits and (oldest == NONE or state.head[stage] < state.head[oldest]):
            oldest = stage
    if oldest == NONE or now - state.arrival[state.head[oldest]] < state.parameters[OLDEST]:
        return NONE
    return oldest


@numba.njit(types.int64(types.float64, types.int64, types.int64, STATE), **COMPILED)
def in_time(now, stage, largest, state):  # type: ignore[no-untyped-def]
    """The largest batch of new samples with which the first of them is in time, if a part of the way is enough."""
    left = state.deadline[state.head[stage]] - now
    size = min(largest, state.length[stage])
    while size > 1 and state.parameters[STRETCH] * whole_latency(stage, size, state) > left:
        size -= 1
    return size


@numba.njit(types.int64(types.float64, types.int64, STATE), **COMPILED)
def wait_for_more(now, device, state):  # type: ignore[no-untyped-def]
    """Wait for the next arrival, but not for ever: run what is there if none comes."""
    arrived = 1.0
    for stream in range(len(state.arrived)):
        arrived += state.arrived[stream]
    at = 2 * (device % (MEMORY // 2))
    if state.memory[at] != arrived:
        state.memory[at], state.memory[at + 1] = arrived, now + state.parameters[PATIENCE]
    if now < state.memory[at + 1]:
        state.wake[0] = state.memory[at + 1]
        return WAIT
    stage = in_flight(device, state)
    if stage == NONE:
        stage = oldest_new(device, state)
    return WAIT if stage == NONE else run_all(stage, state)


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Drop what is lost; else run what is overdue; else what the tables say."""
    plan = state.parameters
    if plan[LATE] > 0 and pick_lost(now, device, state) > 0:
        return DROP
    stage = in_flight(device, state) if plan[FINISH] > 0 else overdue(now, device, state)
    if stage != NONE:
        return run_all(stage, state)
    largest = state.latency.shape[1] - 1
    chosen, size, highest = NONE, 0, -1.0
    for segment in range(int(plan[SEGMENTS])):
        at = int(plan[HEAD + segment])
        if state.device[int(plan[at + FIRST])] != device:
            continue
        action = propose(at, largest, state)
        if action == NONE:
            continue
        stage, count = action // STEP, action % STEP
        age = now - state.arrival[state.head[stage]]
        ratio = count / state.latency[stage, count] * (1 + age / plan[at + ALONE])
        if ratio > highest:
            chosen, size, highest = stage, count, ratio
    if chosen == NONE:
        return wait_for_more(now, device, state)
    state.choice[0], state.choice[1] = chosen, size
    if chosen != state.first[state.model[chosen]]:
        return RUN
    if plan[STRETCH] > 0:
        size = in_time(now, chosen, largest, state)
    state.choice[1] = min(size, int(plan[MOST]))
    if plan[NEWEST] == 0:
        return RUN
    sample = state.tail[chosen]
    for k in range(state.choice[1]):
        state.picked[k] = sample
        sample = state.before[sample]
    return PICK


def exit_aware(problem: ServingProblem, *, quick: bool = False) -> Policy:
    """The policy ``exit_aware``, planned for the arrivals of the problem's streams.

    Parameters
    ----------
    quick
        A small table and short simulations: a plan within a second that is not as good.

    Notes
    -----
    Planning takes seconds, once for a problem in a process.
    """
    from dnnplan.serving.planning import QUICK, planned

    return Policy("exit_aware", decide, planned(problem, QUICK if quick else None))
