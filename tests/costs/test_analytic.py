"""Closed forms against figures worked out by hand, against SCALE-Sim and H2H, and what must hold for any of them."""

from __future__ import annotations

import csv
import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs import analytic
from dnnplan.costs.analytic import (
    ANNETTE_DNNDK,
    MAESTRO,
    ComposedArray,
    EnergyFigures,
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
    energy,
    fpga_of,
    in_mac_units,
    model_from,
    to_record,
    traffic,
    work_of,
    work_of_gemms,
)
from dnnplan.costs.analytic.work import dtype_bytes
from dnnplan.costs.compute import bytes_touched, compute_costs
from dnnplan.instances import Device, Instance, Layer, Memory, Model, Platform, Tensor
from dnnplan.instances.errors import InputError
from dnnplan.instances.h2h import MODELS, h2h_instance
from dnnplan.instances.h2h.accelerators import ACCELERATORS
from dnnplan.instances.sections import Costs
from dnnplan.instances.validation import validate
from tests.support.data import data_folder, needs_data

ONE = work_of_gemms(100, 64, 40)
"""One product: 100 x 64 by 64 x 40."""


def conv(name: str = "conv", *, fused: list[str] | None = None, **changes: Any) -> Layer:
    """A convolution of 3 x 3 with stride 2, 8 channels in, 16 out, on 9 x 11: 5 x 6 pixels out."""
    attributes: dict[str, Any] = {
        "input_shapes": [[1, 8, 9, 11]],
        "output_shapes": [[1, 16, 5, 6]],
        "kernel": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "dilations": [1, 1],
        "group": 1,
        "weight_shape": [16, 8, 3, 3],
    } | changes
    weight = attributes["weight_shape"]
    flops = 2 * math.prod(weight) * 30
    found = attributes if fused is None else attributes | {"fused": fused}
    return Layer(name=name, op="Conv", flops=flops, weight_bytes=4 * math.prod(weight), attributes=found)


def sizes(layer: Layer) -> list[float]:
    """m, k, n, groups, width, taps of one layer."""
    work = work_of(Model(name="net", layers=(layer,)))
    return [float(v[0]) for v in (work.m, work.k, work.n, work.groups, work.width, work.taps)]


# -- the work of layers --------------------------------------------------------------------------------------


def layer(op: str, flops: float, **attributes: Any) -> Layer:
    return Layer(name="x", op=op, flops=flops, attributes=attributes)


@pytest.mark.parametrize(
    ("given_layer", "expected"),
    [
        (conv(), [30, 72, 16, 1, 6, 9]),
        (conv(group=4, weight_shape=[16, 2, 3, 3]), [30, 18, 4, 4, 6, 9]),
        (conv(group=8, weight_shape=[8, 1, 3, 3]), [30, 9, 1, 8, 6, 9]),
        (conv(pads=[0, 0, 0, 0], auto_pad="SAME_UPPER"), [30, 72, 16, 1, 6, 9]),
        (conv(auto_pad="VALID"), [4 * 5, 72, 16, 1, 5, 9]),
        (conv(dilations=[2, 2]), [4 * 5, 72, 16, 1, 5, 9]),
        (conv(fused=["BatchNormalization", "Relu"]), [30, 72, 16, 1, 6, 9]),
        (
            layer(
                "ConvTranspose",
                2 * 8 * 16 * 20,
                input_shapes=[[1, 8, 4, 4]],
                weight_shape=[8, 5, 2, 2],
                group=1,
            ),
            [16, 8, 20, 1, 4, 1],
        ),
        (layer("Gemm", 2 * 3 * 7 * 5, input_shapes=[[3, 7]], output_shapes=[[3, 5]]), [3, 7, 5, 1, 1, 1]),
        # Transposed: the work says that 7 is reduced over.
        (layer("Gemm", 2 * 3 * 7 * 5, input_shapes=[[7, 3]], output_shapes=[[3, 5]]), [3, 7, 5, 1, 1, 1]),
        (
            layer("MatMul", 2 * 6 * 8 * 9 + 54, input_shapes=[[2, 3, 8]], output_shapes=[[2, 3, 9]]),
            [6, 8, 9, 1, 1, 1],
        ),
        # Weights on the left: (5 x 8) (8 x 6).
        (layer("MatMul", 2 * 5 * 8 * 6, input_shapes=[[8, 6]], output_shapes=[[5, 6]]), [6, 8, 5, 1, 1, 1]),
        (
            layer(
                "MatMul", 2 * 12 * 60, input_shapes=[[2, 6, 3, 4], [2, 6, 4, 5]], output_shapes=[[2, 6, 3, 5]]
            ),
            [3, 4, 5, 12, 1, 1],
        ),
        (
            layer("LSTM", 99999, input_shapes=[[5, 1, 3]], hidden_size=4, direction="bidirectional"),
            [1, 7, 16, 10, 1, 1],
        ),
        (layer("GRU", 99999, input_shapes=[[5, 2, 3]], hidden_size=4), [2, 7, 12, 5, 1, 1]),
    ],
)
def test_products_of_layers(given_layer: Layer, expected: list[float]) -> None:
    assert sizes(given_layer) == expected


