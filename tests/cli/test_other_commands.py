"""check, explain, show, import, generate, and the lists."""

from __future__ import annotations

import json

import pytest

from dnnplan.instances.catalogue import bundled_names, platform_names
from dnnplan.instances.files import read_instance
from dnnplan.solvers import solver_names


def test_check_of_a_valid_and_a_broken_plan(run, hand_plan, tmp_path):
    done = run("check", hand_plan, "--instance", "tiny/hand")
    assert (done.exit_code, done.stdout) == (0, "valid\n")
    broken = json.loads((tmp_path / "hand-plan.json").read_text())
    broken["order"]["npu"].reverse()
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    done = run("check", "broken.json", "--instance", "tiny/hand", "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["valid"] is False
    assert report["violations"][0]["rule"] == "deadlock"
    assert "not valid: " in run("check", "broken.json", "--instance", "tiny/hand").stdout


def test_explain_prints_path_bottleneck_and_what_ifs(run, hand_plan):
    done = run("explain", hand_plan, "--instance", "tiny/hand")
    assert done.exit_code == 0
    for part in (
        "latency      14 ms",
        "bottleneck   device npu",
        "Critical path",
        "What if",
        "all transfers free",
    ):
        assert part in done.stdout
    tree = json.loads(run("explain", hand_plan, "--instance", "tiny/hand", "--json").stdout)
    assert tree["latency"] == pytest.approx(0.014)
    assert [step["kind"] for step in tree["path"]].count("transfer") == 3


def test_show_an_instance(run):
    done = run("show", "tiny/hand", "--layers")
    assert done.exit_code == 0
    for part in ("Models", "Devices", "Links", "Layers of hand", "5 of 6", "execution: staging direct"):
        assert part in done.stdout


def test_show_a_plan_draws_chart_picture_and_trace(run, hand_plan, tmp_path):
    pytest.importorskip("matplotlib")
    done = run("show", hand_plan, "--instance", "tiny/hand", "--output", "x.svg", "--trace", "t.json")
    assert done.exit_code == 0
    assert "A hand  . idle, 14 ms in all" in done.stdout
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    again = run("show", hand_plan, "--instance", "tiny/hand", "--trace", "t.json")
    assert again.exit_code == 2
    assert "t.json: exists" in again.stderr


def test_generate_takes_an_option_once(run):
    for options in (("--set", "ccr=1", "--set", "ccr=2"), ("--ccr", "1", "--set", "ccr=2")):
        done = run("generate", "chain", *options)
        assert (done.exit_code, "ccr is given t" in done.stderr) == (2, True), done.stderr


def test_generate_is_the_same_for_a_seed(run, tmp_path):
    first = run("generate", "layered", "--layers", "12", "--seed", "3").stdout
    assert run("generate", "layered", "--layers", "12", "--seed", "3").stdout == first
    assert run("generate", "layered", "--layers", "12", "--seed", "4").stdout != first
    done = run("generate", "multi", "--layers", "5,6", "--devices", "3", "--output", "x.yaml")
    assert done.exit_code == 0
    assert [len(m.layers) for m in read_instance(tmp_path / "x.yaml").models] == [5, 6]


@pytest.mark.parametrize(
    "arguments",
    [("nope",), ("layered", "--layers", "5,6"), ("layered", "--layers", "x"), ("layered", "--set", "foo=1")],
)
def test_generate_refuses(run, arguments):
    done = run("generate", *arguments)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_import_writes_a_native_instance(run, tmp_path):
    pytest.importorskip("onnx")
    done = run("import", "squeezenet", "--platform", "phone-soc", "--output", "x.json")
    assert done.exit_code == 0, done.stderr
    instance = read_instance(tmp_path / "x.json")
    assert instance.platform is not None
    assert instance.platform.name == "phone-soc"
    plain = run("import", "squeezenet", "--no-fuse", "--output", "y.json")
    assert plain.exit_code == 0
    unfused = read_instance(tmp_path / "y.json")
    assert unfused.platform is None
    assert len(unfused.models[0].layers) > len(instance.models[0].layers)


def test_two_networks_are_planned_together(run):
    pytest.importorskip("onnx")
    done = run(
        "solve", "squeezenet", "alexnet", "--platform", "phone-soc", "--solver", "compute_first", "--json"
    )
    assert done.exit_code == 0, done.stderr
    tasks = {key.split("/")[0] for key in json.loads(done.stdout)["plan"]["placement"]}
    assert tasks == {"squeezenet", "alexnet"}


def test_a_network_without_platform_is_an_error_that_names_some(run):
    pytest.importorskip("onnx")
    done = run("solve", "squeezenet")
    assert done.exit_code == 2
    assert "phone-soc" in done.stderr


def test_lists_name_everything(run):
    instances = json.loads(run("instances", "--json").stdout)
    assert [row["name"] for row in instances] == list(bundled_names())
    assert all(name in run("platforms").stdout for name in platform_names())
    assert "gpu" in run("platforms", "phone-soc").stdout
    assert [row["name"] for row in json.loads(run("platforms", "--json").stdout)] == list(platform_names())


def test_solvers_lists_capabilities(run):
    done = run("solvers", "--json")
    assert done.exit_code == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) >= set(solver_names())
    assert rows["heft"]["exact"] is False
    assert "heft" in run("solvers").stdout


@pytest.mark.parametrize("kind", ["instance", "plan", "result"])
def test_schema_is_json(run, kind):
    assert json.loads(run("schema", kind).stdout)["title"] == f"dnnplan {kind}"


def test_bench_lists_suites_in_a_checkout_and_says_so_elsewhere(run, monkeypatch, tmp_path):
    done = run("bench")
    assert done.exit_code == 0, done.stderr
    assert "selection" in done.stdout
    monkeypatch.setattr("dnnplan.__file__", str(tmp_path / "site-packages" / "dnnplan" / "__init__.py"))
    done = run("bench")
    assert done.exit_code == 2
    assert "source checkout" in done.stderr


def test_materialise_writes_a_network_that_can_be_imported(run, tmp_path):
    pytest.importorskip("onnx")
    done = run("materialise", "squeezenet", "--output", "x.onnx", "--seed", "1")
    assert done.exit_code == 0, done.stderr
    first = (tmp_path / "x.onnx").read_bytes()
    assert run("materialise", "squeezenet", "--output", "x.onnx").exit_code == 2
    assert (tmp_path / "x.onnx").read_bytes() == first
    assert run("materialise", "nothing", "--output", "y.onnx").exit_code == 2
    done = run("import", "x.onnx", "--platform", "phone-soc", "--output", "x.json")
    assert done.exit_code == 0, done.stderr
    names = [layer.name for layer in read_instance(tmp_path / "x.json").models[0].layers]
    assert len(names) > 10
