"""Modules of networks: designs of any columns, choice of a regression for each, folders, comparison. No PyTorch."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from dnnplan.costs.predict import module_fit, module_model, regressors, selection
from dnnplan.costs.predict.medn_train import fit_medn
from dnnplan.costs.predict.module_files import load_modules, save_modules
from dnnplan.costs.predict.modules import column_design, module_designs, split_design
from dnnplan.costs.predict.selection import Figures, choose, select_models
from dnnplan.costs.predict.tables import Operators
from dnnplan.instances.errors import FormatError, InputError, MissingDependencyError

LIGHT = ("linear", "lasso")


def operators(rows=160, seed=0):
    """Two modules: "a" is a line of x, "b" a power of x that a line of x misses."""
    rng = np.random.default_rng(seed)
    kind = np.where(np.arange(rows) % 2 == 0, "a", "b")
    x, y = rng.uniform(1, 64, rows), rng.uniform(1, 64, rows)
    columns = {"x": x, "y": np.where(kind == "a", np.nan, y)}
    seconds = np.where(kind == "a", 1e-5 + 1e-6 * x, 1e-6 * x**1.7 * y**0.5)
    return Operators(np.full(rows, ""), kind, np.full(rows, ""), columns, seconds)


@pytest.fixture(scope="module")
def modules():
    return module_designs(operators())


@pytest.fixture(scope="module")
def selected(modules):
    return select_models(modules, kinds=LIGHT, folds=2)


def test_designs_of_any_columns(modules):
    assert list(modules) == ["a", "b"]
    a, b = modules["a"][0], modules["b"][0]
    # A column that no operator of a module has is no feature of it.
    assert (a.names, a.terms) == (("x", "log_x"), ("one", "x"))
    assert b.names == ("x", "y", "log_x", "log_y")
    ops = operators().take(np.arange(0, 20, 2))
    ops = replace(ops, columns={"x": -ops.columns["x"]})
    design = column_design(ops, {"flops": np.full(10, 7.0)})
    assert (design.values[:, 1] == -np.log2(1 - design.values[:, 0])).all()
    assert (design.terms, design.names[2:]) == (("one", "flops"), ("work_flops",))
    assert (design.values[:, 2] == 3).all()
    assert (column_design(ops).work[:, 1] == 0).all()


def test_designs_refuse_gaps():
    ops = operators()
    with pytest.raises(InputError, match="'y' is not a finite number"):
        column_design(ops)
    with pytest.raises(InputError, match="no column"):
        column_design(replace(ops, columns={}))
    with pytest.raises(InputError, match="negative"):
        column_design(ops.take(ops.kind == "a"), {"flops": np.full(80, -1.0)})
    with pytest.raises(InputError, match="expected equal numbers"):
        split_design(column_design(ops.take(ops.kind == "a")), ops.kind, ops.latency)


def test_one_design_split_by_module(modules):
    design, seconds = modules["b"]
    parts = split_design(design, np.where(seconds > np.median(seconds), "slow", "fast"), seconds)
    assert {name: len(own) for name, own in parts.items()} == {"fast": 2, "slow": 2}
    assert parts["slow"][1].min() > parts["fast"][1].max()


def test_the_better_model_is_chosen(modules, selected):
    # A line is all of "a"; the logarithms of "b" are linear in those of x and y.
    assert selected.model.kinds == {"a": "linear", "b": "lasso"}
    assert selected.figures["b"]["lasso"].accuracy > selected.figures["b"]["linear"].accuracy + 5
    design, seconds = modules["a"]
    assert selected.model.predict("a", design) == pytest.approx(seconds, rel=1e-3)
    assert not selected.model.out_of_range("a", design).any()
    far = replace(design, values=100 * design.values)
    assert selected.model.out_of_range("a", far).all()


def chosen(tolerance=0.01, noise=0.0, **kinds):
    """The choice for "a" from (mape, work, bytes) of each kind; "b" likes "slow" best."""
    swing = noise * np.tile([1.0, -1.0], 50)
    figures = {
        k: Figures(100 - mape, mape, 0.9, 50.0, 60.0, work, size) for k, (mape, work, size) in kinds.items()
    }
    errors = {k: found.mape + (swing if k == "slow" else -swing) for k, found in figures.items()}
    best = {k: replace(found, mape=0.0 if k == "slow" else 50.0) for k, found in figures.items()}
    other = {k: np.full(100, found.mape) for k, found in best.items()}
    return choose({"a": figures, "b": best}, {"a": errors, "b": other}, tolerance)["a"]


def test_ties_are_broken_by_time_then_bytes():
    kinds = {"slow": (5.0, 9.0, 1), "fast": (5.03, 2.0, 9), "poor": (5.2, 1.0, 1)}
    assert chosen(0.01, **kinds) == "fast"
    assert chosen(0.0, **kinds) == "slow"
    assert chosen(0.1, **kinds) == "poor"
    assert chosen(0.01, **kinds, small=(5.03, 2.0, 3)) == "small"
    # With much noise nobody knows whether they are equal.
    assert chosen(0.01, noise=5.0, **kinds) == "slow"


def test_a_module_departs_from_the_common_kind_on_evidence_only():
    kinds = {"slow": (5.3, 9.0, 1), "other": (5.0, 9.0, 1)}
    assert chosen(0.0, **kinds) == "other"
    assert chosen(0.0, noise=20.0, **kinds) == "slow"


def test_estimated_time_is_that_of_the_sizes(modules):
    pytest.importorskip("sklearn")
    fitted = module_fit.fit_kinds(modules, ("linear", "lasso", "extra-trees"), 0)
    work = {kind: module_model.work_nanoseconds(model, "a") for kind, model in fitted.items()}
    assert work["linear"] < work["lasso"] < work["extra-trees"]
    sizes = {kind: module_model.model_bytes(model, "a") for kind, model in fitted.items()}
    assert sizes["linear"] < sizes["lasso"] < sizes["extra-trees"]


def test_equal_operators_and_labels_stay_together(modules):
    design, seconds = modules["a"]
    twice = np.repeat(np.arange(40), 2)
    pairs = {"a": (design.take(twice), seconds[twice])}
    rank = module_fit.ranks(pairs, None, 0)["a"]
    assert (rank[::2] == rank[1::2]).all()
    assert len(set(rank.tolist())) == 40
    names = np.array([f"n{at % 8}" for at in range(80)])
    both = module_fit.ranks(modules, {"a": names, "b": names[::-1]}, 0)
    assert (both["a"] == both["b"][::-1]).all()
    assert sorted(set(both["a"].tolist())) == pytest.approx(np.arange(8) / 8)
    with pytest.raises(InputError, match="labels"):
        module_fit.ranks(modules, {"a": names}, 0)


def test_validation_has_not_seen_the_operator(modules):
    design, seconds = modules["a"]
    odd = np.where(np.arange(len(seconds)) == 3, 50 * seconds, seconds)
    logs = module_fit.out_of_fold_logs({"a": (design, odd)}, ("linear",), None, 4, 0)["linear"]["a"]
    assert np.exp(logs[3]) == pytest.approx(seconds[3], rel=0.2)


def test_unknown_modules_and_kinds_are_errors(modules, selected):
    with pytest.raises(InputError, match="module"):
        selected.model.predict("c", modules["a"][0])
    with pytest.raises(InputError, match="features"):
        selected.model.predict("a", modules["b"][0])
    with pytest.raises(InputError, match="model"):
        select_models(modules, kinds=["lassoo"])
    with pytest.raises(InputError, match="no kind"):
        select_models(modules, kinds=[])
    with pytest.raises(InputError, match="folds"):
        select_models(modules, kinds=LIGHT, folds=1)
    with pytest.raises(InputError, match="no module"):
        select_models({}, kinds=LIGHT)


def test_folders_round_trip(modules, selected, tmp_path):
    size = save_modules(selected.model, tmp_path / "p")
    assert size == sum(file.stat().st_size for file in (tmp_path / "p").iterdir())
    again = load_modules(tmp_path / "p")
    assert again.kinds == selected.model.kinds
    for name, (design, _) in modules.items():
        assert (again.predict(name, design) == selected.model.predict(name, design)).all()
    with pytest.raises(InputError, match="already"):
        save_modules(selected.model, tmp_path / "p")
    save_modules(selected.model, tmp_path / "p", overwrite=True)
    with pytest.raises(FormatError, match=r"no modules\.json"):
        load_modules(tmp_path)


def changed(record, **values):
    record["modules"][0] |= values
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: changed(r, file="../outside.npz"), "plain name"),
        (lambda r: changed(r, file="/etc/passwd"), "plain name"),
        (lambda r: changed(r, file="link.npz"), "plain name"),
        (lambda r: changed(r, file="module-7.npz"), "cannot be read"),
        (lambda r: changed(r, file=None), "without a file"),
        (lambda r: changed(r, kind="medn"), "with a file"),
        (lambda r: changed(r, kind="medn+ensemble"), "no decoder"),
        (lambda r: changed(r, kind="oracle"), "model"),
        (lambda r: changed(r, kind="mlp"), "holds a linear"),
        (lambda r: changed(r, module="b"), "twice"),
        (lambda r: changed(r, more=1), "more"),
        (lambda r: r | {"format": "dnnplan-modules-2"}, "not a predictor"),
        (lambda r: r | {"modules": []}, "not a predictor"),
        (lambda r: r | {"medn": "medn.npz"}, "cannot be read"),
        (lambda r: [r], "not a predictor"),
    ],
)
def test_damaged_folders_are_refused(selected, tmp_path, change, message):
    folder = tmp_path / "p"
    save_modules(selected.model, folder)
    (tmp_path / "outside.npz").write_bytes((folder / "module-0.npz").read_bytes())
    os.symlink(tmp_path / "outside.npz", folder / "link.npz")
    record = change(json.loads((folder / "modules.json").read_text()))
    (folder / "modules.json").write_text(json.dumps(record))
    with pytest.raises(FormatError, match=message):
        load_modules(folder)


def test_headers_that_are_no_json_are_refused(selected, tmp_path):
    save_modules(selected.model, tmp_path)
    for text in (b"", b"\xff", b"[" * 100_000, b" " * 2**21):
        (tmp_path / "modules.json").write_bytes(text)
        with pytest.raises(FormatError):
            load_modules(tmp_path)


def test_comparison(modules):
    found = regressors.compare_regressors(modules, [0, 1], 0.25, kinds=LIGHT, folds=2)
    table = {(row["regressor"], row["module"]): row for row in found["records"]}
    assert len(table) == 3 * 3
    for name in regressors.FIGURES:
        row = table["selection", "overall"]
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert table["selection", "a"]["accuracy"] == table["linear", "a"]["accuracy"]
    worst = max(table[kind, "overall"]["accuracy"] for kind in LIGHT) - 0.05
    assert table["selection", "overall"]["accuracy"] >= worst
    assert {row["kind"] for row in found["choices"] if row["module"] == "b"} == {"lasso"}
    assert all(row["accuracy_least"] >= -0.05 for row in found["differences"])
    with pytest.raises(InputError, match="share"):
        regressors.compare_regressors(modules, [0], 1.0, kinds=LIGHT)
    with pytest.raises(InputError, match="no seed"):
        regressors.compare_regressors(modules, [], kinds=LIGHT)


def test_intervals_of_means():
    assert regressors.interval(np.array([3.0])) == (None, None)
    # t of two degrees of freedom is 4.303; the deviation of the mean of 1, 2, 3 is 1 / sqrt(3).
    low, high = regressors.interval(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


def test_without_torch_the_extra_is_named(modules, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"dnnplan\[nn\]"):
        fit_medn(modules)


def test_without_torch_medn_is_no_candidate(monkeypatch):
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    assert not any("medn" in kind for kind in selection.wanted_kinds(None))