@pytest.mark.parametrize(
    ("given_layer", "macs"),
    [
        (Layer(name="x", op="Conv", flops=50), 25),
        (Layer(name="x", flops=50), 25),
        (layer("Softmax", 50, input_shapes=[[1, 10]], output_shapes=[[1, 10]]), 0),
        (layer("Attention", 50, input_shapes=[[1, 10]], output_shapes=[[1, 10]]), 25),
        # Several products in one layer, another domain, less work than the shapes say, shapes that make no sense.
        (conv(fused=["Conv", "Relu"]), 16 * 72 * 30),
        (conv(domain="example.org"), 16 * 72 * 30),
        (conv(input_shapes=[[1, 8, 90, 110]]), 16 * 72 * 30),
        (conv(weight_shape=[16, 8]), 16 * 8 * 30),
        (conv(strides=[0, 0]), 16 * 72 * 30),
        (conv(pads="none"), 16 * 72 * 30),
        (conv(group=3), 16 * 72 * 30),
        (conv(input_shapes=[None]), 16 * 72 * 30),
    ],
)
def test_layers_of_unknown_shape_count_half_their_operations(given_layer: Layer, macs: float) -> None:
    work = work_of(Model(name="net", layers=(given_layer,)))
    assert not work.is_product[0]
    assert np.isnan([work.m[0], work.k[0], work.n[0]]).all()
    assert work.macs[0] == macs
    array = SystolicArray(4, 4, clock=1)
    expected = math.ceil(macs / 16) if macs else math.ceil(50 / 4)
    assert array.cycles(work)[0] == expected
    assert array.mapping_efficiency(work)[0] == 1


def test_bytes_are_those_of_the_cost_model() -> None:
    instance = h2h_instance("cnn-lstm" if "cnn-lstm" in MODELS else next(iter(MODELS)), 0.5, cross=True)
    model = instance.models[0]
    work = work_of(model)
    touched = bytes_touched(model)
    assert (work.input_bytes + work.output_bytes).tolist() == [touched[x.name] for x in model.layers]
    assert work.weight_bytes.tolist() == [x.weight_bytes for x in model.layers]
    assert (work.macs == work.flops / 2).all()
    assert work.is_product.all()


def test_products_given_by_their_sizes() -> None:
    work = work_of_gemms([10, 20], 3, [5, 7], groups=[1, 2], bytes=2)
    assert len(work) == 2
    assert work.macs.tolist() == [150, 840]
    assert work.input_bytes.tolist() == [60, 240]
    assert work.weight_bytes.tolist() == [30, 84]
    assert work.output_bytes.tolist() == [100, 560]
    assert work.dtypes == ("float16", "float16")
    for bad in ((0, 1, 1), (np.nan, 1, 1), ([[1]], 1, 1)):
        with pytest.raises(InputError, match="sizes of products"):
            work_of_gemms(*bad)
    assert len(work_of(Model(name="empty"))) == 0
    assert [dtype_bytes(name) for name in ("bfloat16", "float4e2m1", "complex64", "generic")] == [
        2,
        0.5,
        8,
        4,
    ]


