"""Latency predictors: readers, kernel rules, regressions and their files, composition, protocol, command."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dnnplan.costs import predict as pr
from dnnplan.costs.predict import forests, linear, tables
from dnnplan.costs.predict.by_operator import _held_out
from dnnplan.costs.predict.choice import network_folds, out_of_fold
from dnnplan.costs.predict.evaluate import share_weights
from dnnplan.costs.predict.mlp import fit_perceptron
from dnnplan.instances.errors import FormatError, InputError
from tests.support.data import data_folder, needs_data

QED = "latency/qed_usc_mobile_ml_benchmark"
TARGET = "mi8se|gpu|float"


def qed_row(network, kind, size, channels, out, stride, kernel, filters, groups, latency, text):
    feature = {
        "Input_shape": str(size),
        "Input_channel": channels,
        "Output_shape": str(out),
        "Stride": str(stride),
        "Kernel": str(kernel),
        "Filter": str(filters),
        "Group": str(groups),
        "FLOPS": "-",
    }
    return f'{network},{kind},"{feature}",{latency},{text}'


HEAD = f"model,operation,feature,{TARGET},mi8se|gpu|kernel"


def write(path, lines):
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


@pytest.fixture
def synthetic(tmp_path):
    """Tables of 16 networks whose latency follows a law: overhead, kernels, operators."""
    rng = np.random.default_rng(0)
    rows, networks = [HEAD], ["model,FLOPS,size,mi8se|gpu|float|mean"]
    for n in range(16):
        total, count = 0.0, int(rng.integers(8, 20))
        for _ in range(count):
            size, cin, cout = (int(rng.choice(c)) for c in ([7, 14, 28, 56], [16, 32, 64, 96], [32, 64, 128]))
            kernel = int(rng.choice([1, 3]))
            latency = 8 + size**2 * cin * cout * kernel**2 * 2e-6
            total += latency
            text = "convolution_2d_0_linked_:_relu_1"
            rows.append(qed_row(f"n{n}", "CONV_2D", size, cin, size, 1, kernel, cout, 1, latency, text))
        networks.append(f"n{n},1,1,{500 + 12 * count + 1.05 * total}")
    return write(tmp_path / "ops.csv.gz", rows), write(tmp_path / "e2e.csv.gz", networks)


def test_units_and_missing_values(tmp_path):
    row = qed_row("net", "MEAN", 7, 64, 64, "-", 0, "-", "-", 12.5, "mean_3")
    ops = pr.read_qed_usc(write(tmp_path / "t.csv.gz", [HEAD, row]), TARGET)
    assert ops.latency == pytest.approx([12.5e-6])
    assert np.isnan(ops.columns["Stride"]).all()
    design = pr.qed_usc_design(ops)
    at = dict(zip(design.names, design.values[0], strict=True))
    # The tables write the channels of a mean into Output_shape.
    assert (at["output"], at["filters"], at["kernel"], at["kernel_mean"]) == (1, 64, 7, 1)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("__import__('os').system('false')", "expected the keys"),
        ("{'Input_shape': 1}", "expected the keys"),
        ("(" * 900, "expected the keys"),
        ("x" * 2000, "longer than"),
    ],
)
def test_hostile_features_are_refused(tmp_path, feature, message):
    path = write(tmp_path / "t.csv.gz", [HEAD, f'net,MEAN,"{feature}",1,mean_1'])
    with pytest.raises(FormatError, match=message):
        pr.read_qed_usc(path, TARGET)


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    good = qed_row("net", "MEAN", 7, 64, 64, "-", 0, "-", "-", 12.5, "mean_3")
    path = write(tmp_path / "t.csv.gz", [HEAD, good])
    with pytest.raises(InputError, match="target"):
        pr.read_qed_usc(path, "mi8s|gpu|float")
    for value in ("nan", "0", "-1", "inf"):
        bad = write(tmp_path / "bad.csv.gz", [HEAD, good.replace("12.5", value)])
        with pytest.raises(FormatError, match="above 0"):
            pr.read_qed_usc(bad, TARGET)
    (tmp_path / "cut.csv.gz").write_bytes(path.read_bytes()[:-12])
    with pytest.raises(FormatError, match="damaged"):
        pr.read_qed_usc(tmp_path / "cut.csv.gz", TARGET)
    (tmp_path / "lfs.csv.gz").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(FormatError, match="LFS"):
        pr.read_qed_usc(tmp_path / "lfs.csv.gz", TARGET)
    with pytest.raises(FormatError, match="cells"):
        pr.read_qed_usc(write(tmp_path / "short.csv.gz", [HEAD, "a,b"]), TARGET)
    monkeypatch.setattr(tables, "MAX_ROWS", 0)
    with pytest.raises(FormatError, match="rows"):
        pr.read_qed_usc(path, TARGET)
    monkeypatch.setattr(tables, "MAX_BYTES", 100)
    with pytest.raises(FormatError, match="larger"):
        pr.read_qed_usc(path, TARGET)


@needs_data(QED)
@pytest.mark.parametrize("phone", ["pixel4", "mi8se", "iphonexs"])
def test_kernel_rule_agrees_with_every_row(phone):
    ops = pr.read_qed_usc(data_folder() / QED / "tflite_cnn_ops_gpu.csv.gz", f"{phone}|gpu|float")
    found = pr.rule_set("tflite-2.10-gpu").classes(ops, pr.PHONES[phone])
    assert (ops.kind == "CONV_2D").sum() == 3801
    assert (found == pr.kernel_classes(ops.kernel)).all()


def test_kernel_rule_at_its_limits():
    def kernel(family, cin=128, cout=128, size=48, k=3, stride=1, groups=1):
        numbers = {"size": size, "channels": cin, "output_size": size, "filters": cout, "kernel": k}
        numbers |= {"stride": stride, "groups": groups}
        columns = {name: np.array([float(value)]) for name, value in numbers.items()}
        return str(pr.rule_set("tflite-2.10-gpu").convolution(**columns, family=family)[0])

    winograd, plain = "convolution_winograd", "convolution_2d"
    assert kernel("adreno6xx") == winograd
    assert kernel("adreno6xx", cin=124) == plain
    assert (kernel("adreno6xx", size=44), kernel("adreno", size=44)) == (plain, winograd)
    assert (kernel("mali", 61, 61, 24), kernel("mali", 60, 61, 24)) == (winograd, plain)
    assert (kernel("amd", 64, 29, 24), kernel("mali", 64, 29, 24)) == (winograd, plain)
    assert kernel("mali", stride=2) == plain
    assert kernel("mali", k=1, size=1) == "fully_connected"
    assert kernel("mali", groups=2) == "convolution_2d_grouped"
    with pytest.raises(InputError, match="GPU family"):
        kernel("voodoo")
    with pytest.raises(InputError, match="rule set"):
        pr.rule_set("tflite-1")


def test_tails():
    assert pr.tail("convolution_2d_3_linked_:_add_4_linked_:_hard_swish_5") == ["add", "hard_swish"]
    assert pr.tail("mean_3") == []
    assert pr.kernel_classes(np.array(["convolution_winograd_4x4_6x6_1", "new_2"])).tolist() == [
        "convolution_winograd",
        "other",
    ]


def test_relative_nnls_finds_the_law_despite_outliers():
    rng = np.random.default_rng(1)
    terms = rng.uniform(1, 100, (200, 3))
    seconds = terms @ [1.0, 0.0, 3.0]
    seconds[:10] *= 5
    found = linear.relative_nnls(terms, seconds, np.zeros(3), rounds=20, small=0.01)
    assert found == pytest.approx([1, 0, 3], abs=0.02)


def test_lasso_against_its_optimality_conditions():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(80, 6))
    features[:, 5] = 1
    target = features @ [2, 0, -1, 0, 0.01, 0] + 3 + rng.normal(size=80) * 0.1
    weights, intercept = linear.lasso(features, target, penalty=0.1)
    scaled = (features[:, :5] - features[:, :5].mean(0)) / features[:, :5].std(0)
    slope = scaled.T @ (target - features @ weights - intercept) / 80
    active = weights[:5] != 0
    assert active.tolist() == [True, False, True, False, False]
    assert slope[active] == pytest.approx(0.1 * np.sign(weights[:5][active]), abs=1e-4)
    assert (np.abs(slope[~active]) <= 0.1 + 1e-6).all()


def test_our_forests_predict_what_the_libraries_predict():
    ensemble, lightgbm = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("lightgbm")
    rng = np.random.default_rng(3)
    rows = rng.choice([0.0, 0.1, 0.3, 1.0, 7.5], (300, 4)).astype(np.float32).astype(float)
    target = rows[:, 0] * rows[:, 1] + rng.normal(size=300) * 0.1
    for kind in (ensemble.ExtraTreesRegressor, ensemble.RandomForestRegressor):
        model = kind(5, random_state=0).fit(rows, target)
        assert forests.from_sklearn(model).predict(rows) == pytest.approx(model.predict(rows), abs=1e-5)
    settings = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, label=target), num_boost_round=20)
    assert forests.from_lightgbm(booster).predict(rows) == pytest.approx(booster.predict(rows), abs=1e-5)


def test_our_perceptron_learns():
    pytest.importorskip("sklearn.neural_network")
    rows = np.random.default_rng(4).normal(size=(300, 2))
    target = np.abs(rows[:, 0])
    error = np.abs(fit_perceptron(rows, target, 0).predict(rows) - target).mean()
    assert error < 0.2


@pytest.mark.parametrize("kind", list(pr.MODELS))
def test_files_give_the_same_predictions(kind, synthetic, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("lightgbm")
    ops = pr.read_qed_usc(synthetic[0], TARGET)
    design = pr.qed_usc_design(ops)
    model = pr.fit_operators(design, ops.latency, kind)
    size = pr.save_model(model, tmp_path / "model.npz")
    again = pr.load_model(tmp_path / "model.npz")
    assert size == (tmp_path / "model.npz").stat().st_size
    assert (again.predict(design) == model.predict(design)).all()
    assert pr.accuracy(model.predict(design), ops.latency)["mape"] < 10
    assert not again.out_of_range(design).any()
    far = pr.Design(design.names, design.values * 2, design.terms, design.work, design.group)
    assert again.out_of_range(far).all()


def change(path, name, array):
    with np.load(path) as found:
        arrays = {key: found[key] for key in found.files}
    arrays[name] = array(arrays[name]) if callable(array) else array
    np.savez_compressed(path, **arrays)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("0.right", lambda a: a * 0 + 10**6),
        ("0.right", lambda a: -a),
        ("0.right", lambda a: a * 0),
        ("0.feature", lambda a: (a * 0 + 999).astype(np.int16)),
        ("0.feature", lambda a: a.astype(np.int64)),
        ("0.value", lambda a: a * np.float32("nan")),
        ("0.roots", lambda a: a - 1),
        ("0.scale", np.empty(0)),
        ("line.coefficients", lambda a: -a - 1),
        ("low", np.empty(3)),
        ("header", np.frombuffer(b"[[", dtype=np.uint8)),
        ("header", np.frombuffer(b"{}", dtype=np.uint8)),
        ("header", np.array([{}], dtype=object)),
    ],
)
def test_damaged_models_are_refused(name, array, synthetic, tmp_path):
    pytest.importorskip("sklearn")
    ops = pr.read_qed_usc(synthetic[0], TARGET)
    model = pr.fit_operators(pr.qed_usc_design(ops), ops.latency, "random-forest")
    path = tmp_path / "model.npz"
    pr.save_model(model, path)
    change(path, name, array)
    with pytest.raises(FormatError):
        pr.load_model(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(FormatError):
        pr.load_model(path)


def test_models_with_changed_bytes_are_refused_or_read(synthetic, tmp_path):
    ops = pr.read_qed_usc(synthetic[0], TARGET)
    design = pr.qed_usc_design(ops)
    path = tmp_path / "model.npz"
    pr.save_model(pr.fit_operators(design, ops.latency, "linear"), path)
    raw, rng, refused = path.read_bytes(), np.random.default_rng(8), 0
    for _ in range(200):
        changed = bytearray(raw)
        for at in rng.integers(0, len(raw), 3):
            changed[at] = rng.integers(256)
        path.write_bytes(changed)
        try:
            pr.load_model(path).predict(design)
        except FormatError:
            refused += 1
    assert refused > 100


def terms_of(rng, count):
    counts = rng.integers(2, 30, (count, 2)).astype(float)
    return pr.NetworkTerms(("a", "b"), counts, counts * rng.uniform(1e-5, 1e-3, (count, 2)))


def test_composition_finds_overheads_and_covers():
    rng = np.random.default_rng(5)
    terms = terms_of(rng, 60)
    seconds = 1e-3 + 1e-5 * terms.counts.sum(1) + 1.1 * terms.sums.sum(1)
    exact = pr.fit_composition(terms, None, seconds)
    assert exact.form == "sum"
    assert exact.coefficients == pytest.approx([1e-3, 1e-5, 1.1], rel=1e-3)
    noisy = pr.fit_composition(terms, terms, seconds * rng.lognormal(0, 0.05, 60), form="sum")
    new = terms_of(rng, 2000)
    truth = (1e-3 + 1e-5 * new.counts.sum(1) + 1.1 * new.sums.sum(1)) * rng.lognormal(0, 0.05, 2000)
    assert 0.8 < (truth <= noisy.predict(new, quantile=0.9)).mean() < 0.97
    with pytest.raises(InputError, match="quantile"):
        noisy.predict(new, quantile=1.0)


def test_composition_takes_terms_by_class_where_they_are_needed():
    rng = np.random.default_rng(6)
    terms = terms_of(rng, 60)
    seconds = 1e-3 + terms.sums @ [1.0, 2.0]
    found = pr.fit_composition(terms, terms, seconds)
    assert found.form == "counts+sums"
    assert found.predict(terms) == pytest.approx(seconds, rel=0.05)


def test_compositions_as_records():
    rng = np.random.default_rng(9)
    terms = terms_of(rng, 30)
    found = pr.fit_composition(terms, None, 1e-3 + terms.sums @ [1.0, 2.0], form="counts")
    record = pr.composition_record(found)
    again = pr.composition_from(json.loads(json.dumps(record)))
    assert (again.predict(terms, quantile=0.5) == found.predict(terms, quantile=0.5)).all()
    wrong = (
        {"form": "product"},
        {"form": "sum"},
        {"classes": "ab"},
        {"coefficients": [-1.0] * 5},
        {"residuals": [1.0, 0.0]},
        {"residuals": []},
        {"more": 1},
    )
    for change_ in wrong:
        with pytest.raises(FormatError, match="composition"):
            pr.composition_from(record | change_)


def test_terms_of_networks():
    names, ops = np.array(["y", "x"]), np.array(["x", "y", "x", "z"])
    terms = pr.network_terms(names, ops, np.array(["a", "a", "b", "b"]), np.array([1.0, 2.0, 4.0, 8.0]))
    assert terms.counts.tolist() == [[1, 0], [1, 1]]
    assert terms.sums.tolist() == [[2, 0], [1, 4]]
    with pytest.raises(InputError, match="no operator"):
        pr.network_terms(np.array(["q"]), ops, ops, np.ones(4))


def test_out_of_fold_predictions_have_not_seen_the_network(synthetic):
    ops = pr.read_qed_usc(synthetic[0], TARGET)
    slow = ops.network == "n3"
    ops = tables.Operators(
        ops.network, ops.kind, ops.kernel, ops.columns, np.where(slow, 50 * ops.latency, ops.latency)
    )
    design, weight = pr.qed_usc_design(ops), share_weights(ops)
    fold = network_folds(ops.network, np.unique(ops.network), 0)
    logs = out_of_fold(design, ops.latency, fold, ("linear",), weight=weight, seed=0)["linear"]
    # Nothing told the model of n3 that n3 is slow.
    assert (np.exp(logs[slow]) < 0.1 * ops.latency[slow]).all()


def test_evaluation_on_a_law(synthetic):
    ops, networks = pr.read_qed_usc(synthetic[0], TARGET), pr.read_qed_usc_networks(synthetic[1], TARGET)
    found = pr.evaluate_networks(ops, networks, train_networks=12, seeds=2, kind="linear")
    assert found["e2e_mape"] < 2
    assert found["op_mape"] < 5
    assert {"hit_5", "hit_10", "r2", "predictions_per_second", "bytes"} <= set(found)
    assert [row["seed"] for row in found["by_seed"]] == [0, 1]
    with pytest.raises(InputError, match="networks to train on"):
        pr.evaluate_networks(ops, networks, train_networks=16, kind="linear")
    with pytest.raises(InputError, match="model"):
        pr.evaluate_networks(ops, networks, train_networks=12, kind="liner")


def test_an_unknown_operator_is_an_error(synthetic, tmp_path):
    row = qed_row("net", "SOFTMAX", 7, 64, 7, "-", 0, "-", "-", 12.5, "softmax_1")
    ops = pr.read_qed_usc(write(tmp_path / "t.csv.gz", [HEAD, row]), TARGET)
    with pytest.raises(InputError, match="SOFTMAX"):
        pr.qed_usc_design(ops)


@pytest.fixture
def neusight(tmp_path):
    rng = np.random.default_rng(7)
    lines = ["op,device,b,m,n,k,latency_ms,main_kernel,n_kernels"]
    for b, m, n, k in rng.integers(1, 512, (60, 4)):
        lines += [
            f"bmm,{gpu},{b},{m},{n},{k},{0.01 + b * m * n * k * 2 / 8e9},s,1"
            for gpu in ("Tesla T4", "Tesla P4")
        ]
    return write(tmp_path / "bmm_train.csv.gz", lines)


def test_neusight(neusight, tmp_path):
    ops = pr.read_neusight([neusight])
    assert set(ops.columns) == {"b", "m", "n", "k"}
    held = _held_out(np.arange(50.0), 0)
    assert held.sum() == 10
    found = pr.evaluate_operators(ops, None, kind="linear")
    assert found["op_mape"] == found["by_operator"]["bmm"]["op_mape"] < 25
    # 12 of 60 shapes, each on both GPUs.
    assert found["by_operator"]["bmm"]["test_rows"] == 24
    other = write(tmp_path / "new.csv.gz", ["op,device,b,h,latency_ms", "ln,Tesla T4,2,3,1"])
    with pytest.raises(InputError, match="no training row"):
        pr.evaluate_operators(ops, pr.read_neusight([other]), kind="linear")
    strange = write(tmp_path / "gpu.csv.gz", ["op,device,b,h,latency_ms", "ln,Voodoo,2,3,1"])
    with pytest.raises(InputError, match="GPU"):
        pr.neusight_design(pr.read_neusight([strange]))


def run(*arguments):
    from dnnplan.cli.app import app

    return CliRunner().invoke(app, ["evaluate-predictor", *map(str, arguments)])


def test_command(synthetic, neusight):
    qed = ("--layout", "qed-usc", "--ops", synthetic[0], "--end-to-end", synthetic[1], "--target", TARGET)
    done = run(*qed, "--train-networks", 12, "--seeds", 1, "--model", "linear", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["e2e_mape"] < 3
    assert "mean" in run(*qed, "--train-networks", 12, "--seeds", 1, "--model", "linear").stdout
    gpu = (
        "--layout",
        "neusight",
        "--train",
        neusight,
        neusight,
        "--test",
        neusight,
        neusight,
        "--model",
        "linear",
    )
    done = run(*gpu, "--json")
    assert json.loads(done.stdout)["by_operator"]["bmm"]["train_rows"] == 240
    assert run("--layout", "qed-usc").exit_code == 2
    assert run(*gpu, "--ops", synthetic[0]).exit_code == 2
    assert run(*qed, "--train-networks", 99).exit_code == 2


@needs_data(QED)
def test_boosting_predicts_networks_of_a_phone():
    pytest.importorskip("lightgbm")
    folder = data_folder() / QED
    found = pr.evaluate_networks(
        pr.read_qed_usc(folder / "tflite_cnn_ops_gpu.csv.gz", TARGET),
        pr.read_qed_usc_networks(folder / "tflite_cnn_e2e.csv.gz", TARGET),
        train_networks=30,
        seeds=1,
        kind="boosting",
    )
    assert found["e2e_mape"] < 4
    assert found["op_mape"] < 12
    assert found["bytes"] < 5e6
