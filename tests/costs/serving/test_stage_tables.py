"""Latency and energy of stages by batch: tables, sums of analytic models, batches in parts."""

from __future__ import annotations

import csv
import logging
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs.analytic import (
    HOROWITZ,
    Fpga,
    Roofline,
    SystolicArray,
    composed,
    energy,
    work_of,
)
from dnnplan.costs.serving.stages import stages_of
from dnnplan.costs.serving.tables import analytic_tables, filled, in_parts, keys_of, table_entry
from dnnplan.instances import Layer, Model, Tensor
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.wording import Report
from tests.support.data import data_folder, needs_data
from tests.support.layers import conv
from tests.support.scalesim import topology
from tests.support.serving_instances import chain

# -- tables --


def test_sizes_between_entries_are_interpolated_and_smaller_ones_padded() -> None:
    report = Report()
    found = filled({"2": 1.0, "4": 3.0, "8": 4.0}, 8, "t", report)
    assert found.tolist() == [0, 1, 1, 2, 3, 3.25, 3.5, 3.75, 4]
    assert filled({"1": 0.5, "9": 4.5}, 3, "t", report).tolist() == [0, 0.5, 1.0, 1.5]
    assert filled({"16": 2.0}, 2, "t", report).tolist() == [0, 2, 2]
    assert report.problems == []


def test_a_table_that_is_too_short_is_an_error() -> None:
    report = Report()
    assert filled({"1": 1.0, "4": 2.0}, 8, "t", report).tolist() == [0] * 9
    assert filled({}, 2, "u", report).tolist() == [0] * 3
    assert [str(problem) for problem in report.problems] == [
        "t: the largest entry is 4, expected one of 8 samples, or a smaller workload.max_batch",
        "u: there is no entry, expected one of 2 samples, or a smaller workload.max_batch",
    ]


def test_a_table_that_falls_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    report = Report()
    with caplog.at_level(logging.WARNING, "dnnplan"):
        found = filled({"1": 2.0, "2": 1.0, "3": 3.0}, 3, "costs.batch_latency.early", report)
        assert filled({"1": 2.0, "2": 2.0}, 2, "flat", report).tolist() == [0, 2, 2]
    assert found.tolist() == [0, 2, 1, 3]
    assert report.problems == []
    assert caplog.messages == [
        "costs.batch_latency.early: 2 for 1 samples, but 1 for 2: larger batches are expected to cost as much or more"
    ]


def test_the_most_specific_name_wins() -> None:
    keys = keys_of("net", "early", ("npu.0", "npu"))
    assert keys == (
        *("net/early@npu.0", "early@npu.0", "net/early@npu", "early@npu"),
        *("net/early", "early"),
    )
    rows: dict[str, dict[str, float]] = {}
    for value, key in enumerate(reversed(keys), start=1):
        rows[key] = {"1": value}
        found = table_entry(rows, keys, 1, "t", Report())
        assert found is not None
        assert found[1] == value
    assert table_entry({"other": {"1": 1}}, keys, 1, "t", Report()) is None


# -- sums of analytic models --


def two_stages() -> Model:
    """A convolution of 30 pixels, 72 long, 16 filters in each of two stages, the first with a fully connected head."""
    head = Layer(
        name="head",
        op="Gemm",
        flops=2 * 64 * 10,
        weight_bytes=2560,
        attributes={"input_shapes": [[1, 64]], "output_shapes": [[1, 10]]},
        exit="early",
    )
    tensors = (
        Tensor(name="x", source="a", targets=("head", "b"), bytes=1920),
        Tensor(name="y", source="b", bytes=1920, output=True),
    )
    return Model(name="net", layers=(conv("a"), head, conv("b")), tensors=tensors)


