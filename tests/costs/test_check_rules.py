"""Every rule of `check`: a plan that keeps it is accepted, the same plan with one thing broken is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dnnplan.costs.check import RULES, check, simulate
from dnnplan.instances import (
    Instance,
    InstanceError,
    ObjectiveValue,
    Plan,
    PlanError,
    UnsupportedError,
    Violation,
)

INSTANCE: dict[str, Any] = {
    "platform": {
        "memories": [{"name": "dram"}, {"name": "dm", "bytes": 100}, {"name": "em", "bytes": 100}],
        "devices": [{"name": "d", "memory": "dm"}, {"name": "e", "memory": "em", "weight_fraction": 0.5}],
        "links": [
            {"name": "bus", "source": "d", "target": "e", "bandwidth": 10},
            {"name": "bus", "source": "dram", "target": "d", "bandwidth": 10},
            {"name": "bus", "source": "dram", "target": "e", "bandwidth": 10},
        ],
        "host": "dram",
        "execution": {"contention": "links", "memory": "live", "weights": "choice"},
    },
    "models": [
        {
            "name": "m",
            "layers": [{"name": "a"}, {"name": "b", "weight_bytes": 40}, {"name": "c"}],
            "tensors": [
                {"name": "x", "targets": ["a"], "bytes": 10},
                {"name": "t", "source": "a", "targets": ["b", "c"], "bytes": 20},
                {"name": "y", "source": "b", "bytes": 10, "output": True},
            ],
        },
        {"name": "n", "layers": [{"name": "z"}]},
    ],
    "tasks": [{"name": "p", "model": "m", "release": 1}, {"name": "q", "model": "n"}],
    "precedences": [{"before": "p", "after": "q"}],
    "costs": {
        "latency": {
            "m": {"a": {"d": 2, "e": 2}, "b": {"e": 1}, "c": {"d": 3, "e": 3}},
            "n": {"z": {"d": 1, "e": 1}},
        }
    },
}
# x: d at 2; a 2-4; t: e at 6; c 4-7; b 6-7; y on the host at 8; z 8-9.
PLAN: dict[str, Any] = {
    "placement": {"p/0/a": "d", "p/0/b": "e", "p/0/c": "d", "q/0/z": "d"},
    "order": {"d": ["p/0/a", "p/0/c", "q/0/z"], "e": ["p/0/b"]},
    "pinned": {"e": ["m/b"]},
}
TIMES = {"p/0/a": (2, 4), "p/0/b": (6, 7), "p/0/c": (4, 7), "q/0/z": (8, 9)}
Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def judge(edit: Edit | None = None, **stated: Any) -> tuple[Violation, ...]:
    instance, plan = deepcopy(INSTANCE), deepcopy(PLAN)
    if edit is not None:
        edit(instance, plan)
    return check(msgspec.convert(instance, Instance), msgspec.convert(plan, Plan), **stated)


def change(where: str, value: Any) -> Edit:
    """Set one entry: ``plan.order.e`` or ``instance.models.0.layers``; value None deletes it."""

    def edit(instance: dict[str, Any], plan: dict[str, Any]) -> None:
        root, *path, last = where.split("|")
        target: Any = {"instance": instance, "plan": plan}[root]
        for step in path:
            target = target[int(step)] if isinstance(target, list) else target.setdefault(step, {})
        if value is None:
            del target[last]
        else:
            target[int(last) if isinstance(target, list) else last] = deepcopy(value)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(instance: dict[str, Any], plan: dict[str, Any]) -> None:
        for one in edits:
            one(instance, plan)

    return edit


HOST = change("instance|platform|execution|staging", "host")
RESIDENT = change("instance|platform|execution|weights", "resident")
STREAMED = change("instance|platform|execution|weights", "streamed")
ONE_CALL_EACH = {"k": ["p/0/a", "p/0/c"], "l": ["p/0/b"], "o": ["q/0/z"]}
CALLS = both(change("plan|calls", ONE_CALL_EACH), change("plan|order", {"d": ["k", "o"], "e": ["l"]}))
SEND_X, SEND_T, SEND_Y = "send p/0/x to d", "send p/0/t to e", "send p/0/y to dram"
TABLE = "instance|costs|latency|m"

# (rule, where it is reported, words of the message, amount, what was broken)
BROKEN: list[tuple[str, str, str, float | None, Edit]] = [
    ("instance", "instance", "was made for instance 0123", None, change("plan|instance", "0123")),
    ("number", "p/0/a", "not_before of p/0/a is nan", None, change("plan|not_before", {"p/0/a": math.nan})),
    ("number", "p/0/a", "not_before of p/0/a is -1", None, change("plan|not_before", {"p/0/a": -1.0})),
    ("number", "p/0/a", "inf", None, change("plan|times", {"p/0/a": (0, math.inf)})),
    ("number", "p/0/a", "ends 2 s before it starts", 2, change("plan|times", {**TIMES, "p/0/a": (4, 2)})),
    ("unknown", "p/0/w", "unknown layer 'p/0/w'", None, change("plan|placement|p/0/w", "d")),
    ("unknown", "p/0/a", "unknown device 'gpu'", None, change("plan|placement|p/0/a", "gpu")),
    ("unknown", "gpu", "order names unknown device", None, change("plan|order|gpu", ["p/0/a"])),
    ("unknown", "p/0/w", "unknown call 'p/0/w'", None, change("plan|order|e", ["p/0/b", "p/0/w"])),
    ("unknown", "l", "unknown layer 'p/0/w'", None, both(CALLS, change("plan|calls|l", ["p/0/b", "p/0/w"]))),
    ("unknown", "gpu", "pinned names unknown device", None, change("plan|pinned|gpu", ["m/b"])),
    ("unknown", "m/w", "unknown weight 'm/w'", None, change("plan|pinned|d", ["m/w"])),
    ("unknown", "p/0/w", "unknown tensor 'p/0/w'", None, both(HOST, change("plan|kept", [["p/0/w", "d"]]))),
    ("unknown", "p", "unknown tensor 'p'", None, both(HOST, change("plan|kept", [["p", "d"]]))),
    ("unknown", "p/0/t", "unknown device 'gpu'", None, both(HOST, change("plan|kept", [["p/0/t", "gpu"]]))),
    ("unknown", "send w", "no call or transfer", None, change("plan|not_before", {"send w": 1.0})),
    ("unknown", "wire", "unknown link 'wire'", None, change("plan|transfer_order", {"wire": []})),
    (
        "unknown",
        "send w",
        "no transfer of this plan",
        None,
        change("plan|transfer_order", {"bus": [SEND_X, SEND_T, SEND_Y, "send w"]}),
    ),
    ("unknown", "w", "times names unknown call 'w'", None, change("plan|times", {**TIMES, "w": (0, 1)})),
    ("placement", "p/0/b", "layer p/0/b is not placed", None, change("plan|placement|p/0/b", None)),
    ("device", "p/0/b", "no entry for it in the row of m/b", None, change(f"{TABLE}|b", {"d": 1})),
    (
        "device",
        "p/0/b",
        "no peak_flops for 'float32'",
        None,
        both(change(f"{TABLE}|b", None), change("instance|models|0|layers|1|flops", 5)),
    ),
    (
        "device",
        "p/0/b",
        "['Conv'] do not hold 'generic'",
        None,
        change("instance|platform|devices|1|operators", ["Conv"]),
    ),
    ("device", "p/0/a", "is fixed to e", None, change("instance|models|0|layers|0|devices", {"fix": "e"})),
    (
        "device",
        "p/0/a",
        "only allowed on ['e']",
        None,
        change("instance|models|0|layers|0|devices", {"allow": ["e"]}),
    ),
    ("device", "p/0/a", "forbids it", None, change("instance|models|0|layers|0|devices", {"forbid": ["d"]})),
    ("colocate", "p/0/a", "p/0/a on d, p/0/b on e", None, change("instance|models|0|colocate", [["a", "b"]])),
    (
        "calls",
        "p/0/a",
        "in call l and already in call k",
        None,
        both(CALLS, change("plan|calls|l", ["p/0/b", "p/0/a"])),
    ),
    ("calls", "p/0/c", "layer p/0/c is in no call", None, both(CALLS, change("plan|calls|k", ["p/0/a"]))),
    ("calls", "k", "placed on several devices: d, e", None, both(CALLS, change("plan|placement|p/0/c", "e"))),
    (
        "calls",
        "k",
        "several jobs: p/0, q/0",
        None,
        both(
            change("plan|calls", {"k": ["p/0/a", "p/0/c", "q/0/z"], "l": ["p/0/b"]}),
            change("plan|order", {"d": ["k"], "e": ["l"]}),
        ),
    ),
    ("calls", "v", "call v holds no layer", None, both(CALLS, change("plan|calls|v", []))),
    ("order", "q/0/z", "missing from the order of d", None, change("plan|order|d", ["p/0/a", "p/0/c"])),
    ("order", "p/0/b", "listed twice in the order of e", None, change("plan|order|e", ["p/0/b", "p/0/b"])),
    (
        "order",
        "q/0/z",
        "in the order of e, but placed on d",
        None,
        change("plan|order|e", ["p/0/b", "q/0/z"]),
    ),
    ("pinned", "m/b", "pinned on d, where its layer does not run", 40, change("plan|pinned|d", ["m/b"])),
    ("pinned", "m/b", "pinned twice on e", None, change("plan|pinned|e", ["m/b", "m/b"])),
    ("pinned", "m/b", "execution.weights is streamed", None, STREAMED),
    (
        "pinned",
        "m/b",
        "not pinned on e, but all weights are resident",
        None,
        both(RESIDENT, change("plan|pinned", {"d": ["m/a"]})),
    ),
    (
        "kept",
        "p/0/t",
        "kept twice on d",
        None,
        both(HOST, change("plan|kept", [["p/0/t", "d"], ["p/0/t", "d"]])),
    ),
    ("kept", "p/0/y", "where no layer reads it", None, both(HOST, change("plan|kept", [["p/0/y", "e"]]))),
    (
        "route",
        "p/0/t",
        "no route from d to e for tensor p/0/t",
        None,
        change("instance|platform|links|0", {"name": "w", "source": "dram", "target": "d"}),
    ),
    (
        "route",
        "p/0/b",
        "no route from dram to e for the weights of layer p/0/b",
        None,
        both(
            change("plan|pinned", {}),
            change(
                "instance|platform|links|2", {"name": "w", "source": "e", "target": "dram", "directed": True}
            ),
        ),
    ),
    (
        "transfer_order",
        SEND_Y,
        "leaves out 'send p/0/y",
        None,
        change("plan|transfer_order", {"bus": [SEND_X, SEND_T]}),
    ),
    (
        "transfer_order",
        SEND_X,
        "twice",
        None,
        change("plan|transfer_order", {"bus": [SEND_X, SEND_X, SEND_T, SEND_Y]}),
    ),
    (
        "transfer_order",
        SEND_T,
        "is listed on bus, but uses own",
        None,
        both(
            change("instance|platform|links|0|name", "own"),
            change("plan|transfer_order", {"bus": [SEND_X, SEND_T, SEND_Y]}),
        ),
    ),
    (
        "deadlock",
        "p/0/a",
        "p/0/a waits for p/0/c waits for p/0/a",
        4,
        change("plan|order|d", ["p/0/c", "p/0/a", "q/0/z"]),
    ),
    (
        "deadlock",
        "p/0/a",
        "p/0/a waits for q/0/z waits for p/0/a",
        4,
        change("plan|order|d", ["q/0/z", "p/0/a", "p/0/c"]),
    ),
    (
        "deadlock",
        "p/0/a",
        f"{SEND_X} waits for {SEND_T} waits for p/0/a",
        4,
        change("plan|transfer_order", {"bus": [SEND_T, SEND_X, SEND_Y]}),
    ),
    (
        "memory_static",
        "e",
        "40 B of weights are pinned on e, 5 B more than 0.35",
        5,
        change("instance|platform|devices|1|weight_fraction", 0.35),
    ),
    (
        "memory_static",
        "em",
        "pinned in memory em, 10 B more than it has",
        10,
        both(
            change("instance|platform|memories|2|bytes", 30),
            change("instance|platform|execution|memory", "static"),
        ),
    ),
    # e: pinned 40, t 20 from the start of its send (4) and y 10 from the start of b (6): 70
    (
        "memory_live",
        "em",
        "70 B at 6 s, 5 B more than its 65 B (exceeded first at 6 s)",
        5,
        both(
            change("instance|platform|memories|2|bytes", 65),
            change("instance|platform|devices|1|weight_fraction", 1.0),
        ),
    ),
    ("limit", "latency", "latency is 9 s, 1 s above its limit of 8", 1, change("instance|limits|latency", 8)),
    ("limit", "traffic", "traffic is 40 B, 1 B above", 1, change("instance|limits|traffic", 39)),
    (
        "limit",
        "energy",
        "energy is 10 J, 4 J above",
        4,
        both(change("instance|platform|links|1|energy_per_byte", 1), change("instance|limits|energy", 6)),
    ),
    (
        "limit",
        "edp",
        "edp is 90 J s, 10 J s above",
        10,
        both(change("instance|platform|links|1|energy_per_byte", 1), change("instance|limits|edp", 80)),
    ),
    # t is made on d and read on e too
    ("limit", "p/0", "job p/0 changes its device 1 times", 1, change("instance|limits|switches", 0)),
    ("limit", "max_load", "max_load is 6 s, 1 s above", 1, change("instance|limits|max_load", 5)),
    # p: 8 - 1, q: 9 - 0
    (
        "limit",
        "weighted_completion",
        "is 16 s, 1 s above",
        1,
        change("instance|limits|weighted_completion", 15),
    ),
    (
        "limit",
        "tardiness",
        "tardiness is 4 s, 4 s above",
        4,
        both(change("instance|tasks|1|deadline", 5), change("instance|limits|tardiness", 0)),
    ),
    (
        "limit",
        "q/0",
        "job q/0 takes 9 s from its release, 2 s above",
        2,
        change("instance|limits|deadline", 7),
    ),
    ("limit", "em", "peaks at 70 B, 10 B above limits.memory", 10, change("instance|limits|memory", 60)),
    ("limit", "d", "device d runs 3 calls", 1, change("instance|limits|calls_per_device", 2)),
    (
        "times",
        "p/0/a",
        "layer p/0/a on d starts at 2.5 s by plan.times, at 2 s",
        0.5,
        change("plan|times", {**TIMES, "p/0/a": (2.5, 4)}),
    ),
    (
        "times",
        "q/0/z",
        "no entry for call q/0/z",
        None,
        change("plan|times", {k: v for k, v in TIMES.items() if k != "q/0/z"}),
    ),
    (
        "times_release",
        "p/0/a",
        "starts at 0.5 s, 0.5 s before its job is released",
        0.5,
        change("plan|times", {**TIMES, "p/0/a": (0.5, 2.5)}),
    ),
    (
        "times_release",
        "q/0/z",
        "starts at 8 s, 1 s before its not_before",
        1,
        both(change("plan|not_before", {"q/0/z": 9.0}), change("plan|times", TIMES)),
    ),
    (
        "times_precedence",
        "q/0/z",
        "starts at 6.5 s, 0.5 s before task p has ended",
        0.5,
        change("plan|times", {**TIMES, "q/0/z": (6.5, 7.5)}),
    ),
    (
        "times_input",
        "p/0/b",
        "layer p/0/b on e starts at 5 s, 1 s before tensor p/0/t is there",
        1,
        change("plan|times", {**TIMES, "p/0/b": (5, 6)}),
    ),
    (
        "times_device",
        "p/0/c",
        "starts at 3 s, 1 s before a slot of d is free",
        1,
        change("plan|times", {**TIMES, "p/0/c": (3, 6)}),
    ),
    (
        "times_device",
        "p/0/c",
        "before p/0/a, which is earlier in the order",
        0.5,
        change("plan|times", {**TIMES, "p/0/c": (1.5, 4.5)}),
    ),
]
STATED_RULES = {"cost", "objective"}
TASK_RULES = {
    *("groups", "refinement", "candidates", "served", "task_order", "precedence", "step", "measure"),
}
"""Tested in test_check_tasks.py."""
SERVING_RULES = {"batch", "sample", "sample_order", "batch_start", "batch_overlap"}
"""Tested in test_check_serving.py."""


def test_the_plan_is_valid() -> None:
    assert judge() == ()
    assert judge(change("plan|times", TIMES)) == ()
    assert judge(CALLS) == ()
    assert judge(change("plan|transfer_order", {"bus": [SEND_X, SEND_T, SEND_Y]})) == ()
    assert judge(both(HOST, change("plan|kept", [["p/0/t", "d"]]))) == ()
    assert judge(both(RESIDENT, change("plan|pinned", {}))) == ()


@pytest.mark.parametrize(
    ("rule", "where", "words", "amount", "edit"),
    BROKEN,
    ids=[f"{b[0]}-{b[1]}-{i}" for i, b in enumerate(BROKEN)],
)
def test_broken_plan_is_reported(rule: str, where: str, words: str, amount: float | None, edit: Edit) -> None:
    found = [violation for violation in judge(edit) if violation.rule == rule]
    assert [violation.where for violation in found if words in violation.message] == [where], found
    if amount is not None:
        assert [v.amount for v in found if words in v.message] == [pytest.approx(amount)]


def test_every_rule_is_tested_and_documented() -> None:
    assert {case[0] for case in BROKEN} | STATED_RULES | TASK_RULES | SERVING_RULES == set(RULES)
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert rows == list(RULES)


FIGURES = ("latency", "energy", "edp", "traffic", "max_load", "weighted_completion", "tardiness")


@pytest.mark.parametrize("figure", FIGURES)
def test_stated_cost_is_compared(figure: str) -> None:
    cost = simulate(msgspec.convert(INSTANCE, Instance), msgspec.convert(PLAN, Plan)).cost
    assert judge(cost=cost) == ()
    wrong = msgspec.structs.replace(cost, **{figure: getattr(cost, figure) * (1 + 1e-7) + 1e-9})
    assert [(v.rule, v.where) for v in judge(cost=wrong)] == [("cost", figure)]


@pytest.mark.parametrize("group", ["memory", "load"])
def test_stated_cost_by_device_and_memory_is_compared(group: str) -> None:
    cost = simulate(msgspec.convert(INSTANCE, Instance), msgspec.convert(PLAN, Plan)).cost
    name, value = next(iter(getattr(cost, group).items()))
    wrong = msgspec.structs.replace(cost, **{group: {**getattr(cost, group), name: value + 1}})
    assert [(v.rule, v.where, v.amount) for v in judge(cost=wrong)] == [("cost", f"{group}.{name}", 1)]


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("latency", 9.0, True),
        ("latency", 8.9, False),
        ("latency", None, False),
        ("latency", math.nan, False),
        ("latency", math.inf, False),
        ("latency=2,traffic=0.5", 38.0, True),
        ("latency=2,traffic=0.5", 9.0, False),
        ("latency=two", 18.0, False),
        ("latency>energy", 9.0, True),
        ("memory", 70.0, True),
        ("speed", 1.0, False),
    ],
)
def test_stated_objective_is_compared(name: str, value: float | None, accepted: bool) -> None:
    found = judge(objective=ObjectiveValue(name=name, value=value, unit="s"))
    assert [violation.rule for violation in found] == ([] if accepted else ["objective"])


def test_several_violations_at_once() -> None:
    edit = both(
        change("plan|placement|p/0/b", None),
        change("plan|placement|q/0/z", "gpu"),
        change("plan|instance", "0123"),
        change("plan|not_before", {"p/0/a": -1.0}),
        change("instance|models|0|layers|0|devices", {"fix": "e"}),
    )
    assert {violation.rule for violation in judge(edit)} == {
        "instance",
        "number",
        "placement",
        "unknown",
        "device",
        "order",
        "pinned",
    } - {"order"}


def test_deadlock_of_calls_is_named() -> None:
    """a -> b -> c, and a and c are one call: it waits for b, which waits for it."""

    def edit(instance: dict[str, Any], plan: dict[str, Any]) -> None:
        instance["models"][0]["tensors"].append({"name": "u", "source": "b", "targets": ["c"]})
        CALLS(instance, plan)

    (violation,) = judge(edit)
    assert violation.rule == "deadlock"
    assert (
        "k waits for send p/0/u to d waits for l waits for send p/0/t to e waits for k" in violation.message
    )


def test_simulate_refuses_a_broken_plan() -> None:
    plan = msgspec.convert({**PLAN, "order": {}}, Plan)
    with pytest.raises(PlanError, match="call p/0/a is missing from the order of d") as caught:
        simulate(msgspec.convert(INSTANCE, Instance), plan)
    assert len(caught.value.problems) == 4


def test_unsupported_settings_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="contention 'memory'"):
        judge(change("instance|platform|execution|contention", "memory"))
    with pytest.raises(UnsupportedError, match="'rates'"):
        judge(change("plan|problem", "rates"))


def test_incomplete_instances_are_refused() -> None:
    with pytest.raises(InstanceError, match="platform"):
        check(Instance(), Plan())
    with pytest.raises(InstanceError, match="host staging needs a host"):
        judge(both(HOST, change("instance|platform|host", None)))
