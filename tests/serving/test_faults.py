"""Policies that do what they may not are stopped, by both simulators, with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import affine_problem, random_samples

from dnnplan.serving import kernel, twin
from dnnplan.serving.errors import PolicyError
from dnnplan.serving.policies.common import Policy, compiled
from dnnplan.serving.simulate import plain, simulate
from dnnplan.serving.state import DROP, NONE, PICK, RUN, WAIT

PROBLEM = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)
SAMPLES = random_samples(PROBLEM, np.random.default_rng(1), 50, gap=1.0)


def _first(state):
    for stage in range(len(state.length)):
        if state.length[stage] > 0:
            return stage
    return NONE


@compiled
def never_serves(now, device, state):
    return WAIT


@compiled
def sleeps_for_ever(now, device, state):
    state.wake[0] = now + 1.0
    return WAIT


@compiled
def wakes_in_the_past(now, device, state):
    state.wake[0] = now - 1.0
    return WAIT


@compiled
def wakes_now(now, device, state):
    state.wake[0] = now
    return WAIT


@compiled
def wakes_at_no_time(now, device, state):
    state.wake[0] = np.nan
    return WAIT


@compiled
def runs_no_stage(now, device, state):
    state.choice[0], state.choice[1] = 7, 1
    return RUN


@compiled
def runs_a_stage_below_0(now, device, state):
    state.choice[0], state.choice[1] = -1, 1
    return RUN


@compiled
def runs_none(now, device, state):
    state.choice[0], state.choice[1] = 0, 0
    return RUN


@compiled
def runs_too_many(now, device, state):
    state.choice[0], state.choice[1] = 0, 5
    return RUN


@compiled
def runs_more_than_wait(now, device, state):
    state.choice[0], state.choice[1] = 0, state.length[0] + 1
    return RUN


@compiled
def picks_one_twice(now, device, state):
    state.choice[0], state.choice[1] = 0, 2
    state.picked[0] = state.picked[1] = state.head[0]
    return PICK


@compiled
def picks_what_has_not_come(now, device, state):
    state.choice[0], state.choice[1] = 0, 1
    state.picked[0] = len(state.arrival) - 1
    return PICK


@compiled
def picks_no_sample(now, device, state):
    state.choice[0], state.choice[1] = 0, 1
    state.picked[0] = len(state.arrival) + 5
    return PICK


@compiled
def picks_below_0(now, device, state):
    state.choice[0], state.choice[1] = 0, 1
    state.picked[0] = -3
    return PICK


@compiled
def drops_again_and_again(now, device, state):
    state.picked[0], state.choice[1] = 0, 1
    return DROP


@compiled
def drops_none(now, device, state):
    state.choice[1] = 0
    return DROP


@compiled
def answers_anything(now, device, state):
    return 17


FAULTS = [
    (never_serves, "wait"),
    (sleeps_for_ever, "without an end|again and again"),
    (wakes_in_the_past, "wait.* until"),
    (wakes_now, "wait.* until"),
    (wakes_at_no_time, "wait.* until"),
    (runs_no_stage, "stage"),
    (runs_a_stage_below_0, "stage"),
    (runs_none, "sample"),
    (runs_too_many, "sample"),
    (runs_more_than_wait, "wait"),
    (picks_one_twice, "twice"),
    (picks_what_has_not_come, "do not wait|not all of them wait"),
    (picks_no_sample, "do not wait|not all of them wait"),
    (picks_below_0, "do not wait|not all of them wait"),
    (drops_again_and_again, "do not wait|not all of them wait"),
    (drops_none, "sample"),
    (answers_anything, "action"),
]


@pytest.mark.parametrize(("decide", "message"), FAULTS, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("run", [simulate, plain], ids=["compiled", "plain"])
def test_faults_are_named(decide, message, run, monkeypatch):
    monkeypatch.setattr(twin, "MOST_CALLS", 1000)
    policy = Policy(decide.__name__, decide)
    assert policy.is_compiled
    with pytest.raises(PolicyError, match=message) as caught:
        run(PROBLEM, policy, SAMPLES)
    assert decide.__name__ in str(caught.value)


def test_plain_functions_are_policies_too():
    def decide(now, device, state):
        stage = _first(state)
        state.choice[0], state.choice[1] = stage, 1
        return RUN

    policy = Policy("mine", decide)
    assert not policy.is_compiled
    done = simulate(PROBLEM, policy, SAMPLES)
    assert np.isfinite(done.left).all()
    assert done.batches is not None
    assert done.policy == "mine"


def test_both_simulators_stop_after_as_many_calls():
    assert kernel.MOST_CALLS == twin.MOST_CALLS
