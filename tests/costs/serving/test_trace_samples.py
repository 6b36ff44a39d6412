"""Samples of traces: their order, and where each leaves."""

from __future__ import annotations

import math

import pytest

from dnnplan.costs.serving import serving_problem, trace_samples
from dnnplan.instances import InputError
from dnnplan.instances.sections import Arrivals
from tests.support.serving_instances import chain, served, stream, table

MODEL = chain("net", "one", "two")
ROWS = table(one=[1], two=[1], final=[1])


def trace(*times: float, **fields: object) -> Arrivals:
    return Arrivals(kind="trace", times=times, **fields)  # type: ignore[arg-type]


def test_samples_come_by_time_then_stream_then_position() -> None:
    streams = (
        stream("a", arrivals=trace(0, 2, 2, 3, exits=("one", "two", "", "final")), slo=0.5),
        stream("b", arrivals=trace(0, 2, 2.5, exits=("two", "one", ""))),
    )
    problem = serving_problem(served(ROWS, *streams, models=[MODEL]))
    found = trace_samples(problem)
    assert found.arrival.tolist() == [0, 0, 2, 2, 2, 2.5, 3]
    assert found.stream.tolist() == [0, 1, 0, 0, 1, 1, 0]
    assert found.depth.tolist() == [1, 2, 2, 3, 1, 3, 3]
    assert len(found) == 7
    assert found.deadline(problem).tolist() == [0.5, math.inf, 2.5, 2.5, math.inf, math.inf, 3.5]


def test_confidences_and_thresholds() -> None:
    rows = ((0.9, 0.1), (0.89, 0.5), (0.1, 0.49), (0.2, 1.0), (1.0, 1.0))
    one = stream(arrivals=trace(*range(5), confidences=rows), thresholds={"one": 0.9, "two": 0.5})
    assert trace_samples(serving_problem(served(ROWS, one, models=[MODEL]))).depth.tolist() == [1, 2, 3, 2, 1]
    late = stream(arrivals=trace(*range(5), confidences=rows), thresholds={"two": 0.5})
    assert trace_samples(serving_problem(served(ROWS, late, models=[MODEL]))).depth.tolist() == [
        3,
        2,
        3,
        2,
        2,
    ]


def test_where_all_samples_leave_at_one_stage_nothing_need_be_said() -> None:
    plain = serving_problem(served({"final": {"1": 1}}, stream(arrivals=trace(0, 1)), models=[chain("net")]))
    assert trace_samples(plain).depth.tolist() == [1, 1]
    every = served(ROWS, stream(arrivals=trace(0, 1), exits={"two": 1}), models=[MODEL])
    assert trace_samples(serving_problem(every)).depth.tolist() == [2, 2]
    none = served(ROWS, stream(arrivals=trace(0, 1)), models=[MODEL])
    assert trace_samples(serving_problem(none)).depth.tolist() == [3, 3]


def test_what_is_missing_is_said_of_every_stream() -> None:
    streams = (
        stream("a", rate=1),
        stream("b", arrivals=trace(0, 1), exits={"one": 0.5}),
        stream("c", arrivals=trace(0, 1, exits=("one",))),
        stream("d", arrivals=trace(0, 1, exits=("one", "onne"))),
        stream("e", arrivals=trace(0, 1, confidences=((1.0,), (1.0, 2.0)))),
        stream("f", arrivals=Arrivals(kind="trace")),
    )
    with pytest.raises(InputError) as caught:
        trace_samples(serving_problem(served(ROWS, *streams, models=[MODEL])))
    save = "`dnnplan simulate --save-trace FILE` draws samples and writes them as traces"
    assert [str(problem) for problem in caught.value.problems] == [
        f"workload.streams[0].arrivals: poisson, expected a trace; {save}",
        "workload.streams[1].arrivals: no exits of its samples, expected `exits`, or `confidences` and "
        f"thresholds; {save}",
        "workload.streams[2].arrivals.exits: 1 exits of 2 samples, expected one each",
        'workload.streams[3].arrivals.exits[1]: "onne" is not an exit of its model, did you mean "one"?',
        "workload.streams[4].arrivals.confidences: expected 2 rows of 2 numbers, one for each exit before the last",
        f"workload.streams[5].arrivals: empty, expected a trace; {save}",
    ]
