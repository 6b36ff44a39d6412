"""The best policy for the mean latency of a small system, by value iteration.

One network on one device and Poisson arrivals make a semi-Markov decision process: the state is how many samples wait
for each stage, an action a batch (stage, size) or waiting for the next arrival. While a batch of b samples runs for
L(s, b) seconds, the number of arrivals is Poisson, the number of samples that leave binomial, and the n samples in the
system cost n L + rate L^2 / 2 on average, the integral of their number; by Little's law the mean number is the rate
times the mean latency. Xu, Zhou and Niu (arXiv 2301.12865) do so for one stage. Lines are cut off at `caps`, beyond
which samples are not counted; the time grows with their product.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from scipy import stats

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import IntArray, ServingProblem
from dnnplan.instances.errors import UnsupportedError
from dnnplan.serving.arrivals import mean_rate
from dnnplan.serving.policies.common import RUN, WAIT, Policy, compiled

STEP = 2**20
"""Actions are stage x STEP + size, or -1: wait. All of them are exact as floats."""
MOST_STATES = 60_000
NEW, LONGEST, DEEP, LOOKED_UP = 40, 160, 8, 0.75
"""Longest line of new samples, at least and at most, of others, at least, and the part of the first that is looked up:
at its end, samples that come are not counted.
"""
TOLERANCE = 1e-4
"""Relative change of the mean number of samples at which sweeps end."""
NEGLIGIBLE = 1e-9
MOST_ROUNDS, SWEEPS = 200, 12


@compiled
def decide(now, device, state):  # type: ignore[no-untyped-def]
    """Look the state up; `parameters`: S, then S caps, then an action for each state."""
    stages = int(state.parameters[0])
    at = 0
    for stage in range(stages):
        cap = int(state.parameters[1 + stage])
        reach = max(1, int(LOOKED_UP * cap)) if stage == 0 else cap
        at = at * (cap + 1) + min(state.length[stage], reach)
    action = int(state.parameters[1 + stages + at])
    if action < 0:
        return WAIT
    state.choice[0], state.choice[1] = action // STEP, action % STEP
    return RUN


def mdp(problem: ServingProblem, rate: float | None = None, cap: int | None = None) -> Policy:
    """The policy ``mdp``.

    Parameters
    ----------
    rate
        Arrivals a second; None: those of the stream.
    cap
        Longest line that is told apart; None: 40 or more new samples and 8 or more others, less where there are too
        many states.

    Raises
    ------
    UnsupportedError
        Several networks, devices or streams, no rate, or too many states.
    """
    if len(problem.first) != 2 or len(problem.devices) > 1 or len(problem.streams) > 1:
        raise UnsupportedError("policy 'mdp' is for one stream of one network on one device")
    found = rate if rate is not None else mean_rate(problem.streams[0].arrivals)
    if found is None or not found > 0:
        raise UnsupportedError("policy 'mdp' needs the rate of the arrivals")
    caps = _caps(problem, cap)
    table, _ = best_actions(problem.latency, problem.leaves[0], found, caps)
    return Policy("mdp", decide, np.concatenate([[len(caps)], caps, table]).astype(float))


def _caps(problem: ServingProblem, cap: int | None) -> IntArray:
    stages, batch = len(problem.stages), problem.max_batch
    caps = np.full(stages, cap if cap is not None else max(batch, DEEP))
    if cap is None:
        caps[0] = min(max(NEW, math.ceil(2.5 * batch)), LONGEST)
        while np.prod(caps + 1) > MOST_STATES and caps[1:].max(initial=0) > 4:
            caps[1:] -= 1
    if np.prod(caps + 1) > MOST_STATES:
        raise UnsupportedError(f"policy 'mdp': {np.prod(caps + 1)} states, expected at most {MOST_STATES}")
    return caps.astype(np.int64)


def best_actions(
    latency: FloatArray,
    leaves: FloatArray,
    rate: float,
    caps: IntArray,
    tolerance: float = TOLERANCE,
    stable: float = 0.0,
) -> tuple[IntArray, float]:
    """The best action in each state, and the mean number of samples in the system.

    Parameters
    ----------
    latency
        (S, B + 1) seconds of a batch.
    leaves
        (S,) probability to leave at the end of a stage.
    rate
        Arrivals a second.
    caps
        (S,) longest line of each stage.
    tolerance
        Relative change of the mean number of samples at which sweeps end.
    stable
        Part of the states whose action still changes at which they end: actions settle long before values.

    Returns
    -------
    (states,) stage x `STEP` + size, -1: wait; states in the order of their lines, the last stage fastest.
    """
    process = process_of(latency, leaves, rate, caps)
    states = len(process.total)
    value, time, actions = np.zeros(states), np.zeros(states), np.full(states, -1)
    mean = rate * float(latency[:, 1].sum())
    for _ in range(MOST_ROUNDS):
        before = actions.copy()
        for _ in range(SWEEPS):
            value, time = sweep(value, time, actions, mean, process)
        # A cycle from the empty system to itself costs `value`, beyond the mean, and takes `time`.
        change = value[0] / time[0]
        value = value - value[0] * time / time[0]
        mean += change
        if abs(change) < tolerance * mean or (stable > 0 and np.mean(actions != before) < stable):
            break
    return actions, mean


class Process(NamedTuple):
    """A decision process, as arrays for compiled code: S stages, K sizes of batches.

    Parameters
    ----------
    sizes
        (K,) sizes of batches, the largest no larger than the longest line.
    span
        (S, K) seconds of batches.
    rate
        Arrivals a second.
    arriving, leaving
        Of `arrival_chances` and `leaving_chances`.
    caps
        (S,) longest lines.
    stride
        (S,) how far states are apart that differ by one sample in a line.
    line
        (states, S) samples that wait for each stage.
    total
        (states,) all samples that wait.
    """

    sizes: Any
    span: Any
    rate: Any
    arriving: Any
    leaving: Any
    caps: Any
    stride: Any
    line: Any
    total: Any


def process_of(latency: FloatArray, leaves: FloatArray, rate: float, caps: IntArray) -> Process:
    """The decision process of one network."""
    line = np.indices(tuple(caps + 1)).reshape(len(caps), -1).T
    sizes = batch_sizes(min(latency.shape[1] - 1, int(caps.max())))
    span = np.ascontiguousarray(latency[:, sizes], dtype=float)
    return Process(
        sizes=sizes,
        span=span,
        rate=float(rate),
        arriving=arrival_chances(span, rate, int(caps[0])),
        leaving=leaving_chances(leaves, sizes),
        caps=np.asarray(caps, dtype=np.int64),
        stride=np.append(np.cumprod(caps[:0:-1] + 1)[::-1], 1).astype(np.int64),
        line=np.ascontiguousarray(line, dtype=np.int64),
        total=line.sum(axis=1).astype(float),
    )


def batch_sizes(largest: int) -> IntArray:
    """Sizes of batches among which to choose: all up to eight, then four for each power of two."""
    sizes = [size for size in range(1, largest + 1) if size % max(1, 2 ** (size.bit_length() - 3)) == 0]
    return np.array(sorted({*sizes, largest}), dtype=np.int64)


def arrival_chances(span: FloatArray, rate: float, cap: int) -> FloatArray:
    """(S, K, cap + 1) chances of so many arrivals during batches of (S, K) seconds; the last one of so many or more."""
    mean = rate * span[..., None]
    chances = stats.poisson.pmf(np.arange(cap + 1), mean)
    chances[..., -1] = stats.poisson.sf(cap - 1, mean[..., 0])
    return np.ascontiguousarray(chances)


def leaving_chances(leaves: FloatArray, sizes: IntArray) -> FloatArray:
    """(S, K, largest size + 1) chances that of the samples of a batch so many leave."""
    gone = np.arange(int(sizes.max()) + 1)
    return np.ascontiguousarray(stats.binom.pmf(gone, sizes[:, None], leaves[:, None, None]))


@numba.njit(cache=True)
def sweep(value, time, actions, mean, process):  # type: ignore[no-untyped-def]
    """Improve all actions once, by what they cost until the system is empty.

    Parameters
    ----------
    value, time
        (states,) cost beyond the mean, and seconds, until the system is empty; of the empty system, of a cycle.
    actions
        (states,) out: the best.
    mean
        Samples in the system, as known so far.
    process
        Of `process_of`.

    Returns
    -------
    The new value and time.
    """
    start, clock = value[0], time[0]
    value[0], time[0] = 0.0, 0.0
    best, seconds = np.full(len(value), np.inf), np.zeros(len(value))
    rest = process.stride[0]
    for at in range(len(value)):
        if process.line[at, 0] < process.caps[0]:
            best[at] = (process.total[at] - mean) / process.rate + value[at + rest]
            seconds[at] = 1 / process.rate + time[at + rest]
            actions[at] = -1
    expected, later = np.empty(len(value)), np.empty(len(value))
    for stage in range(len(process.caps)):
        for k in range(len(process.sizes)):
            chances = process.arriving[stage, k]
            _over_arrivals(value, time, chances, process.caps[0], rest, expected, later)
            _improve(stage, k, mean, process, expected, later, best, seconds, actions)
    value[0], time[0] = start, clock
    return best, seconds


@numba.njit(cache=True)
def _improve(stage, k, mean, process, expected, later, best, seconds, actions):  # type: ignore[no-untyped-def]
    """Where it is better than what is known, choose to run a batch of size number k of a stage."""
    count, span, stride = process.sizes[k], process.span[stage, k], process.stride
    last = stage + 1 == len(process.caps)
    for at in range(len(best)):
        # Samples beyond a cap would be gone for nothing.
        room = last or process.line[at, stage + 1] + count <= process.caps[stage + 1]
        if process.line[at, stage] < count or not room:
            continue
        cost = (process.total[at] + 0.5 * process.rate * span - mean) * span
        until = span
        base = at - count * stride[stage]
        for gone in range(count + 1):
            chance = process.leaving[stage, k, gone]
            if chance > 0.0:
                moved = 0 if last else (count - gone) * stride[stage + 1]
                cost += chance * expected[base + moved]
                until += chance * later[base + moved]
        if cost < best[at]:
            best[at], seconds[at] = cost, until
            actions[at] = stage * STEP + count


@numba.njit(cache=True)
def _over_arrivals(value, time, chances, cap, rest, expected, later):  # type: ignore[no-untyped-def]
    """Value and time after a batch, in expectation over what arrives while it runs."""
    last = cap
    while last > 0 and chances[last] < NEGLIGIBLE:
        last -= 1
    for new in range(cap + 1):
        for low in range(rest):
            mass, seconds = 0.0, 0.0
            for k in range(last + 1):
                at = min(new + k, cap) * rest + low
                mass += chances[k] * value[at]
                seconds += chances[k] * time[at]
            expected[new * rest + low], later[new * rest + low] = mass, seconds
