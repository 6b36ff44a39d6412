"""What every policy has to keep: nothing lost, nothing twice, no time travel, one batch at a time on a device."""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import OPTIONS, affine_problem, random_instance, random_problem, random_samples

from dnnplan.costs.check.serving import check_serving
from dnnplan.costs.serving import Samples, serving_problem
from dnnplan.costs.serving.samples import trace_samples
from dnnplan.instances.errors import UnsupportedError
from dnnplan.serving.policies import REGISTRY, make_policy, policy_names
from dnnplan.serving.simulate import figures, plain, simulate
from dnnplan.serving.traces import plan_of, recorded

NEED_OBJECTIVES = {"aimd", "clockwork", "symphony", "edgeserving"}
DROPS = {"clockwork", "symphony", "exit_aware"}
"""Policies that may drop samples."""


def _cases(name, count):
    """Problems that suit a policy; every third has one network on one device."""
    for seed in range(count if name not in OPTIONS else count // 4):
        rng = np.random.default_rng([17, seed])
        small = {"models": 1, "devices": 1} if seed % 3 == 0 else {}
        problem = random_problem(rng, whole=seed % 2 == 0, **small)
        samples = random_samples(problem, rng, int(rng.integers(1, 120)), whole=seed % 2 == 0)
        try:
            yield problem, samples, make_policy(name, problem, **OPTIONS.get(name, {}))
        except UnsupportedError:
            continue


def _members(log):
    ends = np.cumsum(log.size)
    return [log.members[a:b].tolist() for a, b in zip(ends - log.size, ends, strict=True)]


@pytest.mark.parametrize("name", policy_names())
def test_conformance(name):
    for problem, samples, policy in _cases(name, 30):
        done = simulate(problem, policy, samples, log=True)
        log = done.batches
        assert (log.size >= 1).all()
        assert (log.size <= problem.max_batch).all()
        assert (np.diff(log.start) >= 0).all()
        passed = np.zeros(len(samples), dtype=int)
        ready = samples.arrival.copy()
        free = np.zeros(len(problem.devices))
        before = [set() for _ in problem.devices]
        for stage, start, end, members in zip(log.stage, log.start, log.end, _members(log), strict=True):
            device = problem.device[stage]
            assert start >= free[device], "a device runs one batch at a time"
            assert len(set(members)) == len(members)
            strangers = len(set(members) - before[device])
            span = problem.latency[stage, len(members)] + problem.switch[stage] * strangers
            assert end == pytest.approx(start + span)
            for sample in members:
                model = problem.streams[samples.stream[sample]].model
                assert stage == problem.first[model] + passed[sample], "the next stage of its network"
                assert passed[sample] < samples.depth[sample], "it has not left"
                assert start >= ready[sample] * (1 - 1e-12), "it is there"
                passed[sample] += 1
                ready[sample] = end + problem.transfer[stage, len(members)]
                if passed[sample] == samples.depth[sample]:
                    assert done.left[sample] == end
            free[device] = end
            before[device] = set(members)
        served, dropped = np.isfinite(done.left), np.isfinite(done.dropped)
        assert (served != dropped).all(), "each sample leaves or is dropped"
        assert (passed[served] == samples.depth[served]).all()
        assert (done.dropped[dropped] >= samples.arrival[dropped]).all()
        assert name in DROPS or not dropped.any()


@pytest.mark.parametrize("name", policy_names())
def test_the_same_seed_makes_the_same_events(name):
    for problem, samples, policy in _cases(name, 3):
        first, again = (simulate(problem, policy, samples, log=True) for _ in range(2))
        assert first.batches.members.tolist() == again.batches.members.tolist()
        assert first.batches.start.tolist() == again.batches.start.tolist()


@pytest.mark.parametrize("name", policy_names())
def test_the_future_changes_nothing(name):
    """Policies see no later sample, and no exit before it is taken: the same past makes the same batches."""
    for problem, samples, policy in _cases(name, 12):
        if len(samples) < 10:
            continue
        half = len(samples) // 2
        until = samples.arrival[half]
        depth = samples.depth.copy()
        stages = np.diff(problem.first)[[stream.model for stream in problem.streams]]
        depth[half:] = stages[samples.stream[half:]]
        later = samples.arrival.copy()
        later[half:] += 1000.0
        other = Samples(arrival=later, stream=samples.stream, depth=depth)
        logs = [simulate(problem, policy, each, log=True).batches for each in (samples, other)]
        kept = [int((log.start < until).sum()) for log in logs]
        assert kept[0] == kept[1]
        for a, b in zip(*(_members(log)[: kept[0]] for log in logs), strict=True):
            assert a == b


@pytest.mark.parametrize("name", policy_names())
def test_check_accepts_what_policies_do(name):
    ran = 0
    for seed in range(12 if name not in OPTIONS else 4):
        rng = np.random.default_rng([23, seed])
        small = {"models": 1, "devices": 1} if seed % 3 == 0 else {}
        problem = serving_problem(random_instance(rng, whole=seed % 2 == 0, **small))
        samples = random_samples(problem, rng, 40, whole=seed % 2 == 0, gap=6.0)
        try:
            policy = make_policy(name, problem, **OPTIONS.get(name, {}))
            trace = recorded(problem, samples)
        except UnsupportedError:
            continue
        view = serving_problem(trace)
        again = trace_samples(view)
        assert again.arrival.tolist() == samples.arrival.tolist()
        assert again.depth.tolist() == samples.depth.tolist()
        done = simulate(view, policy, again, log=True)
        if np.isfinite(done.dropped).any():
            with pytest.raises(UnsupportedError, match="dropped"):
                plan_of(done)
            continue
        ran += 1
        weight = np.array([stream.weight for stream in view.streams])[again.stream]
        measures = {
            "mean_latency": float(np.dot(weight, done.latency) / weight.sum()),
            "late": float(weight[done.violated].sum()),
            "p50": float(np.quantile(done.latency, 0.5)),
            "p99": float(np.quantile(done.latency, 0.99)),
            "energy": done.energy,
            "makespan": float(done.batches.end.max()),
        }
        assert check_serving(trace, plan_of(done), measures=measures) == ()
    assert ran or name in DROPS


def test_every_policy_is_in_the_registry_and_says_its_name():
    problem = affine_problem(1.0, 1.0, slo=20.0, batch=4)
    assert set(policy_names()) == set(REGISTRY)
    for name in policy_names():
        assert make_policy(name, problem, **OPTIONS.get(name, {})).name == name


@pytest.mark.parametrize("name", sorted(NEED_OBJECTIVES))
def test_policies_that_need_objectives_say_so(name):
    with pytest.raises(UnsupportedError, match=f"policy '{name}' needs a service-level objective.*'camera'"):
        make_policy(name, affine_problem(1.0, 1.0))


@pytest.mark.parametrize("name", sorted(set(policy_names()) - NEED_OBJECTIVES))
def test_other_policies_do_without_objectives(name):
    problem = affine_problem(0.5, 1.0, exits=(0.5, 0.5), batch=4)
    samples = random_samples(problem, np.random.default_rng(1), 200, gap=3.0)
    policy = make_policy(name, problem, **OPTIONS.get(name, {}))
    assert np.isfinite(simulate(problem, policy, samples).left).all()


def test_unknown_policies_are_named():
    with pytest.raises(UnsupportedError, match=r'unknown policy .gredy., did you mean "greedy"'):
        make_policy("gredy", affine_problem(1.0, 1.0))
    with pytest.raises(UnsupportedError, match="expected one of serial, greedy"):
        make_policy("xyz", affine_problem(1.0, 1.0))


def _samples(arrival, depth=None):
    count = len(arrival)
    return Samples(
        arrival=np.array(arrival, dtype=float),
        stream=np.zeros(count, dtype=np.int64),
        depth=np.array(depth or [1] * count, dtype=np.int64),
    )


def _batches(name, problem, samples, **options):
    done = simulate(problem, make_policy(name, problem, **options), samples, log=True)
    log = done.batches
    return [
        (problem.stages[stage].split("/")[1], start, members)
        for stage, start, members in zip(log.stage.tolist(), log.start.tolist(), _members(log), strict=True)
    ], done


# A batch of b samples takes b + 1 seconds in all of these; worked out by hand.


def test_serial_by_hand():
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)
    found, done = _batches("serial", problem, _samples([0, 1, 1], [2, 1, 2]))
    assert found == [("0", 0, [0]), ("1", 2, [0]), ("0", 4, [1]), ("0", 6, [2]), ("1", 8, [2])]
    assert done.left.tolist() == [4, 6, 10]
    assert done.latency.tolist() == [4, 5, 9]
    assert done.busy.tolist() == [10]
    assert done.energy == pytest.approx(2 * 10 + 0.5 * 0)


