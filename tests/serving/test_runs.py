"""Several policies on the same samples: which, and with which bound."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from serving_cases import OPTIONS, affine_problem, random_problem, random_samples

from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.serving import runs as module
from dnnplan.serving.policies import make_policy, policy_names
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.runs import MOST_PLAIN, bound_of, chosen_policies, run_policies
from dnnplan.serving.simulate import simulate
from dnnplan.serving.state import RUN

WITH = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4, slo=20.0)
WITHOUT = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Policies that plan do so in a moment."""
    monkeypatch.setattr(
        module, "make_policy", lambda name, problem: make_policy(name, problem, **OPTIONS.get(name, {}))
    )


def test_policies_by_name_in_their_order():
    policies, notes = chosen_policies("lazy, greedy", WITH, 10)
    assert [policy.name for policy in policies] == ["lazy", "greedy"]
    assert notes == []


@pytest.mark.parametrize("text", ["", ",", "greedy,", "greedy,greedy", "all,greedy"])
def test_lists_that_are_none(text):
    with pytest.raises((InputError, UnsupportedError), match=r"policies|unknown policy 'all'"):
        chosen_policies(text, WITH, 10)


def test_all_leaves_out_what_does_not_suit():
    policies, notes = chosen_policies("all", WITH, 10)
    assert [policy.name for policy in policies] == [
        name for name in policy_names() if name not in module.BY_NAME
    ]
    assert len(notes) == len(module.BY_NAME)
    policies, notes = chosen_policies("all", WITHOUT, 10)
    names = {policy.name for policy in policies}
    assert {"serial", "greedy", "lazy"} <= names
    assert not names & {"clockwork", "symphony", "aimd", "edgeserving"}
    assert any("'clockwork' needs a service-level objective" in note for note in notes)
    with pytest.raises(UnsupportedError, match="clockwork"):
        chosen_policies("greedy,clockwork", WITHOUT, 10)


def test_all_leaves_out_what_is_not_compiled_of_many_samples(monkeypatch):
    def decide(now, device, state):
        return RUN

    made = module.make_policy
    monkeypatch.setattr(
        module,
        "make_policy",
        lambda name, problem: Policy(name, decide) if name == "serial" else made(name, problem),
    )
    few, _ = chosen_policies("all", WITH, MOST_PLAIN)
    many, notes = chosen_policies("all", WITH, MOST_PLAIN + 1)
    assert {policy.name for policy in few} - {policy.name for policy in many} == {"serial"}
    assert any("'serial' is not compiled" in note for note in notes)
    named, _ = chosen_policies("serial", WITH, MOST_PLAIN + 1)
    assert [policy.name for policy in named] == ["serial"]


@pytest.mark.parametrize("seed", range(10))
def test_no_policy_is_below_its_bound(seed):
    rng = np.random.default_rng([5, seed])
    problem = random_problem(rng)
    samples = random_samples(problem, rng, 400, gap=float(rng.uniform(0.5, 6)))
    policies = []
    for name in policy_names():
        with contextlib.suppress(UnsupportedError):
            policies.append(make_policy(name, problem, **OPTIONS.get(name, {})))
    for run in run_policies(problem, policies, samples):
        if run.bound is None:
            assert not np.isfinite(run.done.left[8:]).any()
        else:
            assert run.bound <= run.figures.mean_latency.value * (1 + 1e-9)


def test_the_bound_is_of_the_samples_that_are_served():
    samples = random_samples(WITH, np.random.default_rng(2), 300, gap=0.8)
    (clockwork,) = run_policies(WITH, chosen_policies("clockwork", WITH, 300)[0], samples)
    (greedy,) = run_policies(WITH, chosen_policies("greedy", WITH, 300)[0], samples)
    assert clockwork.figures.drop_rate.value > 0
    assert clockwork.bound < greedy.bound


def test_nothing_served_has_no_bound():
    hopeless = affine_problem(1.0, 1.0, batch=4, slo=1.0)
    samples = random_samples(hopeless, np.random.default_rng(2), 20)
    done = simulate(hopeless, chosen_policies("clockwork", hopeless, 20)[0][0], samples)
    assert np.isfinite(done.dropped).all()
    assert bound_of(done) is None
