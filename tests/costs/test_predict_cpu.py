"""Networks on CPUs: what they are made of, models from latencies end to end alone, files, protocol, command."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dnnplan.costs import predict as pr
from dnnplan.costs.predict import whole_fit
from dnnplan.instances.errors import FormatError, InputError
from tests.support.data import data_folder, needs_data

QED = "latency/qed_usc_mobile_ml_benchmark"
TARGET = "phone|1large1med|quant"
HEAD = "model,operation,feature,phone|gpu|float,phone|gpu|kernel"


def row(network, kind, text, size, channels, output, stride=1, kernel=1, filters="-", groups=1):
    values = (size, channels, output, stride, kernel, filters, groups, "-")
    names = ("Input_shape", "Input_channel", "Output_shape", "Stride", "Kernel", "Filter", "Group", "FLOPS")
    feature = dict(zip(names, map(str, values), strict=True))
    return f'{network},{kind},"{feature}",,{text}'


def write(path, lines):
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def graph(tmp_path, *rows):
    return pr.read_qed_usc_graphs(write(tmp_path / "graph.csv.gz", [HEAD, *rows]))


def column(design, name):
    return design.work[:, design.terms.index(name)].tolist()


def test_what_a_cpu_runs(tmp_path):
    ops = graph(
        tmp_path,
        # Node 0 pads; 3 to 6 are multiply, add, relu and a padding without rows of their own.
        row("a", "CONV_2D", "convolution_2d_1_linked_:_relu_2", 226, 3, 112, 2, 3, 10),
        row("a", "DEPTHWISE_CONV_2D", "depthwise_convolution_7_linked_:_hard_swish_8", 114, 10, 112, 1, 3, 1),
        row("a", "CONV_2D", "convolution_2d_9_linked_:_add_10_linked_:_relu_11", 112, 10, 112, 1, 1, 12),
        row("a", "MEAN", "mean_12", 112, 12, 12, "-", 0),
        row("a", "CONV_2D", "fully_connected_13", 1, 12, 1, 1, 1, 20),
        row("b", "CONV_2D_GROUP", "", 8, 16, 8, 1, 3, 16, 4),
    )
    assert np.isnan(ops.latency).all()
    design = pr.cpu_design(ops)
    assert design.group.tolist() == ["stem", "depthwise3", "point", "mean", "connected", "grouped"]
    assert column(design, "pad.one") == [1, 1, 0, 0, 0, 0]
    assert column(design, "pad.in")[:2] == [3 * 226**2, 10 * 114**2]
    assert column(design, "hidden.one") == [0, 2, 0, 0, 0, 0]
    assert column(design, "hidden.in")[1] == 2 * 10 * 112**2
    assert column(design, "fused.other") == [0, 10 * 112**2, 0, 0, 0, 0]
    assert column(design, "fused.add") == [0, 0, 12 * 112**2, 0, 0, 0]
    # 12544 pixels are 2091 tiles of 6, 12 filters two of 8.
    assert column(design, "point.tiles")[2] == 2 * 2091 * 6 * 16 * 10
    assert column(design, "connected.weights")[4] == 12 * 20
    assert column(design, "grouped.flops")[5] == 2 * 16 * 64 * 9 * 4


def networks_of(rng, count=40):
    lines = []
    for n in range(count):
        for at in range(int(rng.integers(6, 14))):
            size, cin, cout = (int(rng.choice(c)) for c in ([7, 14, 28], [16, 32, 64, 96], [32, 64, 128]))
            kernel = int(rng.choice([1, 3]))
            text = f"convolution_2d_{at}"
            lines.append(row(f"n{n:02}", "CONV_2D", text, size, cin, size, 1, kernel, cout))
    return lines


@pytest.fixture
def law(tmp_path):
    """Networks whose seconds are 1 ms + 0.1 ms an operator + tiles / (10 GFLOP/s)."""
    ops = graph(tmp_path, *networks_of(np.random.default_rng(0)))
    design = pr.cpu_design(ops)
    cost = 1e-4 + 1e-10 * sum(np.array(column(design, f"{name}.tiles")) for name in ("point", "conv3"))
    names, at = np.unique(ops.network, return_inverse=True)
    return ops, design, names, at, cost


def test_the_line_finds_the_law(law):
    ops, design, names, at, cost = law
    seconds = 1e-3 + np.bincount(at, cost)
    seconds[::9] *= 1.5
    model = pr.fit_whole(design, ops.network, names[:30], seconds[:30], "linear")
    clean = 1e-3 + np.bincount(at, cost)
    assert np.abs(model.predict(design, ops.network, names) / clean - 1).max() < 0.05
    assert model.kind == "linear"
    assert len(model.weights) == 0


def test_shapes_find_what_the_line_cannot(law):
    ops, design, names, at, cost = law
    wide = design.values[:, design.names.index("filters")] == 7
    seconds = 1e-3 + np.bincount(at, np.where(wide, 1.5, 1) * cost)
    errors = {}
    for kind in ("linear", "shapes", "auto"):
        model = pr.fit_whole(design, ops.network, names[:30], seconds[:30], kind)
        found = model.predict(design, ops.network, names[30:])
        errors[kind] = np.abs(found / seconds[30:] - 1).mean()
    assert errors["shapes"] < 0.7 * errors["linear"]
    assert errors["auto"] == errors["shapes"]
    bound = model.predict(design, ops.network, names[30:], quantile=0.9)
    assert (bound > found).all()
    with pytest.raises(InputError, match="quantile"):
        model.predict(design, ops.network, names, quantile=1.0)
    # Operators of networks that are not asked for do not count.
    alone = model.predict(design, ops.network, names[[33]])
    assert alone == pytest.approx(found[3:4])


def test_kriging_without_a_common_part_is_least_squares():
    rng = np.random.default_rng(1)
    relative = rng.uniform(0.1, 1, (40, 3))
    relative /= (relative @ [1.0, 2.0, 0.5])[:, None]
    found, dual = whole_fit._kriging(relative, np.zeros((40, 40)))
    assert found == pytest.approx([1, 2, 0.5], rel=1e-2)
    assert np.abs(dual).max() < 0.01 / whole_fit.NOISE**2


def test_bad_input_is_refused(law):
    ops, design, names, _, _ = law
    with pytest.raises(InputError, match="model of networks"):
        pr.fit_whole(design, ops.network, names, np.ones(40), "boosting")
    with pytest.raises(InputError, match="networks to train on"):
        pr.fit_whole(design, ops.network, names[:5], np.ones(5))
    with pytest.raises(InputError, match="no operator"):
        pr.fit_whole(design, ops.network, np.append(names[1:], "other"), np.ones(40))
    model = pr.fit_whole(design, ops.network, names, np.ones(40), "linear")
    with pytest.raises(InputError, match="columns"):
        model.operators(pr.qed_usc_design(ops))


@pytest.mark.parametrize("kind", ["linear", "shapes"])
def test_files_of_networks(law, tmp_path, kind):
    ops, design, names, at, cost = law
    model = pr.fit_whole(design, ops.network, names, 1e-3 + np.bincount(at, cost), kind)
    path = tmp_path / "model.json"
    assert pr.save_whole(model, path) == path.stat().st_size
    again = pr.load_whole(path)
    for quantile in (None, 0.9):
        ours = model.predict(design, ops.network, names, quantile=quantile)
        assert (again.predict(design, ops.network, names, quantile=quantile) == ours).all()


def test_damaged_files_of_networks(law, tmp_path):
    ops, design, names, at, cost = law
    path = tmp_path / "model.json"
    pr.save_whole(pr.fit_whole(design, ops.network, names, 1e-3 + np.bincount(at, cost), "shapes"), path)
    good = json.loads(path.read_text())
    wrong = (
        {"version": "2"},
        {"kind": "boosting"},
        {"coefficients": [1.0]},
        {"coefficients": [-1.0, *good["coefficients"][1:]]},
        {"group": [-1, *good["group"][1:]]},
        {"group": [99, *good["group"][1:]]},
        {"weights": []},
        {"weights": None},
        {"shapes": [[1.0], *good["shapes"][1:]]},
        {"residuals": []},
        {"residuals": [1.0, 0.0]},
        {"overhead": -1.0},
        {"more": 1},
    )
    for change in wrong:
        path.write_text(json.dumps(good | change))
        with pytest.raises(FormatError):
            pr.load_whole(path)
    for raw in (b"\x80\x04pickle", b"[" * 9999, json.dumps(good | {"overhead": 1e999}).encode(), b""):
        path.write_bytes(raw)
        with pytest.raises(FormatError):
            pr.load_whole(path)


@pytest.fixture
def tables(law, tmp_path):
    *_, names, at, cost = law
    seconds = 1e-3 + np.bincount(at, cost)
    lines = [f"{name},{1e6 * value}" for name, value in zip(names, seconds, strict=True)]
    # Not measured, and not in the table of operators.
    lines[3] = f"{names[3]},"
    return tmp_path / "graph.csv.gz", write(tmp_path / "e2e.csv.gz", [f"model,{TARGET}|mean", *lines, "x,1"])


def test_settings(tables):
    found = pr.evaluate_cpu_settings(*tables, train_networks=30, seeds=2, kind="linear")
    assert list(found["settings"]) == [TARGET]
    assert found["worst"] == TARGET
    assert found["median_mape"] == found["worst_mape"] < 1
    one = found["settings"][TARGET]
    assert (one["networks"], one["op_mape"]) == (39, None)
    with pytest.raises(InputError, match="no setting of mi8se"):
        pr.evaluate_cpu_settings(*tables, ["mi8se"])


def test_command_for_a_cpu(tables):
    from dnnplan.cli.app import app

    arguments = [
        "evaluate-predictor",
        "--layout",
        "qed-usc",
        "--ops",
        str(tables[0]),
        "--end-to-end",
        str(tables[1]),
    ]
    arguments += ["--target", TARGET, "--train-networks", "30", "--seeds", "1"]
    done = CliRunner().invoke(app, [*arguments, "--model", "auto", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["op_mape"] is None
    assert found["e2e_mape"] < 1
    assert {"hit_5", "hit_10", "r2", "coverage_90", "predictions_per_second", "bytes"} <= set(found)
    assert "mean" in CliRunner().invoke(app, [*arguments, "--model", "linear"]).stdout
    assert CliRunner().invoke(app, [*arguments, "--model", "boosting"]).exit_code == 2


@needs_data(QED)
def test_settings_of_phones():
    folder = data_folder() / QED
    found = pr.evaluate_cpu_settings(
        folder / "tflite_cnn_ops_gpu.csv.gz",
        folder / "tflite_cnn_e2e.csv.gz",
        targets=["mi8se|1large|float", "iphonexs|1small|quant"],
        seeds=1,
        kind="linear",
    )
    assert found["worst_mape"] < 3
    assert found["settings"]["mi8se|1large|float"]["bytes"] < 1e5
