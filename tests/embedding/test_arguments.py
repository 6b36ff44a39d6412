"""Values of the wrong kind, handed over in Python: an `InputError` names the argument, and nothing hangs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.instances import InputError, Instance, InstanceError, Plan, PlanError, UnsupportedError
from dnnplan.instances.events import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    LinkChanged,
    ModelAdded,
    ModelRemoved,
    apply,
    loads_events,
)
from dnnplan.instances.model import Layer, Model
from dnnplan.solvers import registry
from dnnplan.solvers.pareto import pareto_front
from dnnplan.solvers.replan import Replanner, replan
from dnnplan.solvers.whole.planning import plan as plan_whole
from tests.support.random_orders import random_order_instance

HAND = dnnplan.load("tiny/hand")
RESULT = dnnplan.solve(HAND, "heft")
assert RESULT.plan is not None
PLAN: Plan = RESULT.plan
LOST = DeviceLost(device="npu")


def refused(call: Callable[[], Any], *words: str) -> None:
    """The call ends with an `InputError` that has all of these words."""
    with pytest.raises(InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("wrong", [None, "tiny/hand", {}, RESULT, 3], ids=lambda one: type(one).__name__)
def test_what_is_no_instance_is_named(wrong: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: dnnplan.solve(wrong),
        lambda: dnnplan.evaluate(wrong, PLAN),
        lambda: dnnplan.check(wrong, PLAN),
        lambda: dnnplan.explain(wrong, PLAN),
        lambda: replan(wrong, PLAN, LOST),
        lambda: apply(wrong, LOST),
        lambda: plan_whole(wrong),
        lambda: pareto_front(wrong, "latency", "energy"),
    ]
    for call in calls:
        refused(call, "instance: ", "expected a dnnplan.Instance")
    if wrong is not None:
        refused(lambda: replan(HAND, PLAN, after=wrong), "after: ", "expected a dnnplan.Instance")


@pytest.mark.parametrize("wrong", [None, {}, "plan.json", HAND], ids=lambda one: type(one).__name__)
def test_what_is_no_plan_is_named(wrong: Any) -> None:
    for call in (dnnplan.evaluate, dnnplan.check, dnnplan.explain, replan, Replanner):
        refused(lambda call=call: call(HAND, wrong), "plan: ", "expected a dnnplan.Plan")
    if wrong is not None:
        refused(lambda: dnnplan.solve(HAND, warm_start=wrong), "warm_start: ", "expected a dnnplan.Plan")


@pytest.mark.parametrize("options", [{}, {"stop": lambda: False}], ids=["alone", "with-stop"])
def test_a_warm_start_that_does_not_fit_is_said_and_not_dropped(options: dict[str, Any]) -> None:
    """The answer is promised to be never worse than it."""
    with pytest.raises(PlanError, match=r"warm_start.placement: .*hand/0/stem"):
        dnnplan.solve(HAND, "heft", warm_start=Plan(), **options)
    orders = random_order_instance(1, "open")
    with pytest.raises(PlanError, match="warm_start"):
        dnnplan.solve(
            orders, problem="ordering", warm_start=Plan(problem="ordering", task_order=("x",)), **options
        )


def test_who_hands_over_a_result_is_told_of_its_plan() -> None:
    refused(lambda: replan(HAND, RESULT, LOST), "that of a result is its member plan")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"solver": None}, ("solver", "null")),
        ({"solver": 3}, ("solver", "3")),
        ({"problem": 3}, ("problem", "3")),
        ({"objective": 3}, ("objective", "3")),
        ({"limits": ["latency"]}, ("limits", "a list")),
        ({"time_limit": "5"}, ("time_limit", '"5"', "seconds >= 0")),
        ({"time_limit": -1}, ("time_limit", "-1")),
        ({"time_limit": math.nan}, ("time_limit", "NaN")),
        ({"work_limit": True}, ("work_limit", "true")),
        ({"workers": 0}, ("workers", "0", "an integer from 1")),
        ({"workers": -1}, ("workers", "-1")),
        ({"workers": 1.5}, ("workers", "1.5")),
        ({"seed": "a"}, ("seed", '"a"')),
        ({"seed": 2**31}, ("seed", "2147483648")),
        ({"gap": math.nan}, ("gap", "NaN")),
        ({"gap": None}, ("gap", "null")),
        ({"on_progress": 3}, ("on_progress", "3")),
        ({"stop": 3}, ("stop", "3")),
        ({"stop": threading.Event()}, ("stop", "Cancellation", "is_set")),
    ],
)
def test_settings_of_the_wrong_kind_are_named(options: dict[str, Any], words: tuple[str, ...]) -> None:
    refused(lambda: dnnplan.solve(HAND, **options), *words)


def test_numbers_of_numpy_are_numbers() -> None:
    options: dict[str, Any] = {"workers": np.int64(1), "seed": np.int32(3), "time_limit": np.float32(5)}
    assert dnnplan.solve(HAND, "heft", **options).valid
    assert dnnplan.solve(HAND, "heft", time_limit=math.inf).valid


def test_other_calls_name_their_arguments() -> None:
    refused(lambda: dnnplan.compare(HAND, "heft"), "solvers", "several names")  # type: ignore[arg-type]
    refused(lambda: dnnplan.compare(None, ["heft"]), "instances")  # type: ignore[arg-type]
    refused(lambda: dnnplan.load(None), "source")  # type: ignore[arg-type]
    refused(lambda: dnnplan.load("tiny/hand", dims="batch"), "dims")  # type: ignore[arg-type]
    refused(lambda: plan_whole(HAND, "greedy"), "method", "sequential")  # type: ignore[arg-type]
    refused(lambda: plan_whole(HAND, time_limit="3"), "time_limit")  # type: ignore[arg-type]
    refused(lambda: pareto_front(HAND, "latency", "energy", points="3"), "points")  # type: ignore[arg-type]
    for call in (lambda: registry.get_solver("heft", "cooking"), lambda: registry.solver_names("cooking")):
        with pytest.raises(UnsupportedError, match="cooking"):
            call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deadline": "50"}, ("deadline", "seconds > 0")),
        ({"deadline": None}, ("deadline", "null")),
        ({"deadline": True}, ("deadline", "true")),
        ({"migration": None}, ("migration", "'free'")),
        ({"migration": [1]}, ("migration", "a list")),
        ({"migration": math.nan}, ("migration", "NaN")),
        ({"migration": math.inf}, ("migration", "Infinity")),
        ({"limits": {"latency": "3"}}, ("limits.latency", '"3"')),
        ({"limits": {"latency": math.nan}}, ("limits.latency", "NaN")),
        ({"limits": ["latency"]}, ("limits", "a list")),
        ({"objective": 3}, ("objective", "3")),
        ({"seed": "a"}, ("seed", '"a"')),
        ({"seed": -1}, ("seed", "-1")),
        ({"stop": 3}, ("stop", "3")),
    ],
)
def test_options_of_a_re_plan_are_named(options: dict[str, Any], words: tuple[str, ...]) -> None:
    refused(lambda: replan(HAND, PLAN, LOST, **options), *words)


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "device_lost", "device": "npu"}, "device_lost", None, 3, DeviceLost, [None]],
    ids=lambda one: type(one).__name__,
)
def test_what_is_no_event_is_named(wrong: Any) -> None:
    for call in (lambda: replan(HAND, PLAN, wrong), lambda: apply(HAND, wrong)):
        refused(call, "events", "DeviceLost(device=...)")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (DeviceThrottled(device="npu", speed=0), ("event.speed", "0")),
        (DeviceThrottled(device="npu", speed=-1.0), ("event.speed", "-1.0")),
        (DeviceThrottled(device="npu", speed=math.nan), ("event.speed", "NaN")),
        (DeviceThrottled(device="npu", speed="fast"), ("event.speed", '"fast"')),  # type: ignore[arg-type]
        (DeviceLost(device=3), ("event.device", "3")),  # type: ignore[arg-type]
        (BatchChanged(task="hand", batch=0), ("event.batch", "0")),
        (BatchChanged(task="hand", batch=-2), ("event.batch", "-2")),
        (LinkChanged(link="bus", factor=0.0), ("event.factor", "0.0")),
        (LinkChanged(link="bus", bandwidth=-1.0), ("event.bandwidth", "-1.0")),
        (LinkChanged(link="bus", latency=math.nan), ("event.latency", "NaN")),
        (ModelAdded(model="x"), ("event.model", '"x"')),  # type: ignore[arg-type]
        (ModelAdded(task="x"), ("event.task", '"x"')),  # type: ignore[arg-type]
        (ModelAdded(file="x"), ("event.file", "with_files")),
    ],
    ids=repr,
)
def test_members_of_events_that_were_built_in_python_are_judged(event: Any, words: tuple[str, ...]) -> None:
    """Some of these were divisions by zero, plans of a negative time, or a search that never ended."""
    refused(lambda: replan(HAND, PLAN, event), *words)
    if not isinstance(event, ModelAdded):
        refused(lambda: apply(HAND, [LOST, event]), words[0].replace("event", "events[1]"), *words[1:])


def test_a_broken_network_is_found_before_the_next_event_looks_at_it() -> None:
    broken = Model(name="new", layers=(Layer(name="a", flops=-1),))
    events = [ModelAdded(model=broken), ModelRemoved(task="hand")]
    with pytest.raises(InstanceError, match=r"layers\[0\].flops: -1"):
        apply(HAND, events)


def test_instances_that_were_built_in_python_are_judged_before_a_re_plan() -> None:
    costs = HAND.costs
    table = {"hand": {**costs.latency["hand"], "stem": {"npu": math.nan}}}
    broken = replace(HAND, costs=replace(costs, latency=table))
    refused(lambda: replan(broken, PLAN, LOST), "costs.latency.hand.stem.npu", "NaN")
    refused(lambda: replan(HAND, PLAN, after=broken), "after: costs.latency.hand.stem.npu", "NaN")


def test_accept_takes_results_of_re_plans_only() -> None:
    replanner = Replanner(HAND, PLAN)
    for wrong in (None, RESULT):
        refused(lambda wrong=wrong: replanner.accept(wrong), "done", "what replan has returned")
    assert replanner.plan is PLAN


@pytest.mark.parametrize("data", [None, {}, []])
def test_events_are_read_from_text(data: Any) -> None:
    refused(lambda: loads_events(data), "JSON text", "events_of")


def test_what_is_checked_at_the_door_costs_nothing_where_it_is_known() -> None:
    """An instance that was read or solved is not judged once more by a re-plan: milliseconds count there."""
    asked: list[Instance] = []
    again = replace(HAND, name="other")
    dnnplan.solve(again, "heft")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dnnplan.instances.validation.validate", lambda one: asked.append(one) or ())
        for instance in (HAND, again):
            Replanner(instance, replace(PLAN, instance=""))
        assert asked == []
        Replanner(replace(HAND, name="third"), replace(PLAN, instance=""))
    assert len(asked) == 1


def test_several_threads_re_plan_while_one_accepts() -> None:
    """Each sees the instance and the plan that belong together."""
    replanner = Replanner(HAND, PLAN)
    other = replanner.replan(DeviceThrottled(device="npu", speed=0.5), deadline=0.001)
    back = Replanner(other.instance, other.result.plan).replan(
        DeviceThrottled(device="npu", speed=1), deadline=0.001
    )
    wrong: list[object] = []
    over = time.monotonic() + 0.5

    def work() -> None:
        while time.monotonic() < over and not wrong:
            done = replanner.replan((), deadline=1e-6)
            known = {one.instance.hash(): one.replan.new.objective for one in (other, back)}
            if done.replan.repair != "kept" or done.replan.old != known[done.instance.hash()]:
                wrong.append(done)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while time.monotonic() < over:
        replanner.accept(other)
        replanner.accept(back)
    for thread in threads:
        thread.join()
    assert wrong == []