def test_networks_in_onnx_files() -> None:
    pytest.importorskip("onnx")
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx

    path = light_network_paths()["squeezenet"]
    model, _ = read_onnx(path)
    work = work_of(model)
    products = np.array([op in ("Conv", "Gemm") for op in work.ops])
    assert products.sum() == 26
    assert (work.is_product == products).all()
    # Beside the products there are activations (at most 4 operations an element) and pooling.
    assert (2 * work.macs <= work.flops).all()
    assert 2 * work.macs.sum() > 0.98 * work.flops.sum()
    assert (work.macs[~products] == 0).all()
    coarse, _ = read_onnx(path, coarsen=True)
    assert not work_of(coarse).is_product.all()
    assert 2 * work_of(coarse).macs.sum() >= 0.98 * work.flops.sum()
    assert np.isfinite(SystolicArray(32, 32).latency(work_of(coarse), np.array([1, 8]))).all()


# -- rooflines -----------------------------------------------------------------------------------------------


def test_the_roofline_is_that_of_the_cost_model() -> None:
    layers = (
        conv("a"),
        layer("Softmax", 0, output_shapes=[[1, 3]]),
        Layer(name="c", flops=1e6, weight_bytes=99),
    )
    model = Model(
        name="net", layers=layers, tensors=(Tensor(name="t", source="a", targets=("x", "c"), bytes=4000),)
    )
    efficiency = {"Conv": 0.5, "*": 0.25}
    device = Device(name="d", peak_flops={"*": 1e9}, overhead=1e-6, efficiency=efficiency)
    memory = Memory(name="m", bandwidth=1e8)
    for batch in (1, 3):
        expected, _ = compute_costs(model, device, "d", memory, batch, ({}, {}))
        roofline = Roofline(1e9, 1e8, 1e-6, efficiency)
        np.testing.assert_allclose(roofline.latency(work_of(model), batch), expected, rtol=1e-12)


def test_the_refined_roofline_by_hand() -> None:
    work = work_of(Model(name="net", layers=(conv(),)))  # 5 x 6 pixels, 8 channels, 16 filters
    unroll = (Unroll("filters", 12, 0.5), Unroll("channels", 16), Unroll("height", 4, 1), Unroll("m", 16))
    model = RefinedRoofline(1e9, unroll=unroll)
    # filters: 16 of 24, softened 1 / (0.5 + 0.5 x 1.5); channels: 8 of 16; height: 5 of 8; m: 30 of 32.
    share = 0.8 * 0.5 * 0.625 * 30 / 32
    assert model.unrolling_efficiency(work)[0] == pytest.approx(share)
    assert model.latency(work)[0] == pytest.approx(2 * 16 * 72 * 30 / (1e9 * share))
    # Two samples: m is 60 of 64; m of 5 is 150 of 160.
    assert model.unrolling_efficiency(work, [2, 5])[0].tolist() == pytest.approx([share, share])
    unknown_shape = work_of(Model(name="net", layers=(Layer(name="x", op="Conv", flops=50),)))
    assert model.unrolling_efficiency(unknown_shape)[0] == 1
    dpu = ANNETTE_DNNDK.unrolling_efficiency(work)[0]
    assert dpu == pytest.approx(0.5 / ((1 - 0.486) + 0.486 / 0.625))


# -- systolic arrays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataflow", "once", "folded", "share"),
    [
        ("os", 4 * 2 * (64 + 62), 7 * 2 * (64 + 62), 100 * 40 / (8 * 1024)),
        ("ws", 2 * 2 * (100 + 94), 2 * 2 * (200 + 94), 64 * 40 / (4 * 1024)),
        ("is", 2 * 4 * (40 + 94), 2 * 7 * (40 + 94), 64 * 100 / (8 * 1024)),
    ],
)
def test_systolic_cycles_by_hand(dataflow: Any, once: float, folded: float, share: float) -> None:
    array = SystolicArray(32, 32, dataflow, clock=2e9, overhead=1e-6)
    assert array.cycles(ONE).tolist() == [once]
    assert array.cycles(ONE, [1, 2]).tolist() == [[once, folded]]
    assert array.mapping_efficiency(ONE)[0] == share
    assert array.utilisation(ONE)[0] == 100 * 64 * 40 / (1024 * once)
    assert array.latency(ONE)[0] == once / 2e9 + 1e-6
    apart = SystolicArray(32, 32, dataflow, fold_batch=False)
    assert apart.cycles(ONE, [1, 2]).tolist() == [[once, 2 * once]]
    assert array.cycles(work_of_gemms(100, 64, 40, groups=3))[0] == 3 * once


