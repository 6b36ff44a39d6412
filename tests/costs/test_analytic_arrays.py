"""Systolic arrays: cycles by hand, and those of SCALE-Sim."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest

from dnnplan.costs.analytic import (
    SystolicArray,
    composed,
    work_of,
    work_of_gemms,
)
from dnnplan.instances import Model
from tests.support.data import data_folder, needs_data
from tests.support.layers import layer
from tests.support.scalesim import SCALESIM, scalesim_rows, topology

ONE = work_of_gemms(100, 64, 40)
"""One product: 100 x 64 by 64 x 40."""


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


@needs_data("scalesim")
@pytest.mark.parametrize("network", ["alexnet", "mobilenet", "Resnet50"])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_cycles_are_those_of_scalesim(network: str, dataflow: Any) -> None:
    rows = scalesim_rows("scalesim_compute_cycles_32x32.csv")
    rows = [row for row in rows if (row["network"], row["dataflow"]) == (network, dataflow)]
    work = work_of(topology(network))
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
        work = work_of(topology(path.stem))
        assert work.is_product.all(), path.stem
        assert len(work) == len(scalesim_rows(f"topologies_clean/{path.name}"))


@needs_data("scalesim")
def test_depthwise_layers_of_mobilenet_use_one_column() -> None:
    work = work_of(topology("mobilenet"))
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
    work = work_of(topology("Resnet50"))
    with (data_folder() / "fluid" / file).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))
    assert len(rows) > 10
    for rows_, columns, batch, *rest in rows[1:]:
        array = SystolicArray(int(rows_), int(columns), dataflow)
        apart = SystolicArray(int(rows_), int(columns), dataflow, fold_batch=False)
        both = {float(model.cycles(work, int(batch)).sum()) for model in (array, apart)}
        assert both == {float(rest[0]), float(rest[1])}
