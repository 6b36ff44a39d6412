"""The compiled simulator and its twin in plain Python: the same events for every policy, to the last bit."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from serving_cases import OPTIONS, random_problem, random_samples

from dnnplan.instances.errors import UnsupportedError
from dnnplan.serving.policies import make_policy, policy_names
from dnnplan.serving.policies.common import Policy, compiled
from dnnplan.serving.simulate import plain, simulate
from dnnplan.serving.state import DROP, NONE, PICK, WAIT

ROUNDS = 40


def assert_same_events(problem, policy, samples):
    fast, slow = simulate(problem, policy, samples, log=True), plain(problem, policy, samples)
    for name in ("stage", "size", "start", "end", "members"):
        assert getattr(fast.batches, name).tolist() == getattr(slow.batches, name).tolist(), name
    assert fast.left == pytest.approx(slow.left, abs=0, rel=0, nan_ok=True)
    assert fast.dropped == pytest.approx(slow.dropped, abs=0, rel=0, nan_ok=True)
    assert (fast.sizes == slow.sizes).all()
    assert fast.busy == pytest.approx(slow.busy)
    assert fast.joules == pytest.approx(slow.joules)
    assert fast.calls == slow.calls
    return fast


def _rounds(policy_of, *, whole, gap=1.5, rounds=ROUNDS, **options):
    ran = 0
    for seed in range(rounds):
        rng = np.random.default_rng([7, seed, whole])
        problem = random_problem(rng, whole=whole, **options)
        samples = random_samples(problem, rng, int(rng.integers(1, 60)), whole=whole, gap=gap)
        try:
            policy = policy_of(problem)
        except UnsupportedError:
            continue
        assert_same_events(problem, policy, samples)
        ran += 1
    return ran


@pytest.mark.parametrize("name", policy_names())
@pytest.mark.parametrize("whole", [False, True], ids=["any time", "whole seconds"])
def test_every_policy_makes_the_same_events(name, whole):
    options = OPTIONS.get(name, {})
    few, many = (8, 5) if options else (15, ROUNDS)

    def made(problem):
        return make_policy(name, problem, **options)

    ran = _rounds(made, whole=whole, rounds=many)
    ran += _rounds(made, whole=whole, models=1, devices=1, rounds=few)
    ran += _rounds(made, whole=whole, gap=0.3, rounds=few)
    assert ran >= 3


@numba.njit
def _noise(now, device, state):
    """A number that depends on what is seen, for decisions that follow no rule."""
    total = now * 31.7 + device * 7.3 + state.memory[0] * 0.618
    for stage in range(len(state.length)):
        total += state.length[stage] * (stage + 1.37)
    state.memory[0] += 1
    return total - np.floor(total)


@compiled
def erratic(now, device, state):
    """Whatever is allowed: picks from the middle of a line, drops, waits for a while."""
    chance = _noise(now, device, state)
    if chance < 0.2:
        if chance < 0.1:
            state.wake[0] = now + 0.25 + chance
        else:
            state.wake[0] = now + 1.0
        return WAIT
    start = int(chance * 1000) % len(state.length)
    for k in range(len(state.length)):
        stage = (start + k) % len(state.length)
        if state.length[stage] == 0:
            continue
        drops = chance > 0.93
        if state.device[stage] != device and not drops:
            continue
        count, sample = 0, state.tail[stage]
        while sample != NONE and count < len(state.picked):
            if (sample + int(chance * 100)) % 3 != 0 or state.length[stage] == 1:
                state.picked[count] = sample
                count += 1
            sample = state.before[sample]
        if count == 0:
            state.picked[0] = state.head[stage]
            count = 1
        state.choice[0], state.choice[1] = stage, min(count, 1 + int(chance * 6) % len(state.picked))
        return DROP if drops else PICK
    return WAIT


@pytest.mark.parametrize("whole", [False, True], ids=["any time", "whole seconds"])
def test_erratic_decisions_make_the_same_events(whole):
    policy = Policy("erratic", erratic)
    assert policy.is_compiled
    assert _rounds(lambda problem: policy, whole=whole, rounds=150) == 150


def test_erratic_decisions_do_everything():
    rng = np.random.default_rng(3)
    problem = random_problem(rng, models=3, devices=2)
    done = assert_same_events(
        problem, Policy("erratic", erratic), random_samples(problem, rng, 2000, gap=1.0)
    )
    assert np.isfinite(done.dropped).any()
    assert np.isfinite(done.left).any()
    assert (np.isfinite(done.dropped) != np.isfinite(done.left)).all()
    log = done.batches
    ends = np.cumsum(log.size)
    reordered = [(np.diff(log.members[a:b]) < 0).any() for a, b in zip(ends - log.size, ends, strict=True)]
    assert any(reordered)