def test_sums_by_hand() -> None:
    """Output stationary 8 x 8: ceil(30 b / 8) ceil(16 / 8) (72 + 14), and ceil(b / 8) ceil(10 / 8) (64 + 14)."""
    model = two_stages()
    found = analytic_tables(model, stages_of(model), SystolicArray(8, 8, clock=1), 4)
    conv_cycles = [-(-30 * b // 8) * 2 * 86 for b in (1, 2, 3, 4)]
    assert conv_cycles == [688, 1376, 2064, 2580]
    assert found.latency.tolist() == [[0, *(c + 156 for c in conv_cycles)], [0, *conv_cycles]]
    assert found.cannot == ((), ())
    assert found.energy is not None
    joules = energy(work_of(model), np.arange(1, 5), HOROWITZ, SystolicArray(8, 8, clock=1))
    np.testing.assert_allclose(found.energy[:, 1:], [joules[0] + joules[1], joules[2]])


def test_plain_batches_load_weights_once() -> None:
    """1152 weights of 4 bytes at 1 byte/s against 688 cycles at 1 Hz: b = 1 waits for weights, b = 8 does not."""
    model = two_stages()
    array = SystolicArray(8, 8, clock=1, fold_batch=False, bandwidth=1, buffer=10**9)
    found = analytic_tables(model, stages_of(model), array, 8).latency[1]
    assert found[1:].tolist() == [max(4608, 688 * b) for b in range(1, 9)]


def test_what_does_not_fit_in_the_buffer_is_moved_and_batches_run_in_parts() -> None:
    """A layer moves 3840 bytes a sample; two samples fit, so four run as two and two."""
    layers = (Layer(name="a", op="Conv", flops=2 * 64 * 100),)
    tensors = (
        Tensor(name="x", targets=("a",), bytes=1920),
        Tensor(name="y", source="a", bytes=1920, output=True),
    )
    model = Model(name="net", layers=layers, tensors=tensors)
    array = SystolicArray(8, 8, clock=1, bandwidth=1, buffer=7680)
    assert array.latency(work_of(model), [1, 2, 3, 4]).tolist() == [[100, 200, 3840, 7680]]
    found = analytic_tables(model, stages_of(model), array, 4)
    assert found.latency.tolist() == [[0, 100, 200, 300, 400]]
    whole = SystolicArray(8, 8, clock=1, bandwidth=1)
    assert whole.latency(work_of(model), [1, 2]).tolist() == [[3840, 7680]]
    assert found.energy is not None
    np.testing.assert_allclose(found.energy[0, 4], 2 * found.energy[0, 2])


def test_energy_of_a_composed_array_is_that_of_the_shape_it_takes() -> None:
    model = two_stages()
    array = composed(SystolicArray(8, 8))
    work, sizes = work_of(model), np.arange(1, 5)
    chosen = array.choice(work, sizes)
    assert len(np.unique(chosen)) > 1
    each = [energy(work, sizes, HOROWITZ, part) for part in array.arrays()]
    expected = [[each[chosen[i, b]][i, b] for b in range(4)] for i in range(3)]
    found = analytic_tables(model, stages_of(model), array, 4)
    assert found.energy is not None
    np.testing.assert_allclose(found.energy[0, [1, 2, 4]], np.sum(expected[:2], axis=0)[[0, 1, 3]])
    np.testing.assert_allclose(found.energy[1, [1, 2, 4]], np.array(expected[2])[[0, 1, 3]])
    # Three samples are faster as one and two, each in its own shape.
    assert found.latency[1, 3] == found.latency[1, 1] + found.latency[1, 2] < array.latency(work, 3)[2]
    np.testing.assert_allclose(found.energy[1, 3], found.energy[1, 1] + found.energy[1, 2])


def test_models_without_energy_and_layers_that_cannot_run() -> None:
    model = chain("net", "early", flops=100)
    roofline = analytic_tables(model, stages_of(model), Roofline(peak=50), 3)
    assert roofline.energy is None
    assert roofline.latency.tolist() == [[0, 2, 4, 6], [0, 2, 4, 6]]
    fpga = analytic_tables(model, stages_of(model), Fpga("Conv", 1, 100), 2)
    assert fpga.cannot == (("early-layer",), ("final-layer",))


# -- batches in parts --


def cheapest_parts(latency: list[float], batch: int) -> float:
    """Least sum over all partitions of a batch."""

    @cache
    def best(rest: int, largest: int) -> float:
        if rest == 0:
            return 0.0
        return min(latency[part] + best(rest - part, part) for part in range(1, min(rest, largest) + 1))

    return best(batch, batch)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=10))
