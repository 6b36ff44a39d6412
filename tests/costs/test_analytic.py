"""Analytic models by hand: the work of layers, rooflines, FPGAs, microcontrollers, energy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dnnplan.costs.analytic import (
    ANNETTE_DNNDK,
    MAESTRO,
    EnergyFigures,
    Fpga,
    Mcu,
    RefinedRoofline,
    Roofline,
    SystolicArray,
    Unroll,
    cost_tables,
    energy,
    fpga_of,
    in_mac_units,
    traffic,
    work_of,
    work_of_gemms,
)
from dnnplan.costs.analytic.work import dtype_bytes
from dnnplan.costs.compute import bytes_touched, compute_costs
from dnnplan.instances import Device, Layer, Memory, Model, Tensor
from dnnplan.instances.errors import InputError
from dnnplan.instances.h2h import MODELS, h2h_instance
from dnnplan.instances.h2h.accelerators import ACCELERATORS
from tests.support.layers import conv, layer

ONE = work_of_gemms(100, 64, 40)
"""One product: 100 x 64 by 64 x 40."""


def sizes(layer: Layer) -> list[float]:
    """m, k, n, groups, width, taps of one layer."""
    work = work_of(Model(name="net", layers=(layer,)))
    return [float(v[0]) for v in (work.m, work.k, work.n, work.groups, work.width, work.taps)]


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