def test_greedy_by_hand():
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)
    found, _ = _batches("greedy", problem, _samples([0, 1, 1, 1.5, 1.6, 1.7], [2, 1, 2, 1, 1, 1]))
    assert found == [("0", 0, [0]), ("1", 2, [0]), ("0", 4, [1, 2, 3, 4]), ("1", 9, [2]), ("0", 11, [5])]


def test_timeout_by_hand():
    problem = affine_problem(1.0, 1.0, batch=3)
    # Sample 0 waits its 5 s; then three are there at once; the last one waits again.
    found, _ = _batches("timeout", problem, _samples([0, 4, 6, 7, 8, 20]), seconds=5.0)
    assert found == [("0", 5, [0, 1]), ("0", 8, [2, 3, 4]), ("0", 25, [5])]
    # By default it is as long as one sample alone takes.
    found, _ = _batches("timeout", problem, _samples([0]))
    assert found == [("0", 2, [0])]


def test_clockwork_by_hand():
    problem = affine_problem(1.0, 1.0, batch=4, slo=6.0)
    # At 2 three wait: two of them would have to start by 0.5 + 6 - 3 = 3.5, one by 4.5: two run.
    # Sample 4 would be late even alone: dropped at 7, when the device is asked again.
    found, done = _batches("clockwork", problem, _samples([0, 0.5, 0.6, 0.7, 0.8]))
    assert found == [("0", 0, [0]), ("0", 2, [1, 2])]
    assert done.dropped[3:].tolist() == [5, 5]


