"""Cost tables from CSV files, data frames and rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dnnplan.instances import (
    Costs,
    Device,
    FormatError,
    InputError,
    Instance,
    InstanceError,
    Layer,
    Model,
    Platform,
)
from dnnplan.instances.cost_tables import with_cost_table
from dnnplan.instances.validation import validate

NET = Model(name="net", layers=(Layer(name="conv1"), Layer(name="conv2")))
PLATFORM = Platform(devices=(Device(name="cpu"), Device(name="npu", count=2)))
ONE = Instance(models=(NET,), platform=PLATFORM)
TWO = Instance(models=(NET, Model(name="other", layers=(Layer(name="conv1"),))), platform=PLATFORM)


def test_a_csv_file_becomes_tables(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text("layer,device,latency,energy\nconv1,cpu,0.5,2\nconv1, npu ,0.25,\nconv2,npu.1,,3e-3\n\n")
    costs = with_cost_table(ONE, path).costs
    assert costs.latency == {"net": {"conv1": {"cpu": 0.5, "npu": 0.25}}}
    assert costs.energy == {"net": {"conv1": {"cpu": 2.0}, "conv2": {"npu.1": 0.003}}}
    assert ONE.costs == Costs()


def test_files_of_excel_are_read(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_bytes(b'\xef\xbb\xbf"layer";"device";"latency"\r\n"conv1";"cpu";1\r\n')
    assert with_cost_table(ONE, str(path), separator=";").costs.latency == {"net": {"conv1": {"cpu": 1.0}}}


def test_data_frames_and_rows_are_the_same() -> None:
    rows = [
        {"layer": "conv1", "device": "cpu", "latency": 1.5, "energy": None},
        {"layer": "conv2", "device": "cpu", "latency": None, "energy": 2.0},
    ]
    frame = pd.DataFrame(rows)
    assert frame["latency"].isna().any()
    from_frame = with_cost_table(ONE, frame)
    assert from_frame == with_cost_table(ONE, rows) == with_cost_table(ONE, frame.convert_dtypes())
    assert from_frame.costs.latency == {"net": {"conv1": {"cpu": 1.5}}}
    assert from_frame.costs.energy == {"net": {"conv2": {"cpu": 2.0}}}
    assert validate(from_frame) == ()


def test_columns_may_have_other_names_and_units() -> None:
    rows = [{"Layer Name": "conv1", "Acc": "npu", "Runtime": "3000", "Energy (uJ)": "7"}]
    columns = {"layer": "Layer Name", "device": "Acc", "latency": "Runtime", "energy": "Energy (uJ)"}
    costs = with_cost_table(
        ONE, rows, columns=columns, latency_unit="cycles", frequency=2e9, energy_unit="uJ"
    ).costs
    assert costs.latency["net"]["conv1"]["npu"] == pytest.approx(1.5e-6)
    assert costs.energy["net"]["conv1"]["npu"] == pytest.approx(7e-6)
    for unit, seconds in (("s", 3000), ("ms", 3), ("us", 3e-3), ("ns", 3e-6)):
        table = with_cost_table(ONE, rows, columns=columns, latency_unit=unit).costs.latency
        assert table["net"]["conv1"]["npu"] == pytest.approx(seconds)


def test_rows_replace_cells_and_keep_the_others() -> None:
    old = Costs(latency={"net": {"conv1": {"cpu": 9, "npu": 8}}}, batch_latency={"s": {"1": 1}})
    instance = Instance(models=(NET,), platform=PLATFORM, costs=old)
    costs = with_cost_table(instance, [{"layer": "conv1", "device": "cpu", "latency": 1}]).costs
    assert costs == Costs(latency={"net": {"conv1": {"cpu": 1, "npu": 8}}}, batch_latency={"s": {"1": 1}})
    assert old.latency == {"net": {"conv1": {"cpu": 9, "npu": 8}}}


def test_several_models_need_the_column_model() -> None:
    row = {"layer": "conv1", "device": "cpu", "latency": 1}
    with pytest.raises(
        InstanceError, match='column model is missing; columns are "layer", "device", "latency"'
    ):
        with_cost_table(TWO, [row])
    costs = with_cost_table(TWO, [{**row, "model": "other"}, {**row, "model": "net"}]).costs
    assert costs.latency == {"other": {"conv1": {"cpu": 1}}, "net": {"conv1": {"cpu": 1}}}


def test_all_that_is_wrong_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(
        "model,layer,device,latency\nnt,conv1,cpu,1\nnet,conv3,gpu,1\nnet,conv1,cpu,-1\nnet,conv2,cpu,fast\n"
        "net,conv2,npu,nan\nnet,conv1,cpu,\nnet\n"
    )
    with pytest.raises(InstanceError) as caught:
        with_cost_table(ONE, path)
    assert caught.value.source == str(path)
    assert [str(problem) for problem in caught.value.problems] == [
        'line 2: "nt" is not a model, did you mean "net"?',
        'line 3: "conv3" is not a layer of model net, did you mean "conv2"?',
        'line 3: "gpu" is not a device, did you mean "npu"?',
        'line 4: latency "-1", expected a finite number >= 0',
        'line 5: latency "fast", expected a finite number >= 0',
        'line 6: latency "nan", expected a finite number >= 0',
        'line 7: layer "conv1" on device "cpu" of model "net" is already in line 4',
        "line 7: neither a latency nor an energy",
        'line 8: "" is not a layer of model net, expected one of "conv1", "conv2"',
        'line 8: "" is not a device, expected one of "cpu", "npu", "npu.0", "npu.1"',
    ]


def test_without_a_platform_any_device_will_do_but_not_none() -> None:
    instance = Instance(models=(NET,))
    rows = [{"layer": "conv1", "device": "gpu", "latency": 1}]
    assert with_cost_table(instance, rows).costs.latency == {"net": {"conv1": {"gpu": 1}}}
    with pytest.raises(InstanceError, match="row 1: the device is missing"):
        with_cost_table(instance, [{**rows[0], "device": None}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency_unit": "min"}, 'latency_unit: "min", expected one of s, ms, us, ns, cycles'),
        ({"energy_unit": "kWh"}, 'energy_unit: "kWh", expected one of J, mJ, uJ, nJ, pJ'),
        ({"latency_unit": "cycles"}, "frequency: None, expected the clock in Hz"),
        ({"latency_unit": "cycles", "frequency": 0}, "frequency: 0, expected the clock in Hz"),
        ({"columns": {"latncy": "x"}}, '"latncy" is not a column of cost tables, did you mean "latency"'),
        ({"columns": {"latency": "cycles"}}, "column cycles, energy or both is missing"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        with_cost_table(ONE, [{"layer": "conv1", "device": "cpu", "latency": 1}], **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"layer,device,latency\nconv1,cpu,\xff\n", FormatError),
        (b'layer,device,latency\n"conv1,cpu,1\n', InputError),
        (b"layer,device,latency\nconv1,cpu," + b"1" * 200_000, InputError),
        (b"PK\x03\x04\x00\x00", InputError),
        (b'{"format_version": "1.0"}\nx\n', InputError),
        (b"", InputError),
        (b"layer,device,latency\n", InputError),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, error: type[InputError]) -> None:
    path = tmp_path / "costs.csv"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        with_cost_table(ONE, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
