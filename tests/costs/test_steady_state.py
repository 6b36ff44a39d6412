"""Cyclic plans against figures computed by hand, and the views behind them."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from dnnplan.costs.periodic import CyclicPlan, as_plan, periodic_problem
from dnnplan.costs.steady_state import steady_state
from dnnplan.instances import InstanceError, Task, UnsupportedError
from dnnplan.instances.platform import Execution
from tests.support.periodic_cases import case

PIPELINE = case({"x": [{"a": 3.0}, {"b": 3.0}]}, (Task(name="x", model="x", period=8),))
"""Three seconds on a, one on the link, three on b: 7 s for a request, and a new one every 3 s at best."""


def test_a_request_may_take_longer_than_a_cycle():
    problem = periodic_problem(PIPELINE, deadlines="given")
    state = steady_state(problem, CyclicPlan(cycle=3.0, place=(0, 1), start=(0.0, 4.0)))
    assert state.violations == ()
    assert state.response == {"x": 7.0}
    assert state.load.tolist() == [1.0, 1.0]
    assert state.factor == pytest.approx(8 / 3)


@pytest.mark.parametrize(
    ("cycle", "start", "rule"),
    [
        (2.9, (0.0, 4.0), "devices"),
        (3.0, (0.0, 3.9), "inputs"),
        (3.0, (-0.1, 4.0), "inputs"),
    ],
)
def test_what_cannot_run_is_named(cycle, start, rule):
    problem = periodic_problem(PIPELINE, deadlines="given")
    state = steady_state(problem, CyclicPlan(cycle=cycle, place=(0, 1), start=start))
    assert {v.rule for v in state.violations} == {rule}


def test_a_deadline_is_the_next_release_unless_it_is_given():
    plan = CyclicPlan(cycle=6.9, place=(0, 1), start=(0.0, 4.0))
    state = steady_state(periodic_problem(PIPELINE), plan)
    assert [v.rule for v in state.violations] == ["deadline"]
    assert state.violations[0].amount == pytest.approx(0.1)
    given = replace(PIPELINE, tasks=(Task(name="x", model="x", period=8, deadline=7),))
    assert steady_state(periodic_problem(given), plan).violations == ()
    assert steady_state(periodic_problem(given), dataclasses.replace(plan, cycle=3.0)).violations == ()


def test_calls_may_reach_over_the_border_of_the_cycle():
    """Two tasks of 3 and 2 s on one device, the second released at 0.8 of the cycle of 5 s: it runs from 4 to 6."""
    tasks = (Task(name="x", model="x", period=5), Task(name="y", model="y", period=5, release=4))
    instance = case({"x": [{"a": 3.0}], "y": [{"a": 2.0}]}, tasks)
    problem = periodic_problem(instance)
    assert steady_state(problem, CyclicPlan(cycle=5.0, place=(0, 0), start=(1.0, 4.0))).violations == ()
    early = steady_state(problem, CyclicPlan(cycle=5.0, place=(0, 0), start=(0.5, 4.0)))
    assert [v.rule for v in early.violations] == ["devices"]
    assert early.violations[0].amount == pytest.approx(0.5)


def test_layers_and_weights_must_fit():
    problem = periodic_problem(PIPELINE)
    state = steady_state(problem, CyclicPlan(cycle=9.0, place=(1, 1), start=(0.0, 4.0)))
    assert [v.rule for v in state.violations] == ["placement"]
    platform = PIPELINE.platform
    memories = tuple(replace(memory, bytes=10) for memory in platform.memories)
    model = PIPELINE.models[0]
    heavy = replace(model, layers=tuple(replace(layer, weight_bytes=11) for layer in model.layers))
    tight = replace(
        PIPELINE,
        models=(heavy,),
        platform=replace(platform, memories=memories, execution=Execution(memory="static")),
    )
    state = steady_state(periodic_problem(tight), CyclicPlan(cycle=9.0, place=(0, 1), start=(0.0, 4.0)))
    assert {v.rule for v in state.violations} == {"memory"}


def test_releases_are_shares_of_the_cycle():
    tasks = (Task(name="x", model="x", period=0.1), Task(name="y", model="x", period=0.15, release=0.7))
    problem = periodic_problem(case({"x": [{"a": 1.0}]}, tasks))
    assert float(problem.hyperperiod) == pytest.approx(0.3)
    assert [float(share) for share in problem.release] == pytest.approx([0, 1 / 3, 2 / 3, 1 / 3, 5 / 6])
    assert problem.cycle(2.0) == pytest.approx(0.15)


def test_the_plan_for_files_lists_every_cycle_once():
    problem = periodic_problem(PIPELINE, deadlines="given")
    plan = as_plan(problem, CyclicPlan(cycle=3.0, place=(0, 1), start=(0.0, 4.0)))
    assert plan.placement == {"x/0/l0": "a", "x/0/l1": "b"}
    assert plan.times["x/0/l1"] == (4.0, 7.0)
    assert plan.extensions["steady_state"]["cycle"] == 3.0


def test_what_has_no_steady_state_is_refused():
    with pytest.raises(InstanceError, match="task x has none"):
        periodic_problem(replace(PIPELINE, tasks=(Task(name="x", model="x"),)))
    platform = replace(PIPELINE.platform, execution=Execution(contention="links"))
    with pytest.raises(UnsupportedError, match="contention"):
        periodic_problem(replace(PIPELINE, platform=platform))
