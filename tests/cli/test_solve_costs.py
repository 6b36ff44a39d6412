"""`dnnplan solve --costs`: filled tables, quantiles, stability, and what is refused."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest

from dnnplan.costs.filled import LayerCosts
from dnnplan.costs.filled.folder import LOADERS

INSTANCE = {
    "format_version": "1.0",
    "name": "pair",
    "platform": {
        "devices": [{"name": "npu", "peak_flops": {"*": 1e9}}, {"name": "cpu", "peak_flops": {"*": 1e9}}]
    },
    "models": [{"name": "net", "layers": [{"name": "conv", "flops": 3e6}]}],
}
COSTS = {
    "npu": {"kind": "roofline", "peak": 3e9, "error": 0.5},
    "*": {"kind": "roofline", "peak": 2e9, "error": 0.05},
}
"""The median is better on npu (1 against 1.5 ms), the quantile 0.9 on cpu (1.9 against 1.6 ms)."""


@pytest.fixture
def files(run, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(INSTANCE))
    write(tmp_path, COSTS)
    return tmp_path


def write(folder, devices):
    (folder / "costs").mkdir(exist_ok=True)
    (folder / "costs" / "costs.json").write_text(json.dumps({"format_version": "1.0", "devices": devices}))


def solve(run, *arguments, code=0):
    done = run("solve", "x.json", "--solver", "heft", "--json", *arguments)
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout), done.stderr


def test_costs_decide_and_a_quantile_decides_otherwise(run, files):
    median, said = solve(run, "--costs", "costs")
    assert median["plan"]["placement"] == {"net/0/conv": "npu"}
    assert median["objective"]["value"] == pytest.approx(1e-3)
    assert median["message"] == "with costs of costs"
    assert said == ""
    assert median["costs"] == {
        "folder": "costs",
        "quantile": None,
        "sourced": 2,
        "kept": 0,
        "objective": {"median": median["objective"]["value"]},
        "flags": [],
    }
    assert "stability" not in median
    robust, _ = solve(run, "--costs", "costs", "--quantile", "0.9")
    assert robust["plan"]["placement"] == {"net/0/conv": "cpu"}
    values = robust["costs"]["objective"]
    assert values["median"] == pytest.approx(1.5e-3)
    assert values["quantile"] == pytest.approx(1.5e-3 * np.exp(0.05 * 1.2815515655446004))
    assert robust["objective"]["value"] == values["quantile"]


def test_stability_in_json_and_in_words(run, files):
    result, _ = solve(run, "--costs", "costs", "--stability", "20", "--seed", "3")
    found = result["stability"]
    assert (found["draws"], found["seed"], found["objective"], found["unit"]) == (20, 3, "latency", "s")
    assert 0 < found["optimal"] < 1
    assert found["regret_max"] > 0
    assert len(found["values"]) == len(found["best"]) == 20
    done = run(
        "solve",
        "x.json",
        "--solver",
        "heft",
        "--costs",
        "costs",
        "--stability",
        "20",
        "--seed",
        "3",
        "--quantile",
        "0.8",
    )
    assert done.exit_code == 0
    assert "of 20 draws of costs as far as known (proven in 0 %)" in done.stdout
    assert "mean at least" in done.stdout
    assert "where every layer is at its quantile 0.8" in done.stdout


def test_printed_results_and_plans_go_with_the_filled_instance(run, files):
    arguments = ("--costs", "costs", "--stability", "3", "--filled", "full.json", "--output", "plan.json")
    done = run("solve", "x.json", "--solver", "heft", "--json", *arguments)
    assert done.exit_code == 0
    (files / "result.json").write_text(done.stdout)
    for plan in ("plan.json", "result.json"):
        assert run("check", plan, "--instance", "full.json").exit_code == 0
    assert run("show", "result.json", "--instance", "full.json").exit_code == 0
    again = run("solve", "x.json", "--solver", "heft", *arguments)
    assert again.exit_code == 2
    assert "full.json: exists" in again.stderr


def test_doubtful_costs_are_one_warning_with_a_count_and_json_has_all(run, files, monkeypatch):
    class Doubtful:
        def layer_costs(self, model, batch):
            shape = (len(model.layers), len(batch))
            flags = tuple(("conv", f"reason {i}") for i in range(5))
            return LayerCosts(seconds=np.ones(shape), spread=np.zeros(shape), flags=flags)

    module = types.ModuleType("stand_in_predictors")
    module.load = lambda folder: Doubtful()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(LOADERS, "predictor", "stand_in_predictors:load")
    write(files, {"cpu": {"kind": "predictor", "folder": "cpu"}})
    (files / "costs" / "cpu").mkdir()
    result, said = solve(run, "--costs", "costs")
    assert said == (
        "warning: 5 costs are doubtful: net/conv on cpu: reason 0; net/conv on cpu: reason 1; "
        "net/conv on cpu: reason 2; and 2 more, --json lists all\n"
    )
    assert len(result["costs"]["flags"]) == 5
    assert result["costs"]["flags"][4] == {
        "model": "net",
        "layer": "conv",
        "device": "cpu",
        "reason": "reason 4",
    }


def test_a_folder_that_has_no_effect_says_so(run, files):
    done = run("solve", "tiny/hand", "--solver", "heft", "--costs", "costs", "--json")
    assert done.exit_code == 0
    assert "no cost comes from costs: 11 entries of the instance's own tables win" in done.stderr


def test_fronts_take_filled_tables_too(run, files):
    front, _ = solve(run, "--costs", "costs", "--pareto", "latency,energy", "--points", "2")
    assert front["costs"]["sourced"] == 2
    assert front["front"][0]["plan"]["placement"] == {"net/0/conv": "npu"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quantile", "0.9"), "--quantile: needs --costs"),
        (("--stability", "5"), "--stability: needs --costs"),
        (("--filled", "y.json"), "--filled: needs --costs"),
        (("--costs", "costs", "--quantile", "1"), "--quantile 1: expected a number between 0 and 1"),
        (("--costs", "costs", "--quantile", "nan"), "--quantile nan"),
        (("--costs", "costs", "--stability", "5", "--pareto", "latency,energy"), "does not go with --pareto"),
        (("--costs", "nowhere"), "nowhere: not a folder"),
        (("--costs", "costs", "--filled", "y.txt"), "y.txt: expected a name that ends in"),
        (("--costs", "costs", "--objective", "variety"), "this is a problem of grouping"),
    ],
)
def test_what_does_not_go_together_is_refused(run, files, arguments, message):
    done = run("solve", "x.json", "--solver", "heft", "--json", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"gpu": {"kind": "roofline", "peak": 1}}, '"gpu" is not a device'),
        ({"npu": {"kind": "roofline"}}, "devices.npu.peak: missing"),
        ({"npu": {"kind": "predictor", "folder": ".."}}, "devices.npu.folder"),
        ({"npu": {"kind": "predictor", "folder": "gone"}}, "not there"),
    ],
)
def test_broken_folders_are_bad_input(run, files, devices, message):
    write(files, devices)
    done = run("solve", "x.json", "--costs", "costs")
    assert done.exit_code == 2
    assert message in done.stderr


def test_an_instance_that_cannot_be_planned_has_no_stability(run, files):
    result, said = solve(run, "--costs", "costs", "--stability", "5", "--limit", "latency=1e-9", code=3)
    assert "stability" not in result
    assert result["costs"]["objective"] is None
    assert "infeasible" in said
