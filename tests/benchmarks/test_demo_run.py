"""The demo of running goes from ONNX files to a table of predicted against measured; so do its measurements."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper, save

from benchmarks import demo_run, run_measurements
from dnnplan.costs.check import check
from dnnplan.costs.profile.setting import available_cores
from dnnplan.instances.files import read_instance, read_plan

pytestmark = pytest.mark.skipif(len(available_cores()) < 2, reason="needs two cores")


def tiny(names, folder: Path) -> dict[str, Path]:
    """A small network of convolutions for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for at, name in enumerate(names):
        random, size = np.random.default_rng(at), 16
        nodes, stored, last = [], [], "x"
        for layer in range(4 + 2 * at):
            array = random.standard_normal((size, size, 3, 3)).astype(np.float32) / 12
            stored.append(numpy_helper.from_array(array, f"w{layer}"))
            nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1] * 4))
            nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
            last = f"r{layer}"
        info = [
            helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, size, 24, 24])
            for value in ("x", last)
        ]
        graph = helper.make_graph(nodes, name, info[:1], info[1:], stored)
        files[name] = folder / f"{name}.onnx"
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), files[name])
    return files


def test_the_demo_goes_from_files_to_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_run, "materialised", tiny)
    monkeypatch.setattr(demo_run, "NETWORKS", ("small", "large"))
    monkeypatch.setattr(demo_run, "REPEATS", 4)
    monkeypatch.setattr(demo_run, "TIMING", 0.3)
    text = io.StringIO()
    assert demo_run.run(tmp_path, 4.0, Console(file=text, width=120, highlight=False)) == 0
    shown = text.getvalue()
    for words in (
        "assumed speeds",
        "calibrated",
        "one core (timed)",
        "outputs equal those of the original models",
    ):
        assert words in shown
    instance, plan = read_instance(tmp_path / "calibrated.json"), read_plan(tmp_path / "plan.json")
    assert check(instance, plan) == ()
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


def test_measurements_are_taken_in_turns():
    asked = []

    def kind(name: str, seconds: float):
        return lambda: asked.append(name) or seconds

    medians, noise = run_measurements.in_turns({"a": kind("a", 2.0), "b": kind("b", 1.0)}, "b")
    assert medians == {"a": 2.0, "b": 1.0}
    assert noise == 0
    assert asked[:8] == ["a", "a", "b", "b"] * 2


@pytest.mark.parametrize(
    "name", ["overhead:small", "overhead:small:parts", "prediction:small+large", "gain:small+large"]
)
def test_measurements_at_small_size(monkeypatch, name):
    monkeypatch.setattr(run_measurements, "materialised", tiny)
    for constant, value in (("TURNS", 3), ("WARM_UP", 1), ("SECONDS", 0.2), ("SOLVING", 3.0), ("PARTS", 2)):
        monkeypatch.setattr(run_measurements, constant, value)
    found = run_measurements.measure(name)
    assert np.isfinite(found.value)
    assert "A/A noise" in found.note
    assert "DIFFER" not in found.note
    assert (found.target is None) == name.endswith("parts")