def test_a_slow_memory_is_the_limit() -> None:
    array = SystolicArray(32, 32, bandwidth=1e6)
    moved = 4 * (64 * 40 + 2 * (100 * 64 + 100 * 40))
    assert array.latency(ONE, 2)[0] == pytest.approx(moved / 1e6)


def test_products_of_two_inputs_are_not_folded() -> None:
    scores = layer("MatMul", 2 * 12 * 60, input_shapes=[[12, 3, 4], [12, 4, 5]], output_shapes=[[12, 3, 5]])
    work = work_of(Model(name="net", layers=(scores,)))
    one, three = SystolicArray(4, 4).cycles(work, [1, 3])[0]
    assert one == 12 * 1 * 2 * (4 + 6)
    assert three == 3 * one


def test_a_composed_array_takes_the_best_shape() -> None:
    work = work_of_gemms([1024, 8, 64], 64, [8, 1024, 64])
    array = composed(SystolicArray(32, 32))
    assert array.shapes == ((16, 64), (32, 32), (64, 16))
    assert array.choice(work).tolist() == [2, 0, 1]
    parts = np.array([part.cycles(work, [1, 9]) for part in array.arrays()])
    assert (array.cycles(work, [1, 9]) == parts.min(axis=0)).all()
    assert (array.latency(work, [1, 9]) == parts.min(axis=0) / 1e9).all()
    assert composed(SystolicArray(7, 8)).shapes == ((7, 8), (14, 4))
    assert composed(SystolicArray(4, 4), ((2, 8),)).shapes == ((2, 8),)
    # A small batch of a dense layer fills a flat array, a large one a square array.
    dense = work_of_gemms(1, 512, 2048)
    assert array.choice(dense, [1, 16, 32, 64]).tolist() == [[0, 0, 1, 1]]


SCALESIM = data_folder() / "scalesim"


def scalesim_rows(name: str) -> list[dict[str, str]]:
    with (SCALESIM / name).open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, skipinitialspace=True) if any(row.values())]


