"""The critical path explains the whole makespan, under every execution setting."""

from __future__ import annotations

import random

import pytest

from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.costs.explain import covered, explain
from dnnplan.instances import Device, Execution, Instance, Layer, Model, Platform, Task
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import all_executions, random_small


def _hand():
    """Everything on the NPU but `right` and `score`: 14 ms, computed by hand."""
    problem = mapping_problem(load_bundled("tiny/hand"))
    names = [name.split("/")[-1] for name in problem.layers]
    place = [0 if name in ("right", "score") else 1 for name in names]
    order = [[names.index(n) for n in ("right", "score")]]
    order.append([names.index(n) for n in ("stem", "left", "join", "head")])
    return problem, encode(problem, place, order)


def test_path_of_the_hand_made_instance():
    # stem on npu to 2 ms, sent to 3, right on cpu to 8, sent to 9, join on npu to 10, head to 12, sent to 13,
    # score to 14. left (2 to 5 ms) is not on the path.
    explanation = explain(*_hand())
    assert explanation.latency == pytest.approx(0.014)
    told = [(s.kind, s.name.split("/")[-1], s.where, round(s.end * 1e3, 6)) for s in explanation.path]
    assert told == [
        ("call", "stem", "npu", 2),
        ("transfer", "stem-out to cpu", "npu -> cpu", 3),
        ("call", "right", "cpu", 8),
        ("transfer", "right-out to npu", "cpu -> npu", 9),
        ("call", "join", "npu", 10),
        ("call", "head", "npu", 12),
        ("transfer", "head-out to cpu", "npu -> cpu", 13),
        ("call", "score", "cpu", 14),
    ]
    assert [s.reason for s in explanation.path][:3] == [
        "free to start at time 0",
        "sent when its producer ends",
        "its input had to arrive",
    ]


def test_shares_and_utilisation_of_the_hand_made_instance():
    explanation = explain(*_hand())
    assert explanation.shares == pytest.approx({"compute": 11 / 14, "transfer": 3 / 14, "wait": 0})
    assert {u.name: u.busy for u in explanation.devices} == pytest.approx({"cpu": 0.006, "npu": 0.008})
    assert {u.name: u.busy for u in explanation.links} == pytest.approx({"bus": 0.003})
    assert explanation.bottleneck is not None
    assert (explanation.bottleneck.name, explanation.bottleneck.share) == ("npu", pytest.approx(8 / 14))


def test_what_if_figures_are_evaluations_of_changed_platforms():
    explanation = explain(*_hand())
    latency = {w.change: w.latency for w in explanation.what_if}
    assert latency["all transfers free"] == pytest.approx(0.011)
    assert latency["all links twice as fast"] == pytest.approx(0.0125)
    # 6 ms of the path are on the CPU, 5 ms on the NPU.
    assert latency["cpu 10 % faster"] == pytest.approx(0.008 + 0.006 / 1.1)
    assert latency["npu 10 % faster"] == pytest.approx(0.009 + 0.005 / 1.1)
    assert [w.latency for w in explanation.what_if] == sorted(latency.values())
    assert explanation.what_if[0].gain == pytest.approx(3 / 14)


def test_overhead_is_a_what_if_where_there_is_some():
    device = Device(name="d", peak_flops={"*": 1e3}, overhead=0.5)
    model = Model(name="m", layers=(Layer(name="a", flops=1000), Layer(name="b", flops=1000)))
    problem = mapping_problem(Instance(platform=Platform(devices=(device,)), models=(model,)))
    explanation = explain(problem, encode(problem, [0, 0], [[0, 1]]))
    assert explanation.latency == pytest.approx(3.0)
    assert {w.change: w.latency for w in explanation.what_if}["no overhead per layer"] == pytest.approx(2.0)


def test_a_release_is_a_wait():
    model = Model(name="m", layers=(Layer(name="a", flops=10),))
    platform = Platform(devices=(Device(name="d", peak_flops={"*": 10}),))
    task = Task(name="t", model="m", release=3)
    problem = mapping_problem(Instance(platform=platform, models=(model,), tasks=(task,)))
    explanation = explain(problem, encode(problem, [0], [[0]]))
    assert [(s.kind, s.start, s.end, s.reason) for s in explanation.path] == [
        ("wait", 0.0, 3.0, "released"),
        ("call", 3.0, 4.0, "released"),
    ]
    assert explanation.shares == pytest.approx({"compute": 0.25, "transfer": 0, "wait": 0.75})


def test_slots_and_busy_devices_are_reasons():
    model = Model(name="m", layers=tuple(Layer(name=n, flops=10) for n in "abc"))
    platform = Platform(devices=(Device(name="d", peak_flops={"*": 10}, slots=2),))
    problem = mapping_problem(Instance(platform=platform, models=(model,)))
    explanation = explain(problem, encode(problem, [0, 0, 0], [[0, 1, 2]]))
    assert explanation.latency == pytest.approx(2.0)
    assert [s.reason for s in explanation.path] == [
        "free to start at time 0",
        "all slots of the device were busy",
    ]
    assert explanation.devices[0].share == pytest.approx(1.0)


def test_a_busy_link_is_a_reason():
    problem = mapping_problem(load_bundled("layered/50x4-ccr0.5-host"))
    place = [i % problem.m for i in range(problem.n)]
    order = [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
    explanation = explain(problem, encode(problem, place, order))
    assert any(s.kind == "transfer" and s.reason == "the link was busy" for s in explanation.path)
    assert explanation.bottleneck is not None
    assert explanation.bottleneck.kind == "link"


def _random_plan(problem, seed):
    rng = random.Random(seed)
    place = [rng.choice(allowed) for allowed in problem.allowed]
    order = [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
    return encode(problem, place, order)


@pytest.mark.parametrize("number", range(len(all_executions())))
def test_the_path_accounts_for_every_moment(number: int):
    execution: Execution = all_executions()[number]
    seen = 0
    for seed in range(8):
        problem = mapping_problem(random_small(100 * number + seed, execution=execution))
        plan = _random_plan(problem, seed)
        latency = evaluate(problem, plan).cost.latency
        if latency == float("inf"):  # a placement without a route
            continue
        explanation = explain(problem, plan)
        releases = {job.release for job in problem.jobs}
        now = 0.0
        for step in explanation.path:
            assert step.start == pytest.approx(now, abs=1e-9)
            assert step.end >= step.start
            assert step.kind != "wait" or step.end in releases
            now = step.end
        assert now == pytest.approx(latency)
        assert sum(explanation.shares.values()) == pytest.approx(1.0 if latency > 0 else 0.0)
        seen += 1
    assert seen > 0


def test_covered_counts_overlaps_once():
    assert covered([(0, 2), (1, 3), (5, 6)]) == 4
    assert covered([]) == 0
