"""Plans of grouping and ordering: figures worked out by hand, for both computations, and every rule broken once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs.check import check
from dnnplan.costs.joint import joint_problem
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.sharing.blocks import block_costs
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.costs.sharing.selection import selection_problem
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
    Ordering,
    Plan,
    Platform,
    Power,
    Precedence,
    Sharing,
    Task,
    UnsupportedError,
)
from dnnplan.instances.sections import Block, BlockCost, Candidate, Condition
from tests.support.task_oracles import random_grouping, task_graphs

TASKS = tuple(Task(name=name, model="net") for name in "abc")
AFFINITY = ((1, 0.75, 0.5), (0.75, 1, 0.25), (0.5, 0.25, 1))
# Stem: 10 bytes, compute 1, load 2, shared by all. Block: 20 bytes, compute 4, load 8. Head: 1 byte, compute 16,
# load 32.
SHARING = Sharing(
    branch_points=("p",),
    affinity=(AFFINITY,),
    stem=Block(bytes=10, compute=1, load=2),
    blocks=(Block(bytes=20, compute=4, load=8),),
    head=Block(bytes=1, compute=16, load=32),
    groups=((("a", "b"), ("c",)),),
    unit="s",
)
GROUPS = ((("a", "b"), ("c",)),)


def instance(ordering: Ordering | None = None, **changes: Any) -> Instance:
    members = {
        "tasks": TASKS,
        "sharing": SHARING,
        "ordering": ordering or Ordering(),
        "objective": "switching",
    }
    return Instance(**{**members, **changes})


# -- task graphs -------------------------------------------------------------------------------------------

# {a, b} and {c}: stem 10, blocks 2 x 20, heads 3 x 1. Largest dissimilarity of {a, b}: 1 - 0.75.
GRAPH = {"size": 53.0, "variety": 0.125, "task_variety": 0.5 / 3}
# Visits by (g of 3 tasks): in a step 3: 0, 2: 1 closed or 2/3 open, 1: 1 closed or 2/3 open; first: g/3.
# Nodes: stem g=3 (1, 2); {a, b} g=2 (4, 8), {c} g=1 (4, 8); heads three of g=1 (16, 32).
EXECUTION = {
    ("closed", "same", "cold"): 0 * 3 + 1 * 12 + 1 * 12 + 3 * 48,
    # Computed as in an open order: stem 1, {a, b} 2/3 + 2/3, {c} 2/3 + 1/3, heads 1 each.
    ("closed", "fresh", "cold"): (1 + 4 / 3 * 4 + 1 * 4 + 3 * 16) + (0 + 8 + 8 + 3 * 32),
    ("open", "fresh", "cold"): 3 + 4 / 3 * 12 + 12 + 3 * 48,
    ("open", "fresh", "warm"): (1 + 4 / 3 * 4 + 4 + 48) + (0 + 2 / 3 * 8 + 2 / 3 * 8 + 3 * 2 / 3 * 32),
    ("open", "same", "warm"): 2 / 3 * 12 + 2 / 3 * 12 + 3 * 2 / 3 * 48,
}


@pytest.mark.parametrize(("closed", "source", "start"), EXECUTION)
def test_measures_of_a_task_graph(closed: str, source: Any, start: Any) -> None:
    ordering = Ordering(closed=closed == "closed", input=source, start=start)
    asked = instance(ordering, objective="variety")
    plan = Plan(problem="grouping", groups=GROUPS)
    own = grouping_problem(asked).judge(plan).measures
    expected = {**GRAPH, "execution_cost": EXECUTION[closed, source, start]}
    assert own == pytest.approx(expected)
    assert check(asked, plan, measures=expected) == ()


@pytest.mark.parametrize(("closed", "source", "start"), EXECUTION)
def test_execution_cost_is_the_mean_over_all_orders(closed: str, source: Any, start: Any) -> None:
    from itertools import permutations

    ordering = Ordering(closed=closed == "closed", input=source, start=start)
    problem = ordering_problem(instance(ordering))
    mean = np.mean([problem.cost(order) for order in permutations(range(3))])
    assert mean == pytest.approx(EXECUTION[closed, source, start])


def test_a_shared_copy_takes_the_largest_of_its_tasks() -> None:
    costs = {"a": BlockCost(bytes=30, compute=7), "b": BlockCost(load=11)}
    sharing = replace(SHARING, blocks=(replace(SHARING.blocks[0], costs=costs, tasks={"b": 25, "c": 26}),))
    asked = instance(Ordering(closed=True, input="same"), sharing=sharing, objective="size")
    plan = Plan(problem="grouping", groups=GROUPS)
    # {a, b}: bytes 30, compute 7, load 11; {c}: bytes 26, compute 4, load 8.
    expected = {"size": 10 + 30 + 26 + 3, "execution_cost": 18 + 12 + 144}
    own = grouping_problem(asked).judge(plan).measures
    assert {name: own[name] for name in expected} == pytest.approx(expected)
    assert check(asked, plan, measures=expected) == ()


def test_costs_of_a_platform() -> None:
    """2 FLOP/s, 5 bytes/s; the link 4 bytes/s and 0.5 s: compute max(8 / 2, 10 / 5) + 1, load 0.5 + 10 / 4."""
    platform = Platform(
        memories=(Memory(name="flash"), Memory(name="sram", bandwidth=5)),
        devices=(
            Device(
                name="cpu",
                memory="sram",
                peak_flops={"*": 4},
                efficiency={"*": 0.5},
                overhead=1,
                power=Power(active=3),
            ),
        ),
        links=(
            Link(name="spi", source="flash", target="sram", bandwidth=4, latency=0.5, energy_per_byte=0.25),
        ),
        host="flash",
    )
    sharing = Sharing(
        branch_points=("p",), blocks=(Block(bytes=10, flops=8),), groups=((("a",), ("b",), ("c",)),)
    )
    for objective, value in (("switching", 3 * (5 + 3)), ("energy", 3 * (5 * 3 + 10 * 0.25))):
        asked = instance(sharing=sharing, platform=platform, objective=objective)
        plan = Plan(problem="ordering", task_order=("a", "b", "c"))
        assert ordering_problem(asked).judge(plan).value == pytest.approx(value)
        assert check(asked, plan, measures={objective: value}) == ()


# -- orders ------------------------------------------------------------------------------------------------

# Order a c b: c shares the stem with a, b with c.
ORDERS = {
    # c: 12 + 48, b: 12 + 48, a after b: the block is there, its head 48.
    ("closed", "same", "cold"): 60 + 60 + 48,
    # The new period computes a's stem, block and head anew, and loads its head.
    ("closed", "fresh", "cold"): 60 + 60 + (1 + 4 + 16) + 32,
    ("open", "fresh", "cold"): (3 + 12 + 48) + 60 + 60,
    ("open", "fresh", "warm"): (1 + 4 + 16) + 60 + 60,
    ("open", "same", "warm"): 0 + 60 + 60,
}


@pytest.mark.parametrize(("closed", "source", "start"), ORDERS)
def test_cost_of_an_order(closed: str, source: Any, start: Any) -> None:
    asked = instance(Ordering(closed=closed == "closed", input=source, start=start))
    plan = Plan(problem="ordering", task_order=("a", "c", "b"), groups=GROUPS)
    value = ORDERS[closed, source, start]
    assert ordering_problem(asked).judge(plan).value == pytest.approx(value)
    assert check(asked, plan, measures={"switching": value}) == ()
    both = Plan(problem="joint", task_order=("a", "c", "b"), groups=GROUPS)
    found = joint_problem(asked).judge(both).measures
    assert found == pytest.approx({**GRAPH, **found, "switching": value})
    assert check(asked, both, measures=found) == ()


def test_one_outcome_that_gates_all_others() -> None:
    """The deployments of Antler: presence decides; (1 - p) x computing the first task + p x a whole period."""
    gates = tuple(Condition(task=name, given="a", probability=0.25, model="gated") for name in "bc")
    asked = instance(Ordering(closed=True, conditions=gates))
    plan = Plan(problem="ordering", task_order=("a", "c", "b"))
    value = 0.75 * (1 + 4 + 16) + 0.25 * ORDERS["closed", "fresh", "cold"]
    assert ordering_problem(asked).judge(plan).value == pytest.approx(value)
    assert check(asked, plan, measures={"expected": value}) == ()


def test_chains_of_conditions_depend_on_each_other() -> None:
    """b runs in 1 of 2 periods, c in 1 of 2 of those; order a b c with steps ab 2, bc 3, ac 7: 2/2 + 3/4."""
    switch = ((0, 2, 7), (1, 0, 3), (1, 1, 0))
    chain = (
        Condition(task="b", given="a", probability=0.5),
        Condition(task="c", given="b", probability=0.5),
    )
    asked = Instance(objective="expected", tasks=TASKS, ordering=Ordering(switch=switch, conditions=chain))
    plan = Plan(problem="ordering", task_order=("a", "b", "c"))
    assert ordering_problem(asked).judge(plan).value == pytest.approx(1.75)
    assert check(asked, plan, measures={"expected": 1.75}) == ()
    # The same outcomes without the chain: c runs in half of all periods, after a if b did not.
    free = (chain[0], Condition(task="c", probability=0.5))
    asked = Instance(objective="expected", tasks=TASKS, ordering=Ordering(switch=switch, conditions=free))
    value = 0.25 * (2 + 3) + 0.25 * 2 + 0.25 * 7
    assert ordering_problem(asked).judge(plan).value == pytest.approx(value)
    assert check(asked, plan, measures={"expected": value}) == ()


def test_a_period_in_which_nothing_runs_changes_nothing() -> None:
    """One task of three runs, a with 1/2, else none: it follows itself, for the empty period leaves memory alone."""
    rare = tuple(Condition(task=name, probability=0.5 if name == "a" else 0) for name in "abc")
    switch = ((0, 2, 7), (1, 0, 3), (1, 1, 0))
    asked = Instance(
        objective="expected", tasks=TASKS, ordering=Ordering(switch=switch, conditions=rare, closed=True)
    )
    plan = Plan(problem="ordering", task_order=("a", "b", "c"))
    assert ordering_problem(asked).judge(plan).value == 0.0
    assert check(asked, plan, measures={"expected": 0.0}) == ()


@pytest.mark.parametrize(("start", "value"), [("cold", 5.0), ("warm", 3.0)])
def test_tools_that_are_needed_soonest_stay(start: Any, value: float) -> None:
    """Two slots; a needs 0 1, b needs 1 2, c needs 0 2.

    Cold: a loads 0 and 1; b loads 2, and 0 goes though it is needed next, for b needs both slots; c loads 0.
    That is 4; with a fourth task that needs 1, one more. Warm: 0 and 1 are there.
    """
    tasks = (*TASKS, Task(name="d", model="net"))
    tools = ((1, 1, 0), (0, 1, 1), (1, 0, 1), (0, 1, 0))
    asked = Instance(
        objective="switching", tasks=tasks, ordering=Ordering(resources=tools, slots=2, start=start)
    )
    plan = Plan(problem="ordering", task_order=("a", "b", "c", "d"))
    assert ordering_problem(asked).judge(plan).value == value
    assert check(asked, plan, measures={"switching": value}) == ()


def test_blocks_that_fit_beside_the_path_stay() -> None:
    """21 bytes beside the path: while c runs, the block of a and b (20) stays, and one head (1).

    Order a c b, open, cold. a: stem, block, head: load 42, compute 21. c: block and head: load 40, compute 20; a's
    block is needed by b, a's head never. b: its block is there; head: load 32; it computes block and head below the
    shared stem: 20.
    """
    asked = instance(Ordering(cache_bytes=21))
    plan = Plan(problem="ordering", task_order=("a", "c", "b"))
    value = (42 + 21) + (40 + 20) + (32 + 20)
    assert ordering_problem(asked).judge(plan).value == pytest.approx(value)
    assert check(asked, plan, measures={"switching": value}) == ()


# -- choosing networks -------------------------------------------------------------------------------------

CANDIDATES = (
    Candidate(tasks=("a", "b", "c"), cost=1, loss={"a": 4, "b": 4, "c": 4}),
    Candidate(tasks=("a",), cost=0.5, loss={"a": 1}),
    Candidate(tasks=("b", "c"), cost=1, loss={"b": 2, "c": 5}),
)


def choice(**limits: float) -> Instance:
    tasks = (replace(TASKS[0], weight=3), *TASKS[1:])
    sharing = Sharing(candidates=CANDIDATES)
    return Instance(objective="loss", tasks=tasks, sharing=sharing, limits=Limits(**limits))  # type: ignore[arg-type]


def test_each_task_takes_its_best_network() -> None:
    plan = Plan(problem="grouping", candidates=(0, 1, 2))
    expected = {"loss": 3 * 1 + 2 + 4, "budget": 2.5}
    assert selection_problem(choice()).judge(plan).measures == pytest.approx(expected)
    assert check(choice(), plan, measures=expected) == ()


# -- rules -------------------------------------------------------------------------------------------------

OPEN = instance()
BROKEN: list[tuple[str, Instance, Plan]] = [
    ("instance", OPEN, Plan(problem="grouping", groups=GROUPS, instance="12")),
    ("groups", OPEN, Plan(problem="grouping", groups=())),
    ("groups", OPEN, Plan(problem="grouping", groups=((("a", "b"),),))),
    ("unknown", OPEN, Plan(problem="grouping", groups=((("a", "b"), ("c", "d")),))),
    ("groups", OPEN, Plan(problem="ordering", task_order=("a", "b", "c"), groups=((("a",), ("b", "c")),))),
    (
        "refinement",
        instance(sharing=Sharing(branch_points=("p", "q"))),
        Plan(problem="grouping", groups=(GROUPS[0], (("a", "b", "c"),))),
    ),
    ("task_order", OPEN, Plan(problem="ordering", task_order=("a", "b"))),
    ("unknown", OPEN, Plan(problem="ordering", task_order=("a", "b", "c", "d"))),
    (
        "precedence",
        instance(precedences=(Precedence(before="c", after="a"),)),
        Plan(problem="ordering", task_order=("a", "b", "c")),
    ),
    (
        "step",
        Instance(
            objective="switching", tasks=TASKS, ordering=Ordering(switch=((0, None, 1), (1, 0, 1), (1, 1, 0)))
        ),
        Plan(problem="ordering", task_order=("a", "b", "c")),
    ),
    ("limit", instance(limits=Limits(switching=1)), Plan(problem="ordering", task_order=("a", "b", "c"))),
    ("limit", instance(limits=Limits(size=52)), Plan(problem="grouping", groups=GROUPS)),
    ("candidates", choice(), Plan(problem="grouping", candidates=(0, 0))),
    ("unknown", choice(), Plan(problem="grouping", candidates=(3,))),
    ("served", choice(), Plan(problem="grouping", candidates=(1,))),
    ("groups", choice(), Plan(problem="grouping", candidates=(0,), groups=((("a",),),))),
    ("limit", choice(groups=1), Plan(problem="grouping", candidates=(0, 1))),
    ("limit", choice(budget=1), Plan(problem="grouping", candidates=(0, 1))),
]


@pytest.mark.parametrize(("rule", "asked", "plan"), BROKEN)
def test_a_broken_rule_is_found(rule: str, asked: Instance, plan: Plan) -> None:
    assert rule in {violation.rule for violation in check(asked, plan)}


# -- what an answer claims ---------------------------------------------------------------------------------

ORDER = Plan(problem="ordering", task_order=("a", "c", "b"))
BOTH = Plan(problem="joint", task_order=("a", "c", "b"), groups=GROUPS)


def claimed(name: str, value: float | None) -> ObjectiveValue:
    return ObjectiveValue(name=name, value=value, unit=None)


def rules(asked: Instance, plan: Plan, **claims: Any) -> set[str]:
    return {violation.rule for violation in check(asked, plan, **claims)}


@pytest.mark.parametrize("objective", ["energy", "variety=1,energy=1", "variety>energy", "latency"])
def test_a_false_energy_is_found_whatever_the_objective(objective: str) -> None:
    """The figures of the platform-free instance are the same in joules; open, fresh and cold: 63 + 60 + 60."""
    asked = instance(objective=objective)
    assert check(asked, BOTH, measures={"energy": 183.0}) == ()
    assert rules(asked, BOTH, measures={"energy": 184.0}) == {"measure"}
    assert rules(asked, ORDER, measures={"energy": 184.0}) == {"measure"}


def test_a_figure_that_is_none_of_the_plan_is_found() -> None:
    assert rules(OPEN, ORDER, measures={"size": 53.0}) == {"measure"}
    assert rules(OPEN, Plan(problem="grouping", groups=GROUPS), measures={"switching": 183.0}) == {"measure"}


@pytest.mark.parametrize(
    ("name", "value"), [("switching", 183.0), ("variety=8,size=2", 107.0), ("size>expected", 53.0)]
)
def test_the_stated_objective_is_that_of_the_decisions(name: str, value: float) -> None:
    assert check(OPEN, BOTH, objective=claimed(name, value)) == ()
    assert rules(OPEN, BOTH, objective=claimed(name, value + 1)) == {"objective"}


def test_objectives_without_a_value_and_unknown_ones_are_found() -> None:
    assert rules(OPEN, ORDER, objective=claimed("switching", None)) == {"objective"}
    assert rules(OPEN, ORDER, objective=claimed("size", 53.0)) == {"objective"}
    plan = Plan(problem="grouping", candidates=(0, 1, 2))
    assert check(choice(), plan, objective=claimed("loss=2", 18.0)) == ()
    assert rules(choice(), plan, objective=claimed("loss", 18.0)) == {"objective"}


# -- what views and judge refuse ---------------------------------------------------------------------------

CPU = Device(name="cpu", peak_flops={"*": 2.0}, overhead=1, power=Power(active=3))
FLOPS = replace(SHARING, blocks=(Block(bytes=20, flops=8),))


def unstated(platform: Platform | None, sharing: Sharing = FLOPS, **changes: Any) -> Instance:
    return instance(platform=platform, sharing=sharing, **changes)


REFUSED = [
    (unstated(None), "FLOP"),
    (unstated(Platform(devices=(replace(CPU, peak_flops={"float32": 2.0}),))), "rate"),
    (unstated(Platform(devices=(CPU, replace(CPU, name="gpu")))), "one device"),
    (unstated(Platform(devices=(replace(CPU, count=2),))), "one device"),
    (unstated(Platform(devices=(CPU,)), replace(FLOPS, unit=None)), "no unit"),
    (unstated(Platform(devices=(CPU,)), objective="energy"), "J"),
    (instance(limits=Limits(latency=1)), "limit 'latency'"),
    (instance(limits=Limits(energy=1)), "one cost"),
    (
        instance(Ordering(cache_bytes=3, conditions=(Condition(task="b", probability=0.5),))),
        "conditions",
    ),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_views_and_judge_refuse_the_same(asked: Instance, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        ordering_problem(asked)
    with pytest.raises(UnsupportedError, match=words):
        check(asked, ORDER)


def test_views_and_judge_miss_the_same() -> None:
    bare = replace(OPEN, sharing=None)
    given = Ordering(resources=((1, 1), (1, 0), (0, 1)))
    for asked in (
        bare,
        replace(OPEN, sharing=replace(SHARING, groups=())),
        replace(OPEN, sharing=replace(SHARING, blocks=SHARING.blocks * 2)),
        replace(bare, ordering=given),
        replace(bare, ordering=replace(given, slots=1)),
    ):
        with pytest.raises(InstanceError):
            ordering_problem(asked)
        with pytest.raises(InstanceError):
            check(asked, ORDER)
    with pytest.raises(InstanceError):
        check(replace(choice(), sharing=Sharing()), Plan(problem="grouping", candidates=(0,)))
    with pytest.raises(UnsupportedError, match="loss"):
        check(replace(choice(loss=9), objective="affinity"), Plan(problem="grouping", candidates=(0, 1)))


def test_layers_that_the_device_cannot_run_are_refused() -> None:
    layers = tuple(Layer(name=name, op="Conv", flops=1) for name in "xyz")
    models = (Model(name="net", layers=layers),)
    tasks = tuple(replace(task, blocks=(("x",), ("y",), ("z",))) for task in TASKS)
    sharing = Sharing(branch_points=("p",), groups=GROUPS)
    for changes in ({"operators": ("Gemm",)}, {"peak_flops": {}}):
        platform = Platform(devices=(replace(CPU, **changes),))
        for objective in ("switching", "energy"):
            asked = unstated(platform, sharing, tasks=tasks, models=models, objective=objective)
            with pytest.raises(UnsupportedError, match="cannot run layer net/x"):
                ordering_problem(asked)
            with pytest.raises(UnsupportedError, match="cannot run layer net/x"):
                check(asked, ORDER)


@pytest.mark.parametrize("devices", [(CPU, replace(CPU, name="gpu")), (replace(CPU, count=2),)])
def test_costs_that_are_all_stated_need_no_one_device(devices: tuple[Device, ...]) -> None:
    asked = instance(platform=Platform(devices=devices))
    assert ordering_problem(asked).judge(ORDER).measures["switching"] == 183.0
    assert check(asked, ORDER, measures={"switching": 183.0}) == ()
    # A load of no bytes is 0 on any platform; one of some bytes is not.
    block = SHARING.blocks[0]
    free = replace(SHARING, blocks=(replace(block, bytes=0, load=None),))
    assert check(replace(asked, sharing=free), ORDER) == ()
    ordering_problem(replace(asked, sharing=free))
    derived = replace(asked, sharing=replace(SHARING, blocks=(replace(block, load=None),)))
    with pytest.raises(UnsupportedError, match="one device"):
        ordering_problem(derived)
    with pytest.raises(UnsupportedError, match="one device"):
        check(derived, ORDER)


def test_the_unit_is_that_of_what_is_stated_or_worked_out() -> None:
    platform = Platform(devices=(CPU,))
    stated = replace(SHARING, unit="cycles")
    assert block_costs(instance(platform=platform, sharing=stated)).unit == "cycles"
    assert block_costs(unstated(platform)).unit == "s"
    alone = Sharing(branch_points=("p",), blocks=(Block(flops=2),), unit="cycles")
    assert block_costs(unstated(platform, alone)).unit == "s"
    # Costs of single tasks count as stated too.
    own = replace(alone, blocks=(Block(costs={name: BlockCost(compute=1, load=1) for name in "abc"}),))
    assert block_costs(unstated(platform, own)).unit == "cycles"
    half = replace(alone, blocks=(Block(costs={"a": BlockCost(compute=1)}),))
    with pytest.raises(UnsupportedError, match=r"in cycles .* on the platform in s"):
        block_costs(unstated(platform, half))


def test_affinities_above_one_by_rounding_are_one() -> None:
    near = ((1, 1.0000005, 0.5), (1.0000005, 1, 0.25), (0.5, 0.25, 1))
    asked = instance(sharing=replace(SHARING, affinity=(near,)), objective="variety")
    plan = Plan(problem="grouping", groups=GROUPS)
    measures = grouping_problem(asked).judge(plan).measures
    assert measures["variety"] == 0.0
    assert check(asked, plan, measures=measures) == ()


@pytest.mark.parametrize("seed", range(40))
def test_views_and_judge_agree_on_task_graphs(seed: int) -> None:
    asked = replace(random_grouping(seed), limits=Limits())
    problem = grouping_problem(asked)
    for groups in list(task_graphs(tuple(range(problem.n)), problem.levels))[::29]:
        judged = problem.judge(groups)
        assert check(asked, problem.plan(judged), measures=judged.measures) == ()