def topology(network: str) -> Work:
    """The layers of a topology; SCALE-Sim rounds the output grid up, which is padding at its end."""
    layers = []
    for row in scalesim_rows(f"topologies_clean/{network}.csv"):
        height, width, rows, columns, channels, filters, stride = (int(row[c]) for c in list(row)[1:8])
        grid = [-(-(size - k + stride) // stride) for size, k in ((height, rows), (width, columns))]
        around = [
            (g - 1) * stride + k - s for g, k, s in zip(grid, (rows, columns), (height, width), strict=True)
        ]
        shape = conv(
            row["Layer name"],
            input_shapes=[[1, channels, height, width]],
            kernel=[rows, columns],
            strides=[stride, stride],
            pads=[0, 0, *around],
            weight_shape=[filters, channels, rows, columns],
        )
        flops = 2 * math.prod(grid) * rows * columns * channels * filters
        layers.append(Layer(name=shape.name, op="Conv", flops=flops, attributes=shape.attributes))
    return work_of(Model(name=network, layers=tuple(layers)))


@needs_data("scalesim")
@pytest.mark.parametrize("network", ["alexnet", "mobilenet", "Resnet50"])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_cycles_are_those_of_scalesim(network: str, dataflow: Any) -> None:
    rows = scalesim_rows("scalesim_compute_cycles_32x32.csv")
    rows = [row for row in rows if (row["network"], row["dataflow"]) == (network, dataflow)]
    work = topology(network)
    assert len(rows) == len(work)
    for column, found in (
        ("M_ofmap_px", work.m),
        ("K_window", work.k),
        ("N_filters", work.n),
        ("macs", work.macs),
    ):
        assert found.tolist() == [float(row[column]) for row in rows]
    array = SystolicArray(32, 32, dataflow)
    cycles = array.cycles(work)
    assert cycles.tolist() == [float(row["formula_cycles"]) for row in rows]
    run = [i for i, row in enumerate(rows) if row["scalesim_cycles"]]
    assert cycles[run].tolist() == [float(rows[i]["scalesim_cycles"]) for i in run]
    # Its utilisation of weight and input stationary arrays counts 31 cycles a fold more than its cycles do.
    down, across = {"os": (work.m, work.n), "ws": (work.k, work.n), "is": (work.k, work.m)}[dataflow]
    longer = 0 if dataflow == "os" else 31 * np.ceil(down / 32) * np.ceil(across / 32)
    for column, share in (
        ("mapping_eff_pct", array.mapping_efficiency(work)),
        ("compute_util_pct", array.utilisation(work) * cycles / (cycles + longer)),
    ):
        stated = [float(rows[i][column]) for i in run]
        np.testing.assert_allclose(100 * share[run], stated, rtol=0, atol=5.1e-5)
    totals = scalesim_rows("scalesim_totals_32x32.csv")
    (total,) = [row for row in totals if (row["network"], row["dataflow"]) == (network, dataflow)]
    assert int(total["layers"]) == len(work)
    assert int(total["layers_simulated_by_scalesim"]) == len(run)
    assert cycles.sum() == int(total["total_cycles_formula"])
    assert work.macs.sum() == int(total["total_macs"])
    assert f"{100 * work.macs.sum() / (1024 * cycles.sum()):.2f}" == total["util_pct_of_1024_macs"]


@needs_data("scalesim")
def test_all_rows_of_scalesim_are_compared() -> None:
    rows = scalesim_rows("scalesim_compute_cycles_32x32.csv")
    assert len(rows) == 3 * (5 + 27 + 54)
    assert sum(bool(row["scalesim_cycles"]) for row in rows) == 202
    folder = SCALESIM / "topologies_clean"
    for path in sorted(folder.glob("*.csv")):
        work = topology(path.stem)
        assert work.is_product.all(), path.stem
        assert len(work) == len(scalesim_rows(f"topologies_clean/{path.name}"))


@needs_data("scalesim")
def test_depthwise_layers_of_mobilenet_use_one_column() -> None:
    work = topology("mobilenet")
    depthwise = work.n == 1
    assert depthwise.sum() == 13
    assert (SystolicArray(32, 32, "os").mapping_efficiency(work)[depthwise] <= 1 / 32).all()


@needs_data("fluid")
@needs_data("scalesim")
@pytest.mark.parametrize(
    ("file", "dataflow"),
    [("derived_resnet50_batch_cycles.csv", "os"), ("derived_resnet50_batch_cycles_ws.csv", "ws")],
)
def test_batches_of_resnet_50(file: str, dataflow: Any) -> None:
    work = topology("Resnet50")
    with (data_folder() / "fluid" / file).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))
    assert len(rows) > 10
    for rows_, columns, batch, *rest in rows[1:]:
        array = SystolicArray(int(rows_), int(columns), dataflow)
        apart = SystolicArray(int(rows_), int(columns), dataflow, fold_batch=False)
        both = {float(model.cycles(work, int(batch)).sum()) for model in (array, apart)}
        assert both == {float(rest[0]), float(rest[1])}


# -- FPGA, microcontrollers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(MODELS))
def test_fpga_models_are_the_h2h_suite(name: str) -> None:
    instance = h2h_instance(name, 0.5)
    (model,) = instance.models
    devices = {accelerator.name: fpga_of(accelerator) for accelerator in ACCELERATORS}
    assert cost_tables(model, devices) == instance.costs.latency[model.name]


def test_fpga_by_hand() -> None:
    # 10^8 numbers/s, 10^9 operations/s; 16 x 28 pixels are two tiles, 40 filters two, 33 channels two.
    fpga = Fpga("Conv", 1, 100, 32, overhead=1)
    work = work_of(
        Model(
            name="net",
            layers=(
                layer("Conv", 1e12, output=[40, 16, 28], input=33, kernel=3),
                layer("Conv", 5e9),
                layer("Gemm", 2 * 35, output=[5], input=7),
            ),
        )
    )
    weights = 32 * 32 * 9
    tile = (weights + 32 * 256) / 1e8 + 2 * 16 * 14 * weights / 1e9
    expected = 2 * 2 * (2 * tile + 32 * 16 * 14 / 1e8)
    assert fpga.latency(work).tolist() == pytest.approx([expected + 1, 6, math.inf])
    assert fpga.latency(work, [1, 3])[0].tolist() == pytest.approx([expected + 1, 3 * expected + 1])
    assert Fpga("Gemm", 1, 100, 32).latency(work)[2] == pytest.approx((35 + 7) / 1e8)
    # Kernels that are not square, and groups.
    long = conv(kernel=[1, 7], weight_shape=[16, 8, 1, 7], pads=[0, 3, 0, 3], strides=[2, 2])
    grouped = conv(group=2, weight_shape=[16, 4, 3, 3])
    seconds = Fpga("Conv", 1, 100, 32).latency(work_of(Model(name="net", layers=(long, grouped))))
    seven = (1024 * 7 + 8192) / 1e8 + 2 * 224 * 1024 * 7 / 1e9 + 7168 / 1e8
    assert seconds.tolist() == pytest.approx([seven, 2 * (tile + 7168 / 1e8)])