def test_parts_are_the_best_of_all_partitions(rows: list[tuple[int, int]]) -> None:
    latency = np.array([0.0, *(float(a) for a, _ in rows)])
    joules = np.array([0.0, *(float(e) for _, e in rows)])
    found, spent = in_parts(latency, joules)
    for batch in range(len(latency)):
        assert found[batch] == cheapest_parts(latency.tolist(), batch)
        if found[batch] == latency[batch]:
            assert spent[batch] == joules[batch]
    b = np.arange(len(latency))
    assert all(found[a + c] <= found[a] + found[c] for a in b for c in b if a + c < len(latency))


# -- published closed forms --

STAGE_ENDS = {"IB2c_3": "1", "IB3d_3": "2", "IB4f_3": "3", "FC6": "4"}


def resnet_with_exits() -> Model:
    model = topology("Resnet50")
    layers = tuple(msgspec.structs.replace(layer, exit=STAGE_ENDS.get(layer.name)) for layer in model.layers)
    cut: Model = msgspec.structs.replace(model, layers=layers)
    return cut


def fluid_rows(name: str) -> list[dict[str, str]]:
    with (data_folder() / "fluid" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@needs_data("fluid")
@needs_data("scalesim")
def test_stages_of_resnet_50_on_an_output_stationary_array() -> None:
    rows, model = fluid_rows("derived_resnet50_stage_cycles_32x32_os.csv"), resnet_with_exits()
    stages = stages_of(model)
    largest = max(int(row["batch"]) for row in rows)
    found = {
        fold: analytic_tables(model, stages, SystolicArray(32, 32, "os", 1, fold_batch=fold), largest)
        for fold in (True, False)
    }
    assert [stage.name for stage in stages] == ["1", "2", "3", "4"]
    for row in rows:
        k, b = int(row["stage"]) - 1, int(row["batch"])
        assert len(stages[k].layers) == int(row["layers"])
        assert found[True].latency[k, b] == float(row["cycles_batch_folded"])
        assert found[False].latency[k, b] == float(row["cycles_replicated"])


@needs_data("fluid")
@needs_data("scalesim")
@pytest.mark.parametrize("size", [32, 128])
def test_stages_of_resnet_50_on_a_weight_stationary_array(size: int) -> None:
    rows, model = fluid_rows("derived_resnet50_stage_cycles_ws.csv"), resnet_with_exits()
    rows = [row for row in rows if row["array"] == f"{size}x{size}"]
    assert rows
    largest = max(int(row["batch"]) for row in rows)
    found = analytic_tables(model, stages_of(model), SystolicArray(size, size, "ws", 1), largest)
    for row in rows:
        k, b = int(row["stage"]) - 1, int(row["batch"])
        assert found.latency[k, b] == float(row["cycles"])


# -- bundled networks --


@pytest.mark.parametrize("name", ["resnet50-os32", "resnet50-ws128", "inception-os32", "inception-ws128"])
def test_tables_of_bundled_networks_rise_and_are_subadditive(name: str) -> None:
    pytest.importorskip("onnx")
    from dnnplan.costs.serving import serving_problem

    problem = serving_problem(load_bundled(f"serving/{name}"))
    latency: Any = problem.latency
    assert (np.diff(latency, axis=1) > 0).all()
    assert (np.diff(problem.energy, axis=1) > 0).all()
    share = latency[:, 1:] / np.arange(1, 17)
    assert (share[:, -1] < share[:, 0]).all()
    assert all(
        (latency[:, a + b] <= latency[:, a] + latency[:, b] + 1e-15).all()
        for a in range(1, 16)
        for b in range(1, 17 - a)
    )