def test_symphony_by_hand():
    problem = affine_problem(1.0, 1.0, batch=4, slo=10.0)
    # One waits: two would have to start by 10 - 3 = 7. At 6 another comes: three by 6, so both run at once.
    found, _ = _batches("symphony", problem, _samples([0, 6, 30, 50, 50, 50, 50]))
    assert found == [("0", 6, [0, 1]), ("0", 37, [2]), ("0", 50, [3, 4, 5, 6])]


@pytest.mark.parametrize("tau", [1.0, 1 / 3, 0.1])
def test_symphony_drops_nothing_that_it_could_start_in_time(tau):
    """Batches of all sizes take the same time: the last moment for two is that for one."""
    problem = affine_problem(0.0, tau, batch=4, slo=7.3)
    arrival = np.cumsum(np.full(200, 20.0)) + np.random.default_rng(1).uniform(0, 1, 200)
    done = simulate(problem, make_policy("symphony", problem), _samples(arrival))
    assert not np.isfinite(done.dropped).any()
    assert not done.violated.any()


def test_lazy_by_hand():
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4, slo=100.0)
    # Sample 1 comes while 0 runs stage 0; at 2 it may go first, catches up, and both run stage 1 together.
    found, _ = _batches("lazy", problem, _samples([0, 1], [2, 2]))
    assert found == [("0", 0, [0]), ("0", 2, [1]), ("1", 4, [0, 1])]
    # Not if the first would be late: 2 + 2 (its rest) + 4 (all of the second) > 7.
    tight = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4, slo=7.0)
    found, _ = _batches("lazy", tight, _samples([0, 1], [2, 2]))
    assert found == [("0", 0, [0]), ("1", 2, [0]), ("0", 4, [1]), ("1", 6, [1])]


def test_rebatch_by_hand():
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)
    samples = _samples([0, 1, 3], [2, 2, 1])
    found, _ = _batches("rebatch", problem, samples)
    assert found == [("0", 0, [0]), ("1", 2, [0]), ("0", 4, [1, 2]), ("1", 7, [1])]
    found, _ = _batches("rebatch_newest", problem, samples)
    assert found == [("0", 0, [0]), ("0", 2, [1]), ("0", 4, [2]), ("1", 6, [0, 1])]


def test_aimd_by_hand():
    problem = affine_problem(1.0, 1.0, batch=8, slo=3.5)
    # Sizes 1, 2, then 3 takes 4 > 3.5 s: down to 2.7, so 2, up to 3.7, so 3.
    found, _ = _batches("aimd", problem, _samples([0.0] * 12))
    assert [len(members) for _, _, members in found] == [1, 2, 3, 2, 3, 1]


def test_aimd_does_not_count_the_time_without_samples():
    problem = affine_problem(1.0, 1.0, batch=8, slo=3.5)
    found, _ = _batches("aimd", problem, _samples([0.0, 100.0, 100.0, 100.0]))
    assert [len(members) for _, _, members in found] == [1, 2, 1]


def test_the_twin_agrees_with_the_hand():
    problem = affine_problem(1.0, 1.0, exits=(0.5, 0.5), batch=4)
    samples = _samples([0, 1, 1], [2, 1, 2])
    done = plain(problem, make_policy("serial", problem), samples)
    assert done.left.tolist() == [4, 6, 10]
    assert figures(done).utilisation == pytest.approx(1.0)
