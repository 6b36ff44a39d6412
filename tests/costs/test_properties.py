"""Properties that hold for all instances and plans: of the cost model, the judge, and expanded task graphs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from random_plans import random_case

import dnnplan
from dnnplan.costs import evaluate
from dnnplan.costs.check import check, simulate
from dnnplan.costs.sharing.expand import expand
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.instances import Instance, Plan, PlanError, Violation
from dnnplan.instances.generators import task_sharing
from dnnplan.solvers.adversarial import Weights

WEIGHT = st.integers(1, 64).map(lambda k: k / 64)
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
FEW = settings(QUICK, max_examples=12)


@st.composite
def weights(draw: Any, tasks: int = 6, devices: int = 3) -> Weights:
    """Tasks, devices, edges from earlier to later tasks."""
    n, m = draw(st.integers(2, tasks)), draw(st.integers(1, devices))
    edges = draw(
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1]))
    )
    pairs = [(a, b) for a in range(m) for b in range(a + 1, m)]
    return Weights(
        work=tuple(draw(WEIGHT) for _ in range(n)),
        speed=tuple(draw(WEIGHT) for _ in range(m)),
        size={edge: draw(WEIGHT) for edge in sorted(edges)},
        bandwidth={pair: draw(WEIGHT) for pair in pairs},
    )


@st.composite
def planned(draw: Any) -> tuple[Weights, Plan]:
    """An instance and a plan of it: any placement, each device in the order of the tasks."""
    drawn = draw(weights())
    m = len(drawn.speed)
    place = {f"net/0/l{i}": f"d{draw(st.integers(0, m - 1))}" for i in range(len(drawn.work))}
    order = {d: tuple(key for key in place if place[key] == d) for d in set(place.values())}
    return drawn, Plan(placement=place, order=order)


def scaled(drawn: Weights, factor: float) -> Weights:
    """Everything takes `factor` times as long."""
    return Weights(
        work=tuple(work * factor for work in drawn.work),
        speed=drawn.speed,
        size=drawn.size,
        bandwidth={pair: value / factor for pair, value in drawn.bandwidth.items()},
    )


@given(st.integers(0, 10**6))
@settings(QUICK, max_examples=80)
def test_evaluate_and_the_judge_agree(seed: int) -> None:
    """Two programmes written from one page, on random settings, instances and plans."""
    instance, plan = random_case(seed)
    ours, judged = evaluate(instance, plan).cost, simulate(instance, plan).cost
    for name in ("latency", "energy", "traffic", "max_load", "weighted_completion", "tardiness"):
        assert getattr(ours, name) == pytest.approx(getattr(judged, name), rel=1e-9, abs=1e-12), name
    assert ours.memory == pytest.approx(judged.memory)
    assert check(instance, plan, cost=ours) == ()


@given(planned(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
@QUICK
def test_times_scale(case: tuple[Weights, Plan], factor: float) -> None:
    drawn, plan = case
    once = evaluate(drawn.instance("i"), plan).cost.latency
    assert evaluate(scaled(drawn, factor).instance("i"), plan).cost.latency == pytest.approx(factor * once)


@given(planned(), st.data())
@QUICK
def test_faster_layers_never_make_a_plan_longer(case: tuple[Weights, Plan], data: Any) -> None:
    """With decisions fixed and no contention there are no anomalies."""
    drawn, plan = case
    at = data.draw(st.integers(0, len(drawn.work) - 1))
    work = tuple(w / 2 if i == at else w for i, w in enumerate(drawn.work))
    faster = Weights(work=work, speed=drawn.speed, size=drawn.size, bandwidth=drawn.bandwidth)
    before, after = (evaluate(w.instance("i"), plan).cost.latency for w in (drawn, faster))
    assert after <= before * (1 + 1e-12)


@given(planned())
@QUICK
def test_latency_lies_between_its_bounds(case: tuple[Weights, Plan]) -> None:
    """At least the load of each device and the longest path of work; at most everything in turn."""
    drawn, plan = case
    speed = {f"d{k}": s for k, s in enumerate(drawn.speed)}
    times = {key: drawn.work[i] / speed[device] for i, (key, device) in enumerate(plan.placement.items())}
    loads = {d: sum(t for key, t in times.items() if plan.placement[key] == d) for d in speed}
    moves = (
        sum(size / min(drawn.bandwidth.values()) for size in drawn.size.values()) if drawn.bandwidth else 0.0
    )
    latency = evaluate(drawn.instance("i"), plan).cost.latency
    assert max(loads.values()) * (1 - 1e-9) <= latency
    assert latency <= (sum(times.values()) + moves * 1.001) * (1 + 1e-6)


@given(weights(tasks=4, devices=2))
@FEW
def test_another_device_never_raises_the_optimum(drawn: Weights) -> None:
    m = len(drawn.speed)
    more = Weights(
        work=drawn.work,
        speed=(*drawn.speed, 1.0),
        size=drawn.size,
        bandwidth={**drawn.bandwidth, **{(a, m): 1.0 for a in range(m)}},
    )
    before, after = (dnnplan.solve(w.instance("i"), "cpsat", time_limit=20, workers=1) for w in (drawn, more))
    assert before.status == after.status == "optimal"
    assert before.objective.value is not None
    assert after.objective.value is not None
    assert after.objective.value <= before.objective.value * (1 + 2e-4)


def broken(plan: Plan, kind: str, at: int) -> Plan:
    """The plan with one thing wrong."""
    key = sorted(plan.placement)[at % len(plan.placement)]
    device = plan.placement[key]
    order = dict(plan.order)
    match kind:
        case "missing layer":
            return replace(plan, placement={k: d for k, d in plan.placement.items() if k != key})
        case "unknown device":
            return replace(plan, placement={**plan.placement, key: "nowhere"})
        case "unknown layer":
            return replace(plan, placement={**plan.placement, "net/0/none": device})
        case "not in the order":
            order[device] = tuple(k for k in order[device] if k != key)
        case "twice in the order":
            order[device] = (*order[device], key)
        case "ends before it begins":
            return replace(plan, times={key: (1.0, 0.5)})
        case _:
            return replace(plan, instance="sha256:" + "0" * 64)
    return replace(plan, order=order)


KINDS = (
    "missing layer",
    "unknown device",
    "unknown layer",
    "not in the order",
    "twice in the order",
    "ends before it begins",
    "another instance",
)


@given(planned(), st.sampled_from(KINDS), st.integers(0, 100))
@settings(QUICK, max_examples=120)
def test_a_broken_plan_is_always_found(case: tuple[Weights, Plan], kind: str, at: int) -> None:
    drawn, plan = case
    instance = drawn.instance("i")
    assert check(instance, plan) == ()
    found = check(instance, broken(plan, kind, at))
    assert found, kind
    assert all(isinstance(violation, Violation) and violation.rule for violation in found)


@given(planned(), st.data())
@QUICK
def test_an_order_against_the_tensors_is_a_deadlock_for_both(case: tuple[Weights, Plan], data: Any) -> None:
    drawn, plan = case
    device = next(iter(plan.order))
    same = [(i, j) for i, j in drawn.size if {plan.placement[f"net/0/l{k}"] for k in (i, j)} == {device}]
    if not same:
        return
    i, j = data.draw(st.sampled_from(same))
    swap = {f"net/0/l{i}": f"net/0/l{j}", f"net/0/l{j}": f"net/0/l{i}"}
    wrong = replace(plan, order={**plan.order, device: tuple(swap.get(k, k) for k in plan.order[device])})
    assert check(drawn.instance("i"), wrong)
    with pytest.raises(PlanError):
        evaluate(drawn.instance("i"), wrong)


@given(planned(), st.sampled_from([0.5, 0.999, 1.001, 2.0]))
@QUICK
def test_a_wrong_cost_is_always_found(case: tuple[Weights, Plan], factor: float) -> None:
    drawn, plan = case
    instance = drawn.instance("i")
    cost = evaluate(instance, plan).cost
    assert check(instance, plan, cost=cost) == ()
    assert check(instance, plan, cost=replace(cost, latency=cost.latency * factor))


@st.composite
def task_graphs(draw: Any) -> tuple[Instance, list[list[list[str]]]]:
    """Tasks that could share, and partitions that only get finer."""
    instance = task_sharing(draw(st.integers(2, 5)), draw(st.integers(1, 3)), seed=draw(st.integers(0, 20)))
    assert instance.sharing is not None
    groups = [[task.name for task in instance.tasks]]
    levels: list[list[list[str]]] = []
    for _ in range(len(instance.sharing.affinity)):
        finer = []
        for group in groups:
            cut = draw(st.integers(0, len(group) - 1))
            finer += [part for part in (group[:cut], group[cut:]) if part]
        groups = finer
        levels.append(groups)
    return instance, levels


@given(task_graphs())
@QUICK
def test_expanding_keeps_sums(case: tuple[Instance, list[list[list[str]]]]) -> None:
    """The size of a task graph is that of the layers which it leaves."""
    instance, groups = case
    plan = Plan(problem="grouping", groups=tuple(tuple(tuple(g) for g in level) for level in groups))
    measures = grouping_problem(replace(instance, objective="size")).judge(plan).measures
    layers = expand(instance, groups).models[0].layers
    assert math.fsum(layer.weight_bytes for layer in layers) == pytest.approx(measures["size"])
