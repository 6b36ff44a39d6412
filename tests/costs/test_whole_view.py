"""The whole plan: its view by hand, and every rule of `check` that is about it broken once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.check import check
from dnnplan.costs.whole import WholeAnswer, whole_problem
from dnnplan.instances import (
    Device,
    Instance,
    InstanceError,
    Layer,
    Limits,
    Link,
    Memory,
    Model,
    ObjectiveValue,
    Plan,
    PlanError,
    Platform,
    Precedence,
    Sharing,
    Task,
    Tensor,
    UnsupportedError,
    Violation,
)
from dnnplan.instances.platform import Execution, Power
from dnnplan.instances.sections import Block, Costs
from tests.support.whole_oracles import random_whole

BLOCKS = (("a",), ("b",), ("c",))
AFFINITY = (((1, 0.75), (0.75, 1)),)
SECONDS = {"a": {"d": 2, "e": 4}, "b": {"d": 4, "e": 4}, "c": {"d": 1, "e": 2}}


def network(name: str) -> Model:
    """a -> b -> c; 8 bytes from a to b take a second on the bus."""
    return Model(
        name=name,
        layers=tuple(Layer(name=layer, weight_bytes=10) for layer in "abc"),
        tensors=(
            Tensor(name="x", targets=("a",), bytes=8),
            Tensor(name="ab", source="a", targets=("b",), bytes=8),
            Tensor(name="bc", source="b", targets=("c",), bytes=8),
            Tensor(name="y", source="c", bytes=1, output=True),
        ),
    )


def two_tasks(**changes: Any) -> Instance:
    members: dict[str, Any] = {
        "platform": Platform(
            memories=(Memory(name="dm", bytes=100), Memory(name="em", bytes=100)),
            devices=(
                Device(name="d", memory="dm", power=Power(active=1)),
                Device(name="e", memory="em", power=Power(active=1)),
            ),
            links=(Link(name="bus", source="d", target="e", bandwidth=8),),
            execution=Execution(memory="static"),
        ),
        "models": (network("m"), network("k")),
        "tasks": (Task(name="s", model="m", blocks=BLOCKS), Task(name="t", model="k", blocks=BLOCKS)),
        "sharing": Sharing(branch_points=("p",), affinity=AFFINITY),
        "costs": Costs(latency={"m": SECONDS, "k": SECONDS}),
    }
    return Instance(**{**members, **changes})


# Apart: a on d until 2; b of s on d until 6, c until 7; b of t on e from 3 to 7, c of t on e until 9.
KEY = "shared/0/"
APART = Plan(
    problem="joint",
    groups=((("s",), ("t",)),),
    task_order=("s", "t"),
    placement={KEY + "s/a": "d", KEY + "s/b": "d", KEY + "s/c": "d", KEY + "t/b": "e", KEY + "t/c": "e"},
    order={"d": (KEY + "s/a", KEY + "s/b", KEY + "s/c"), "e": (KEY + "t/b", KEY + "t/c")},
)
# Together: a until 2, b until 6 on d; c of s until 7, c of t on d until 8.
TOGETHER = Plan(
    problem="joint",
    groups=((("s", "t"),),),
    task_order=("s", "t"),
    placement={KEY + "s/a": "d", KEY + "s/b": "d", KEY + "s/c": "d", KEY + "t/c": "d"},
    order={"d": (KEY + "s/a", KEY + "s/b", KEY + "s/c", KEY + "t/c")},
)
# On d, which runs all blocks fastest; an open, cold order of two: stem once, heads once; b apart once each.
MEASURES = {
    "apart": {"variety": 0.0, "task_variety": 0.0, "size": 50.0, "execution_cost": 2 + 4 + 4 + 1 + 1},
    "together": {"variety": 0.25, "task_variety": 0.25, "size": 40.0, "execution_cost": 2 + 4 + 1 + 1},
}


def pinned(plan: Plan) -> Plan:
    """All weights where their layers run."""
    where: dict[str, list[str]] = {}
    for key, device in plan.placement.items():
        where.setdefault(device, []).append("shared/" + key.removeprefix(KEY))
    return replace(plan, pinned={device: tuple(weights) for device, weights in where.items()})


PLANS = {"apart": (pinned(APART), 9.0), "together": (pinned(TOGETHER), 8.0)}


@pytest.mark.parametrize("name", PLANS)
def test_measures_and_times_by_hand(name: str) -> None:
    instance = two_tasks()
    plan, latency = PLANS[name]
    problem = whole_problem(instance)
    judged = problem.judge(plan)
    assert judged.value == latency
    assert {key: judged.measures[key] for key in MEASURES[name]} == pytest.approx(MEASURES[name])
    made = problem.plan(judged)
    assert (made.problem, made.instance, made.groups, made.task_order) == (
        "joint",
        instance.hash(),
        plan.groups,
        ("s", "t"),
    )
    claims = {"measures": judged.measures, "cost": judged.decisions.evaluation.cost}
    assert (
        check(instance, made, **claims, objective=ObjectiveValue(name="latency", value=latency, unit="s"))
        == ()
    )
    assert problem.judge(made).measures == judged.measures
    assert problem.judge(judged.decisions).measures == judged.measures


def rules(plan: Plan, instance: Instance | None = None, **claims: Any) -> list[str]:
    found = check(instance or two_tasks(), plan, **claims)
    assert all(isinstance(violation, Violation) for violation in found)
    return [violation.rule for violation in found]


def test_plans_as_they_should_be_break_no_rule() -> None:
    for plan, _ in PLANS.values():
        assert rules(plan) == []
        assert rules(replace(plan, instance=two_tasks().hash())) == []


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("instance", {"instance": "0" * 64}),
    ("groups", {"groups": ()}),
    ("groups", {"groups": ((("s",),),)}),
    ("groups", {"groups": ((("s", "t"),), (("s",), ("t",)))}),
    ("unknown", {"groups": ((("s",), ("t",), ("u",)),)}),
    # The layers are those of another task graph.
    ("unknown", {"groups": ((("s", "t"),),)}),
    ("placement", {"placement": {k: v for k, v in APART.placement.items() if not k.endswith("t/c")}}),
    ("placement", {"placement": {}}),
    ("order", {"order": {"d": APART.order["d"], "e": (KEY + "t/b",)}}),
    ("deadlock", {"order": {**APART.order, "e": (KEY + "t/c", KEY + "t/b")}}),
    ("pinned", {"pinned": {"e": ("shared/s/a",)}}),
    ("task_order", {"task_order": ("t", "s")}),
    ("task_order", {"task_order": ("s",)}),
    ("task_order", {"task_order": ("s", "s", "t")}),
    ("unknown", {"task_order": ("s", "t", "u")}),
    ("times", {"times": {key: (0.0, 1.0) for key in APART.placement}}),
]


@pytest.mark.parametrize(("rule", "changes"), BROKEN)
def test_every_rule_can_be_broken(rule: str, changes: dict[str, Any]) -> None:
    assert rule in rules(replace(pinned(APART), **changes))


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        ({"latency": 8.5}, "latency"),
        ({"size": 49}, "size"),
        ({"execution_cost": 11.5}, "execution_cost"),
        ({"memory": 40}, "dm"),
        ({"deadline": 8}, "shared/0"),
        ({"switches": 0}, "shared/0"),
    ],
)
def test_limits_of_both_kinds_are_judged(limits: dict[str, float], where: str) -> None:
    plan, instance = pinned(APART), two_tasks(limits=Limits(**limits))
    assert [(v.rule, v.where) for v in check(instance, plan)] == [("limit", where)]
    assert not whole_problem(instance).judge(plan).feasible
    assert check(two_tasks(limits=Limits(variety=0.24)), pinned(TOGETHER))[0].where == "variety"
    with pytest.raises(UnsupportedError, match="limit 'switching'"):
        check(two_tasks(limits=Limits(switching=1)), plan)


def test_claims_are_compared() -> None:
    plan = pinned(APART)
    assert rules(plan, measures={"variety": 0.5}) == ["measure"]
    assert rules(plan, measures={"latency": 8.0}) == ["measure"]
    assert rules(plan, measures={"colour": 8.0}) == ["measure"]
    stated = ObjectiveValue(name="latency=1,size=0.1", value=14.0, unit=None)
    assert rules(plan, objective=stated) == []
    assert rules(plan, objective=replace(stated, value=13.0)) == ["objective"]
    cost = whole_problem(two_tasks()).judge(plan).decisions.evaluation.cost
    assert rules(plan, cost=cost) == []
    assert rules(plan, cost=replace(cost, energy=1.0)) == ["cost"]


def test_memory_of_the_mapping_counts() -> None:
    """Five layers of 10 bytes; 30 on d, 20 on e."""
    platform = two_tasks().platform
    assert platform is not None
    small = replace(platform, memories=(Memory(name="dm", bytes=29), Memory(name="em", bytes=100)))
    assert "memory_static" in rules(pinned(APART), two_tasks(platform=small))


def test_tasks_that_wait_for_others_do_so_in_the_mapping() -> None:
    """t waits for s, which ends at 7, in its first own block; what it waits for has no bytes to move."""
    instance = two_tasks(precedences=(Precedence(before="s", after="t"),))
    judged = whole_problem(instance).judge(pinned(APART))
    assert judged.measures["latency"] == 7 + 4 + 2
    assert rules(pinned(APART), instance) == []


@pytest.mark.parametrize("seed", range(6))
def test_view_and_check_agree_on_plans_of_solvers(seed: int) -> None:
    instance = random_whole(seed)
    result = dnnplan.solve(instance, "sequential", problem="whole", time_limit=20, workers=1)
    if result.plan is not None:
        judged = whole_problem(instance).judge(result.plan)
        assert check(instance, result.plan, measures=judged.measures) == ()


def test_copies_of_a_device_count_as_devices() -> None:
    platform = Platform(devices=(Device(name="d", count=2, power=Power(active=1)),))
    costs = Costs(latency={name: {layer: {"d": 1} for layer in "abc"} for name in "mk"})
    instance = two_tasks(platform=platform, costs=costs)
    result = dnnplan.solve(instance, "sequential", problem="joint", time_limit=20, workers=1)
    assert result.valid
    assert result.plan is not None
    assert set(result.plan.placement.values()) <= {"d.0", "d.1"}


def test_blocks_of_figures_are_mapped_as_well() -> None:
    """One layer for each node; both tasks in one block of 4 s cost 4 s, apart they end together on two devices."""
    platform = Platform(
        devices=(Device(name="d", peak_flops={"*": 1.0}), Device(name="e", peak_flops={"*": 1.0})),
        links=(Link(name="bus", source="d", target="e"),),
    )
    sharing = Sharing(
        branch_points=("p",),
        affinity=AFFINITY,
        stem=Block(flops=1),
        blocks=(Block(flops=4, bytes=3),),
        head=Block(flops=2),
    )
    instance = Instance(platform=platform, tasks=two_tasks().tasks, sharing=sharing)
    instance = replace(instance, tasks=tuple(replace(task, blocks=()) for task in instance.tasks))
    result = dnnplan.solve(instance, "sequential", problem="joint", time_limit=20, workers=1)
    assert result.valid, result.violations
    assert result.objective.value == pytest.approx(1 + 4 + 2)
    assert result.measures["size"] == 3


# -- the view ----------------------------------------------------------------------------------------------


def test_stages_that_came_before_bind_the_mapping() -> None:
    """Their values without the terms of the task graph at hand."""
    problem = whole_problem(two_tasks())
    before = ((("latency", 2.0), ("variety", 4.0)), 17.5)
    later = dataclasses.replace(problem, stages=((("energy", 1.0),),), sums_at_most=(before,))
    assert later.mapping_stage == (("energy", 1.0),)
    together = (((0, 1),),)
    assert later.mapping(together).sums_at_most == (((("latency", 2.0),), 16.5),)
    assert later.mapping(later.apart).sums_at_most == (((("latency", 2.0),), 17.5),)
    assert later.mapping(together).stages == ((("energy", 1.0),),)
    assert problem.mapping(together).stages == ((("latency", 1.0),),)
    # 2 x 8 + 4 x 0.25 and 2 x 9.
    assert later.judge(pinned(TOGETHER)).feasible
    assert not later.judge(pinned(APART)).feasible


def test_layers_of_blocks_correspond() -> None:
    problem = whole_problem(two_tasks())
    together = (((0, 1),),)
    for groups, same in ((problem.apart, False), (together, True)):
        rows = problem.layers(groups)
        assert len(rows) == 3
        assert rows[0][0] == rows[0][1]
        assert (rows[1][0] == rows[1][1]) is same
        assert rows[2][0] != rows[2][1]


def test_plans_that_do_not_fit_are_refused() -> None:
    problem = whole_problem(two_tasks())
    with pytest.raises(PlanError, match="levels"):
        problem.judge(replace(pinned(APART), groups=()))
    with pytest.raises(PlanError):
        problem.judge(replace(pinned(APART), placement={}))
    assert isinstance(problem.judge(pinned(APART)).decisions, WholeAnswer)
    with pytest.raises(InstanceError, match="platform"):
        whole_problem(two_tasks(platform=None))
    with pytest.raises(InstanceError, match="tasks"):
        whole_problem(Instance())
