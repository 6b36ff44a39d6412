"""Operators on GPUs: latencies that grow while a table is measured, and regressions for each GPU."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dnnplan.costs import predict as pr
from dnnplan.costs.predict import evaluate, models
from dnnplan.costs.predict.drift import drifts, moments, typical_moment
from dnnplan.instances.errors import FormatError

GPUS = ("Tesla T4", "Tesla P4")


def table(count, drift, seed=0):
    """Products of matrices on two GPUs; the latency grows by `drift` seconds from the first row to the last."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 400, (4, count)).astype(float)
    shape[0] = 1 + shape[0] % 8
    work = shape.prod(axis=0) * 2 / 8e12
    columns = dict(zip("bmnk", np.hstack([shape, shape]), strict=True))
    one = np.linspace(0, 1, count)
    latency = np.concatenate([1e-4 + work + drift * one, 1e-4 + 2 * work + drift * one])
    gpu = np.repeat(GPUS, count)
    return pr.Operators(gpu, np.full(2 * count, "bmm"), np.full(2 * count, ""), columns, latency)


def test_moments_count_the_rows_of_a_gpu():
    ops = table(5, 0.0)
    assert moments(ops).tolist() == [0, 0.25, 0.5, 0.75, 1] * 2
    assert moments(ops.take(np.array([0]))).tolist() == [0]


def test_drift_is_found_and_taken_out():
    still, growing = table(300, 0.0), table(300, 5e-4)
    assert not drifts(pr.neusight_design(still), still.latency, moments(still))
    moment = moments(growing)
    assert drifts(pr.neusight_design(growing), growing.latency, moment)
    shuffled = np.random.default_rng(1).permutation(moment)
    assert not drifts(pr.neusight_design(growing), growing.latency, shuffled)
    model = pr.fit_operators(pr.neusight_design(growing, moment), growing.latency, "linear")
    # Without a moment, the beginning of a run: what the operators take by themselves.
    assert pr.accuracy(model.predict(pr.neusight_design(still)), still.latency)["mape"] < 4
    typical = typical_moment(
        lambda at: model.predict(pr.neusight_design(growing, np.full(len(growing), at))), growing.latency
    )
    assert 0.1 < typical < 0.6


def test_evaluation_tells_drift_and_both_errors(monkeypatch):
    monkeypatch.setattr(evaluate, "SPEED_ROWS", 100)
    monkeypatch.setattr(evaluate, "SPEED_SECONDS", 0.01)
    found = pr.evaluate_operators(table(300, 5e-4), None, kind="linear")["by_operator"]["bmm"]
    assert found["drift"]
    assert found["op_mape_at_moment"] < 5 < found["op_mape"]
    found = pr.evaluate_operators(table(300, 0.0), table(50, 0.0, seed=5), kind="linear")
    assert not found["by_operator"]["bmm"]["drift"]
    assert found["op_mape_at_moment"] == found["op_mape"] < 4


@pytest.fixture
def by_group(monkeypatch):
    pytest.importorskip("lightgbm")
    monkeypatch.setattr(models, "OWN_ROWS", 200)
    monkeypatch.setattr(models, "SMALL", (20, 8))
    ops = table(300, 0.0)
    # The second GPU has too few rows for regressions of its own.
    ops = ops.take(np.arange(450))
    design = pr.neusight_design(ops)
    return design, ops, pr.fit_operators(design, ops.latency, "boosting-groups")


def test_large_groups_have_regressions_of_their_own(by_group, tmp_path):
    design, ops, model = by_group
    assert model.owners == ("", "", "Tesla T4", "Tesla T4")
    seconds = model.predict(design)
    own = design.group == "Tesla T4"
    for rows, parts in ((own, model.parts[2:]), (~own, model.parts[:2])):
        alone = pr.OperatorModel("x", model.names, model.terms, model.line, parts, model.low, model.high)
        assert (alone.predict(design.take(rows)) == seconds[rows]).all()
    again = pr.fit_operators(design, ops.latency, "boosting-groups")
    assert (again.predict(design) == seconds).all()
    pr.save_model(model, tmp_path / "model.npz")
    assert (pr.load_model(tmp_path / "model.npz").predict(design) == seconds).all()
    # A GPU that was not trained on takes the regressions of all.
    other = pr.Design(design.names, design.values, design.terms, design.work, np.full(len(design), "new"))
    assert np.isfinite(model.predict(other)).all()


@pytest.mark.parametrize(
    "owners", [["", ""], ["a", "a", "a", "a"], ["", 1, "a", "a"], "abcd", {}, [""] * 100]
)
def test_owners_that_do_not_fit_are_refused(owners, by_group, tmp_path):
    path = tmp_path / "model.npz"
    pr.save_model(by_group[2], path)
    with np.load(path) as found:
        arrays = {key: found[key] for key in found.files}
    header = json.loads(arrays["header"].tobytes()) | {"owners": owners}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(path, **arrays)
    with pytest.raises(FormatError, match="owners"):
        pr.load_model(path)