def test_mcu_by_hand() -> None:
    rates: dict[str, dict[str, float]] = {"Conv": {"int8": 1, "*": 3}, "Gemm": {"*": 2}}
    quantised = Layer(
        name="q", op="Conv", flops=2000, weight_bytes=400, attributes={"dtype": "int8", "output_shapes": []}
    )
    layers = (
        Layer(name="a", op="Conv", flops=2000, weight_bytes=400),
        quantised,
        layer("Relu", 70, output_shapes=[[70]]),
        Layer(name="t", op="LSTM", flops=2),
    )
    work = work_of(Model(name="net", layers=layers))
    assert Mcu(1e3, rates).latency(work).tolist() == [3, 1, pytest.approx(0.07), math.inf]
    outside = Mcu(1e3, rates, external_bandwidth=200, overhead=0.5)
    assert outside.latency(work).tolist() == [5.5, 3.5, pytest.approx(0.57), math.inf]
    assert Mcu(1e3, rates, external_bandwidth=200, overlap=True).latency(work).tolist() == [
        3,
        2,
        0.07,
        math.inf,
    ]
    # Weights come once for a batch.
    assert outside.latency(work, [1, 4])[0].tolist() == [5.5, 14.5]
    assert Mcu(1e3, {"*": {"*": 1}}, 0).latency(work)[2:].tolist() == [0, 0.001]


# -- energy --------------------------------------------------------------------------------------------------


def test_energy_by_hand() -> None:
    macs = 100 * 64 * 40
    once = 4 * (100 * 64 + 64 * 40 + 100 * 40)
    figures = EnergyFigures({"float32": 2, "*": 1}, l1=3, l2=5, dram=7)
    assert energy(ONE, figures=figures)[0] == 2 * macs + 3 * 12 * macs + 12 * once
    two = once + 4 * (100 * 64 + 100 * 40)
    assert energy(ONE, [1, 2], figures)[0, 1] == 2 * (2 * macs + 36 * macs) + 12 * two
    assert energy(ONE)[0] == pytest.approx(
        1e-12 * (4.6 * macs + 1.25 * 12 * macs + 12.5 * once + 162.5 * once)
    )
    int8 = work_of_gemms(100, 64, 40, bytes=1)
    moved = 3 * 1.68 * macs + 18.61 * (6400 + 2560 + 4000)
    assert energy(int8, figures=MAESTRO)[0] == pytest.approx(0.23e-12 * (macs + moved))
    assert energy(int8, figures=in_mac_units(1, l1=0, l2=0, dram=200))[0] == macs + 200 * 12960


@pytest.mark.parametrize(
    ("dataflow", "numbers"),
    [
        ("os", 6400 * 2 + 2560 * 4 + 4000),
        ("ws", 6400 * 2 + 2560 + 4000 * 3),
        ("is", 6400 + 2560 * 4 + 4000 * 3),
    ],
)
def test_what_an_array_streams(dataflow: Any, numbers: float) -> None:
    array = SystolicArray(32, 32, dataflow)
    assert traffic(ONE, 1, array).l2.tolist() == [[4 * numbers]]
    apart = SystolicArray(32, 32, dataflow, fold_batch=False)
    assert traffic(ONE, [1, 3], apart).l2.tolist() == [[4 * numbers, 12 * numbers]]
    assert energy(ONE, array=array)[0] > energy(ONE)[0]


# -- what holds for all --------------------------------------------------------------------------------------

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


# -- records and tables --------------------------------------------------------------------------------------

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


def test_many_batches_of_a_network_take_little_time() -> None:
    work = work_of_gemms(*np.random.default_rng(0).integers(1, 500, (3, 64)))
    array = SystolicArray(32, 32, bandwidth=1e10)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        seconds = array.latency(work, np.arange(1, 129))
        taken.append(time.perf_counter() - start)
    assert seconds.shape == (64, 128)
    assert seconds.size / min(taken) > 200_000
