"""Rules of plans of serving: a plan that keeps them is accepted, the same plan with one thing broken is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from dnnplan.costs.check import check
from dnnplan.instances import InputError, Instance, ObjectiveValue, Plan, Violation
from dnnplan.instances.plan import Batch
from dnnplan.instances.sections import Arrivals
from tests.support.serving_oracles import known_instance

INSTANCE = known_instance([[2, 3], [3, 4]], arrivals=[0, 1, 2], depths=[2, 1, 2], slo=5)
BATCHES = (
    Batch(stage="net/e1", samples=(0,), start=0),
    Batch(stage="net/e1", samples=(1, 2), start=2),
    Batch(stage="net/e2", samples=(0, 2), start=5),
)
MEASURES = {"mean_latency": 20 / 3, "late": 2.0, "p50": 7.0, "p95": 8.8, "makespan": 9.0, "energy": 0.0}


def judge(*batches: Batch, instance: Instance = INSTANCE, **claims: object) -> tuple[Violation, ...]:
    return check(instance, Plan(problem="serving", batches=batches), **claims)  # type: ignore[arg-type]


def test_the_plan_is_valid() -> None:
    objective = ObjectiveValue(name="mean_latency", value=20 / 3, unit="s")
    assert judge(*BATCHES, measures=MEASURES, objective=objective) == ()


def test_starts_may_be_left_out_or_later_than_they_have_to_be() -> None:
    """Without starts batches run as early as they can; a policy may wait, and then its own times count."""
    bare = [replace(batch, start=0.0) for batch in BATCHES]
    assert judge(*bare, measures=MEASURES) == ()
    late = [*BATCHES[:2], replace(BATCHES[2], start=6.0)]
    assert judge(*late, measures={"mean_latency": 22 / 3, "makespan": 10.0}) == ()


def edited(number: int, **fields: object) -> Callable[[], list[Batch]]:
    return lambda: [replace(b, **fields) if k == number else b for k, b in enumerate(BATCHES)]


def without(number: int) -> Callable[[], list[Batch]]:
    return lambda: [b for k, b in enumerate(BATCHES) if k != number]


def also(batch: Batch) -> Callable[[], list[Batch]]:
    return lambda: [*BATCHES, batch]


BROKEN = [
    ("batch", "batches[1]", "3 samples, expected 1 to 2", 1, edited(1, samples=(1, 2, 0))),
    ("batch", "batches[0]", "0 samples", 1, edited(0, samples=())),
    ("unknown", "batches[0]", '"net/e9" is not a stage', None, edited(0, stage="net/e9")),
    ("unknown", "batches[0]", "sample 5 does not exist", None, edited(0, samples=(5,))),
    ("number", "batches[0]", "start is -1.0", None, edited(0, start=-1.0)),
    ("sample", "batches[1]", "2 times in the batch", None, edited(1, samples=(1, 1))),
    ("sample", "batches[3]", "runs net/e2 twice", None, also(Batch(stage="net/e2", samples=(0,), start=9))),
    ("sample", "batches[3]", "leaves after 1 stages", 1, also(Batch(stage="net/e2", samples=(1,), start=9))),
    ("sample", "sample 0", "does not run 1 of its 2 stages", 1, edited(2, samples=(2,))),
    ("sample", "sample 1", "does not run 1 of its 1 stages", 1, edited(1, samples=(2,))),
    (
        "sample_order",
        "batches[0]",
        "sample 0 runs net/e2 before the stage in front",
        None,
        lambda: [BATCHES[2], *BATCHES[:2]],
    ),
    ("batch_start", "batches[1]", "0.5 s before sample 2 has come", 0.5, edited(1, start=1.5)),
    ("batch_start", "batches[2]", "1 s before sample 2 has ended the stage", 1, edited(2, start=4.0)),
    ("batch_overlap", "batches[1]", "0.5 s before device is free", 0.5, edited(1, start=1.5)),
]


@pytest.mark.parametrize(("rule", "where", "words", "amount", "edit"), BROKEN, ids=[b[2] for b in BROKEN])
def test_broken_plan_is_reported(
    rule: str, where: str, words: str, amount: float | None, edit: Callable[[], list[Batch]]
) -> None:
    found = [v for v in judge(*edit()) if v.rule == rule and words in v.message]
    assert [v.where for v in found] == [where], judge(*edit())
    if amount is not None:
        assert found[0].amount == pytest.approx(amount)


@pytest.mark.parametrize("name", [*MEASURES, "p99"])
def test_stated_measures_are_compared(name: str) -> None:
    (violation,) = judge(*BATCHES, measures={**MEASURES, name: 0.5})
    assert (violation.rule, violation.where) == ("measure", name)


def test_what_is_no_measure_is_reported() -> None:
    assert [v.rule for v in judge(*BATCHES, measures={"latency": 3.0})] == ["measure"]


@pytest.mark.parametrize(("name", "value"), [("mean_latency", 6.0), ("late", None), ("size", 1.0)])
def test_stated_objective_is_compared(name: str, value: float | None) -> None:
    claimed = ObjectiveValue(name=name, value=value, unit=None)
    assert [v.rule for v in judge(*BATCHES, objective=claimed)] == ["objective"]


def test_weights_of_objectives_count() -> None:
    assert judge(*BATCHES, objective=ObjectiveValue(name="late=3", value=6.0, unit=None)) == ()


def test_plan_of_another_instance_is_reported() -> None:
    plan = Plan(problem="serving", batches=BATCHES, instance="0" * 12)
    assert [v.rule for v in check(INSTANCE, plan)] == ["instance"]


def test_samples_leave_where_their_confidence_says() -> None:
    (stream,) = INSTANCE.workload.streams
    arrivals = Arrivals(kind="trace", times=(0, 1, 2), confidences=((0.2,), (0.9,), (0.8,)))
    workload = replace(
        INSTANCE.workload, streams=(replace(stream, arrivals=arrivals, thresholds={"e1": 0.9}),)
    )
    assert judge(*BATCHES, instance=replace(INSTANCE, workload=workload), measures=MEASURES) == ()


def test_parked_samples_take_longer() -> None:
    """Sample 0 was not in the batch before its second stage: 1.5 s more, from 5 to 10.5."""
    instance = known_instance([[2, 3], [3, 4]], [0, 1, 2], [2, 1, 2], switch=[0, 1.5])
    assert judge(*BATCHES, instance=instance, measures={"makespan": 10.5}) == ()


@pytest.mark.parametrize("arrivals", [Arrivals(), Arrivals(kind="trace", times=(0, 1, 2))])
def test_streams_that_are_no_whole_traces_are_refused(arrivals: Arrivals) -> None:
    (stream,) = INSTANCE.workload.streams
    streams = (replace(stream, arrivals=arrivals, exits={"e1": 0.5, "e2": 0.5}),)
    with pytest.raises(InputError, match="expected"):
        judge(*BATCHES, instance=replace(INSTANCE, workload=replace(INSTANCE.workload, streams=streams)))
