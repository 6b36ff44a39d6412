"""Capacity and load by hand, for each kind of arrivals, and for several streams and devices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs.serving import at_load, capacity, instance_at_load, load, placed, serving_problem
from dnnplan.costs.serving.capacity import device_seconds, rate_of
from dnnplan.instances import Device, InputError, Link, Platform
from dnnplan.instances.sections import Arrivals
from dnnplan.instances.validation import validate
from tests.support.serving_instances import chain, served, stream, table

LATENCY = table(early=[2, 3, 4, 4], final=[4, 6, 7, 8])
"""Full batches of 4: a second and two seconds a sample."""


def test_a_network_with_an_exit() -> None:
    found = serving_problem(served(LATENCY, stream(rate=0.25, exits={"early": 0.75})))
    assert device_seconds(found).tolist() == [1 + 0.25 * 2]
    assert capacity(found) == 1 / 1.5
    assert load(found) == 0.25 * 1.5
    scaled = at_load(found, 0.9)
    assert load(scaled) == pytest.approx(0.9)
    assert scaled.streams[0].arrivals.rate == pytest.approx(0.6)
    assert scaled.instance.workload is not None
    assert scaled.instance.workload.streams[0].arrivals == scaled.streams[0].arrivals
    assert type(scaled.streams[0].arrivals.rate) is float
    assert validate(scaled.instance) == ()
    assert instance_at_load(found.instance, 0.9) == scaled.instance


def test_streams_count_by_their_rates() -> None:
    models = (chain("net", "early"), chain("other"))
    rows = {**LATENCY, "other/final": {"1": 12, "4": 12}}
    streams = (stream("a", rate=3, exits={"early": 1}), stream("b", "other", rate=1))
    found = serving_problem(served(rows, *streams, models=models))
    # 3 of 4 samples take 1 s, the others 12 / 4 = 3 s.
    assert capacity(found) == pytest.approx(1 / 1.5)
    equal = served(rows, stream("a", exits={"early": 1}), stream("b", "other"), models=models)
    assert capacity(serving_problem(equal)) == 1 / 2
    made = at_load(serving_problem(equal), 0.5)
    assert [one.arrivals for one in made.streams] == [Arrivals(kind="poisson", rate=0.125)] * 2
    with pytest.raises(InputError, match='stream "b": no rate, expected one for each stream'):
        capacity(serving_problem(served(rows, streams[0], stream("b", "other"), models=models)))
    with pytest.raises(InputError, match="none has a rate"):
        load(serving_problem(equal))


def test_the_busiest_device_counts() -> None:
    platform = Platform(
        devices=(Device(name="npu"), Device(name="dsp")),
        links=(Link(name="bus", source="npu", target="dsp"),),
    )
    instance = served(LATENCY, stream(exits={"early": 0.25}), platform=platform)
    assert device_seconds(serving_problem(instance)).tolist() == [2.5, 0]
    split = serving_problem(placed(instance, {"final": "dsp"}))
    assert device_seconds(split).tolist() == [1, 1.5]
    assert capacity(split) == 1 / 1.5


@pytest.mark.parametrize(
    ("arrivals", "rate"),
    [
        (Arrivals(), None),
        (Arrivals(rate=3), 3),
        (Arrivals(kind="gamma", rate=3, cv=2), 3),
        (Arrivals(kind="periodic", rate=30, jitter=0.5), 30),
        (Arrivals(kind="mmpp", rates=(10, 0, 40), dwell=(1, 2, 1)), 12.5),
        (Arrivals(kind="mmpp"), None),
        (Arrivals(kind="trace", times=(1, 2, 2, 3.5)), 1.2),
        (Arrivals(kind="trace", times=(1, 1)), math.inf),
        (Arrivals(kind="trace", times=(1,)), math.inf),
        (Arrivals(kind="trace"), None),
    ],
)
def test_rates_in_the_long_run(arrivals: Arrivals, rate: float | None) -> None:
    assert rate_of(arrivals) == rate


@settings(max_examples=40, deadline=None)
@given(
    wanted=st.floats(0.05, 2.0),
    arrivals=st.sampled_from(
        [
            Arrivals(rate=0.3),
            Arrivals(kind="gamma", rate=7, cv=4),
            Arrivals(kind="periodic", rate=30, jitter=0.01),
            Arrivals(kind="mmpp", rates=(0, 50), dwell=(3, 1)),
            Arrivals(kind="trace", times=(0.5, 1, 1, 7), exits=("early", "", "", "early")),
        ]
    ),
)
def test_scaling_reaches_the_load_and_keeps_the_process(wanted: float, arrivals: Arrivals) -> None:
    found = at_load(serving_problem(served(LATENCY, stream(arrivals=arrivals, exits={"early": 0.5}))), wanted)
    assert load(found) == pytest.approx(wanted)
    new = found.streams[0].arrivals
    factor = (rate_of(new) or 0) / (rate_of(arrivals) or 1)
    assert (new.kind, new.cv, new.dwell, new.exits) == (
        arrivals.kind,
        arrivals.cv,
        arrivals.dwell,
        arrivals.exits,
    )
    assert new.jitter == pytest.approx(arrivals.jitter / factor)
    np.testing.assert_allclose(np.array(new.times) * factor, arrivals.times)
    assert validate(found.instance) == ()


def test_traces_together_count_by_their_samples() -> None:
    traces = (
        stream("a", arrivals=Arrivals(kind="trace", times=(0, 1, 5, 6)), exits={"early": 1}),
        stream("b", arrivals=Arrivals(kind="trace", times=(10,))),
    )
    found = serving_problem(served(LATENCY, *traces))
    # 4 of 5 samples take 1 s, one takes 3; four gaps in 10 s.
    assert capacity(found) == pytest.approx(1 / 1.4)
    assert load(found) == pytest.approx(0.4 * 1.4)
    halved = at_load(found, load(found) / 2)
    assert [one.arrivals.times for one in halved.streams] == [(0, 2, 10, 12), (20,)]


def test_loads_that_mean_nothing() -> None:
    found = serving_problem(served(LATENCY, stream(rate=1)))
    for wanted in (0, -1, math.inf, math.nan):
        with pytest.raises(InputError, match="expected a positive number"):
            at_load(found, wanted)
    once = stream(arrivals=Arrivals(kind="trace", times=(1, 1)))
    with pytest.raises(InputError, match="rate of the arrivals: inf"):
        at_load(serving_problem(served(LATENCY, once)), 0.5)
