"""What holds for every analytic model, models as records, and the tables that they make."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs import analytic
from dnnplan.costs.analytic import (
    ANNETTE_DNNDK,
    ComposedArray,
    Fpga,
    LatencyModel,
    Mcu,
    RefinedRoofline,
    Roofline,
    SystolicArray,
    Unroll,
    Work,
    composed,
    cost_tables,
    model_from,
    to_record,
    work_of_gemms,
)
from dnnplan.instances import Device, Instance, Layer, Model, Platform, Tensor
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Costs
from dnnplan.instances.validation import validate
from tests.support.layers import conv

ONE = work_of_gemms(100, 64, 40)
"""One product: 100 x 64 by 64 x 40."""

SIZE = st.integers(1, 300)
DATAFLOWS = st.sampled_from(["os", "ws", "is"])
WORKS = st.lists(st.tuples(SIZE, SIZE, SIZE, st.integers(1, 4)), min_size=1, max_size=5).map(
    lambda rows: work_of_gemms(*zip(*rows, strict=True))
)
ARRAYS = st.builds(
    SystolicArray,
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    dataflow=DATAFLOWS,
    fold_batch=st.booleans(),
    bandwidth=st.sampled_from([None, 1e8]),
)
MODELS_OF_DEVICES: st.SearchStrategy[LatencyModel] = st.one_of(
    ARRAYS,
    ARRAYS.map(composed),
    st.builds(Roofline, st.just(1e9), st.sampled_from([None, 1e8]), st.just(1e-6)),
    st.builds(
        RefinedRoofline,
        st.just(1e9),
        unroll=st.builds(
            lambda p, a: (Unroll("m", p, a), Unroll("k", p)), st.integers(1, 64), st.sampled_from([0, 0.5, 1])
        ),
    ),
    st.just(Fpga("Gemm", 10, 100)),
    st.builds(
        Mcu, st.just(1e8), st.just({"*": {"*": 2}}), overlap=st.booleans(), external_bandwidth=st.just(1e6)
    ),
)


@settings(max_examples=60, deadline=None)
@given(MODELS_OF_DEVICES, WORKS)
def test_more_samples_never_take_less_time(model: LatencyModel, work: Work) -> None:
    batches = np.arange(1, 9)
    seconds = model.latency(work, batches)
    assert seconds.shape == (len(work), 8)
    assert (seconds > 0).all()
    # A refined roofline may fill its units better with more samples: never by more than rounding.
    assert (np.diff(seconds, axis=1) >= -1e-12 * seconds[:, 1:]).all()
    for i, batch in enumerate(batches):
        assert (model.latency(work, int(batch)) == seconds[:, i]).all()


@settings(max_examples=60, deadline=None)
@given(ARRAYS, WORKS, st.integers(1, 9))
def test_efficiencies_are_shares(array: SystolicArray, work: Work, batch: int) -> None:
    held, used = array.mapping_efficiency(work, batch), array.utilisation(work, batch)
    assert (held > 0).all()
    assert (held <= 1).all()
    assert (used > 0).all()
    assert (used <= held * (1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(ARRAYS, WORKS, st.integers(1, 9))
def test_arrays_scale(array: SystolicArray, work: Work, batch: int) -> None:
    rows, columns, dataflow = array.rows, array.columns, array.dataflow
    folded = SystolicArray(rows, columns, dataflow).cycles(work, batch)
    apart = SystolicArray(rows, columns, dataflow, fold_batch=False).cycles(work, batch)
    assert (apart == batch * array.cycles(work)).all()
    assert (folded <= apart).all()
    assert (composed(array).cycles(work, batch) <= array.cycles(work, batch)).all()
    slow, fast = (SystolicArray(rows, columns, dataflow, clock).latency(work) for clock in (1e8, 2e8))
    np.testing.assert_allclose(slow, 2 * fast)


@settings(max_examples=40, deadline=None)
@given(WORKS, st.integers(1, 64), st.floats(0, 1))
def test_the_refined_roofline_is_no_faster_than_the_plain_one(work: Work, p: int, alpha: float) -> None:
    names = ("filters", "channels", "height", "width", "groups", "m", "k")
    model = RefinedRoofline(1e9, unroll=tuple(Unroll(name, p, alpha) for name in names))  # type: ignore[arg-type]
    share = model.unrolling_efficiency(work)
    assert ((share > 0) & (share <= 1)).all()
    assert (model.latency(work) >= Roofline(1e9).latency(work) * (1 - 1e-12)).all()
    hard = RefinedRoofline(1e9, unroll=(Unroll("k", p),)).unrolling_efficiency(work)
    soft = RefinedRoofline(1e9, unroll=(Unroll("k", p, alpha),)).unrolling_efficiency(work)
    assert (soft >= hard * (1 - 1e-12)).all()


EXAMPLES = (
    Roofline(1e12, 1e10, 1e-6, {"Conv": 0.5}),
    ANNETTE_DNNDK,
    SystolicArray(16, 64, "ws", fold_batch=False),
    composed(SystolicArray(32, 32, bandwidth=1e9)),
    Fpga("LSTM", 10, 150),
    Mcu(480e6, {"*": {"int8": 1}}, external_bandwidth=2e8, overlap=True),
)


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: type(model).__name__)
def test_records_go_to_json_and_back(model: Any) -> None:
    record = json.loads(json.dumps(to_record(model)))
    assert analytic.interface.KINDS[record["kind"]] is type(model)
    assert model_from(record) == model


@pytest.mark.parametrize(
    ("record", "problems"),
    [
        ([], ["a list, expected an object with a `kind`"]),
        ({}, ["kind: null, expected one of roofline, refined-roofline, systolic, composed, fpga, mcu"]),
        ({"kind": "sistolic"}, ['kind: "sistolic" is not a kind of model, did you mean "systolic"?']),
        (
            {"kind": "systolic", "rows": 0, "columns": "32", "dataflow": "xs", "clok": 1},
            [
                "rows: 0, expected >= 1 and <= 1000000",
                'columns: "32", expected an integer >= 1 and <= 1000000',
                'dataflow: "xs", expected "is" or "os" or "ws"',
                'clok: unknown key, did you mean "clock"?',
            ],
        ),
        ({"kind": "roofline"}, ["peak: missing, expected a number > 0"]),
        ({"kind": "roofline", "peak": math.nan}, ["peak: NaN, expected a finite number > 0"]),
        (
            {"kind": "composed", "shapes": [[16, 64], [32, 31], [2, 2]]},
            [
                "shapes[1]: 32 x 31 = 992 units, expected 1024 as shapes[0]",
                "shapes[2]: 2 x 2 = 4 units, expected 1024 as shapes[0]",
            ],
        ),
        ({"kind": "composed", "shapes": []}, ["shapes: empty, expected at least one shape"]),
        (
            {"kind": "refined-roofline", "peak": 1, "unroll": [{"dimension": "k", "parallelism": 2}] * 2},
            ['unroll[1].dimension: "k" is unrolled already, expected each dimension once'],
        ),
        (
            {"kind": "mcu", "clock": 1, "cycles_per_mac": {"Conv": {"int8": 0}}},
            ["cycles_per_mac.Conv.int8: 0, expected > 0"],
        ),
    ],
)
def test_wrong_records_are_refused_with_every_problem(record: Any, problems: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        model_from(record)
    assert [str(problem) for problem in caught.value.problems] == problems


def test_models_made_in_python_are_checked_too() -> None:
    with pytest.raises(InputError, match="rows: -1, expected >= 1"):
        SystolicArray(-1, 4)
    with pytest.raises(InputError, match="units, expected 16"):
        ComposedArray(((4, 4), (4, 5)))
    for batch in (0, -1, 1.5, [], [[1]], [1, 0]):
        with pytest.raises(InputError, match="batch: "):
            SystolicArray(4, 4).latency(ONE, batch)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="arrays of one length"):
        Work(**(vars(ONE) | {"names": ()}))


def test_tables_make_a_valid_instance() -> None:
    model = Model(
        name="net",
        layers=(conv("a"), Layer(name="b", op="Relu", flops=10)),
        tensors=(Tensor(name="t", source="a", targets=("b",), bytes=10),),
    )
    devices: dict[str, LatencyModel] = {
        "npu": SystolicArray(16, 16),
        "fpga": Fpga("Conv", 100, 200),
        "cpu": Roofline(1e9),
    }
    table = cost_tables(model, devices, batch=4)
    assert list(table) == ["a", "b"]
    assert list(table["a"]) == ["npu", "fpga", "cpu"]
    assert list(table["b"]) == ["npu", "cpu"]
    assert table["b"]["cpu"] == 4e-8
    instance = Instance(
        models=(model,),
        platform=Platform(devices=tuple(Device(name=name, peak_flops={"*": 1e9}) for name in devices)),
        costs=Costs(latency={"net": table}),
    )
    assert validate(instance) == ()


def test_an_array_of_batches_is_each_batch_by_itself() -> None:
    work = work_of_gemms(*np.random.default_rng(0).integers(1, 500, (3, 64)))
    array = SystolicArray(32, 32, bandwidth=1e10)
    batches = np.arange(1, 129)
    seconds = array.latency(work, batches)
    assert seconds.shape == (64, 128)
    np.testing.assert_array_equal(seconds, np.stack([array.latency(work, int(b)) for b in batches], axis=1))
