"""`dnnplan split` and `dnnplan export`, and plans that carry their instance."""

from __future__ import annotations

import json
import shutil

import onnx
import pytest
from msgspec.structs import replace

from dnnplan.deploy.manifest import read_manifest
from dnnplan.instances.files import read_plan, write_instance, write_plan, write_platform
from tests.support.deploy_networks import (
    branch,
    early_exit,
    joint_plan,
    mobilenet,
    platform,
    saved,
    sharing_tasks,
)


@pytest.fixture
def planned(run, tmp_path):
    """A plan of two networks, and the files that it was made from."""
    write_platform(platform(2), tmp_path / "pc.yaml")
    saved(early_exit(), tmp_path, "exits")
    saved(mobilenet(), tmp_path, "mobile")
    done = run(
        *("solve", "exits.onnx", "mobile.onnx", "--platform", "pc.yaml", "--solver", "heft"),
        *("--solver", "heft", "--output", "plan.json"),
    )
    assert done.exit_code == 0, done.stderr
    return "plan.json"


def test_a_plan_says_what_it_was_made_for(planned, tmp_path):
    plan = read_plan(tmp_path / planned)
    assert set(plan.extensions) == {"instance", "models"}
    assert plan.extensions["models"]["exits"]["path"] == str((tmp_path / "exits.onnx").resolve())


@pytest.mark.parametrize("command", ["check", "explain", "show"])
def test_commands_take_the_instance_of_the_plan(run, planned, command):
    assert run(command, planned).exit_code == 0
    assert run(command, planned, "--platform", "pc.yaml").exit_code == 2


def test_a_printed_result_carries_it_too(run, planned, tmp_path):
    done = run("solve", "exits.onnx", "--platform", "pc.yaml", "--solver", "heft", "--json")
    (tmp_path / "result.json").write_text(done.stdout)
    assert run("split", "result.json", "--output", "parts").exit_code == 0


def test_another_instance_is_refused(run, planned, tmp_path):
    tree = json.loads((tmp_path / planned).read_text())
    tree["extensions"]["instance"]["name"] = "another"
    (tmp_path / "bent.json").write_text(json.dumps(tree))
    done = run("split", "bent.json", "--output", "parts")
    assert (done.exit_code, "expected that of the plan's instance" in done.stderr) == (2, True)
    done = run("split", planned, "--output", "parts", "--instance", "exits.onnx", "--platform", "pc.yaml")
    assert (done.exit_code, "was made for" in done.stderr) == (2, True)
    tree["extensions"]["instance"] = {"format_version": "1.2", "models": 3}
    (tmp_path / "bent.json").write_text(json.dumps(tree))
    assert run("split", "bent.json", "--output", "parts").exit_code == 2
    assert not (tmp_path / "parts").exists()


def test_split_and_verify(run, planned, tmp_path):
    done = run("split", planned, "--output", "parts", "--verify", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    manifest = read_manifest(tmp_path / "parts")
    assert [segment["name"] for segment in tree["segments"]] == [s.name for s in manifest.segments]
    assert tree["verified"] == {"outputs": 5, "equal": True, "bitwise": True, "worst": 0.0, "tolerance": 1e-5}
    assert tree["predicted"] == manifest.predicted.latency
    done = run("split", planned, "--output", "parts")
    assert (done.exit_code, "--force" in done.stderr) == (2, True)
    done = run("split", planned, "--output", "parts", "--force", "--verify")
    assert done.exit_code == 0
    assert "5 outputs compared with the whole models: equal bitwise" in done.stdout


def test_the_instance_can_be_named(run, planned, tmp_path):
    plan = replace(read_plan(tmp_path / planned), extensions={})
    write_plan(plan, tmp_path / "bare.json")
    done = run("split", "bare.json", "--output", "parts")
    assert (done.exit_code, "--instance" in done.stderr) == (2, True)
    named = ("--instance", "exits.onnx", "--instance", "mobile.onnx", "--platform", "pc.yaml")
    done = run("split", "bare.json", "--output", "parts", *named)
    assert (done.exit_code, "--models" in done.stderr) == (2, True)
    assert run("split", "bare.json", "--output", "parts", *named, "--models", ".").exit_code == 0


def test_changed_files_are_refused(run, planned, tmp_path):
    model = onnx.load(tmp_path / "exits.onnx")
    model.producer_name = "somebody else"
    onnx.save(model, tmp_path / "exits.onnx")
    done = run("split", planned, "--output", "parts")
    assert (done.exit_code, "changed since it was planned" in done.stderr) == (2, True)
    assert run("split", planned, "--output", "parts", "--models", ".").exit_code == 0
    (tmp_path / "exits.onnx").unlink()
    done = run("split", planned, "--output", "other")
    assert (done.exit_code, "no longer there" in done.stderr) == (2, True)


def test_light_networks_need_weights(run, tmp_path):
    done = run("solve", "squeezenet", "--platform", "phone-soc", "--solver", "heft", "--output", "plan.json")
    assert done.exit_code == 0
    done = run("split", "plan.json", "--output", "parts")
    assert (done.exit_code, "--materialise" in done.stderr) == (2, True)
    done = run("split", "plan.json", "--output", "parts", "--materialise", "3", "--verify", "--json")
    assert (done.exit_code, json.loads(done.stdout)["verified"]["bitwise"]) == (0, True)
    assert run("materialise", "squeezenet", "--output", "squeezenet.onnx", "--seed", "3").exit_code == 0
    assert run("split", "plan.json", "--output", "same", "--models", "squeezenet.onnx").exit_code == 0
    files = [
        {s.file: s.sha256 for s in read_manifest(tmp_path / name).segments} for name in ("parts", "same")
    ]
    assert files[0] == files[1]


def test_a_bundled_instance(run):
    done = run("solve", "phone/squeezenet", "--solver", "heft", "--output", "plan.json")
    assert done.exit_code == 0
    assert run("split", "plan.json", "--output", "parts", "--materialise", "1").exit_code == 0
    done = run("solve", "tiny/hand", "--solver", "heft", "--output", "hand.json")
    done = run("split", "hand.json", "--output", "other")
    assert (done.exit_code, "does not say which file" in done.stderr) == (2, True)


@pytest.fixture
def joint(tmp_path):
    """A joint plan in a file, with its instance and the networks of its tasks beside it."""
    files = [saved(branch(at), tmp_path, name) for at, name in enumerate(("one", "two"))]
    instance = sharing_tasks(files)
    both = tuple(task.name for task in instance.tasks)
    write_instance(instance, tmp_path / "tasks.json")
    write_plan(joint_plan(instance, ((both,), (both,)), 1), tmp_path / "joint.json")
    return "joint.json", ("--instance", "tasks.json", "--models", ".")


def test_joint_plans(run, joint, tmp_path):
    plan, named = joint
    done = run("split", plan, "--output", "parts", *named, "--verify", "--retraining", "train.json")
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "train.json").read_text())["retrain"] is False
    shutil.rmtree(tmp_path / "parts")
    saved(branch(1, trunk=5), tmp_path, "two")
    done = run("split", plan, "--output", "parts", *named)
    assert (done.exit_code, "have other numbers" in done.stderr, "--retraining" in done.stderr) == (
        2,
        True,
        True,
    )
    done = run("split", plan, "--output", "parts", *named, "--retraining", "train.json", "--force")
    assert done.exit_code == 2
    assert json.loads((tmp_path / "train.json").read_text())["retrain"] is True
    assert not (tmp_path / "parts").exists()


def test_what_has_to_be_trained_is_written_although_the_cut_is_refused(run, joint, tmp_path):
    """That is what it is for: the plan cannot be cut before the tasks were trained together."""
    plan, named = joint
    saved(branch(1, trunk=5), tmp_path, "two")
    done = run("split", plan, "--output", "parts", *named, "--retraining", "train.json")
    assert (done.exit_code, "have other numbers" in done.stderr) == (2, True)
    assert not (tmp_path / "parts").exists()
    tree = json.loads((tmp_path / "train.json").read_text())
    assert tree["retrain"] is True
    assert [block["layers"] for block in tree["blocks"] if block["differs"]]


def test_retraining_needs_a_task_graph(run, planned):
    done = run("split", planned, "--output", "parts", "--retraining", "train.json")
    assert (done.exit_code, "no task graph" in done.stderr) == (2, True)


def test_export_tables(run, planned, tmp_path):
    done = run("export", planned, "--to", "csv", "--output", "tables", "--json")
    assert json.loads(done.stdout)["files"] == ["exits.csv", "mobile.csv"]
    assert (
        (tmp_path / "tables" / "exits.csv")
        .read_text()
        .startswith("task,job,model,node,layer,segment,device,")
    )
    done = run("export", planned, "--to", "csv", "--output", "more", "--designator", "cpu=gpu")
    assert done.exit_code == 2


def test_files_of_others_are_not_replaced(run, planned, tmp_path):
    assert run("export", planned, "--to", "csv", "--output", "tables").exit_code == 0
    assert run("export", planned, "--to", "csv", "--output", "tables", "--force").exit_code == 0
    (tmp_path / "tables" / "mine.csv").write_text("1,2")
    done = run("export", planned, "--to", "csv", "--output", "tables", "--force")
    assert done.exit_code == 2
    assert "'mine.csv', which this command did not write" in done.stderr.replace("\n", " ")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "original.onnx").write_bytes(b"weights")
    assert run("split", planned, "--output", "models", "--force").exit_code == 2
    assert (tmp_path / "models" / "original.onnx").read_bytes() == b"weights"


def test_export_annotated_models(run, planned, tmp_path):
    done = run("export", planned, "--to", "onnxruntime", "--output", "annotated")
    assert "exits.onnx: session.layer_assignment_settings = " in done.stdout
    assert {path.name for path in (tmp_path / "annotated").iterdir()} == {
        ".written-by-dnnplan",
        "annotations.json",
        "exits.onnx",
        "mobile.onnx",
    }
    arguments = ("export", planned, "--to", "onnxruntime", "--output", "other", "--json")
    done = run(*arguments, "--designator", "cpu=gpu:1", "--designator", "gpu=npu")
    devices = json.loads(done.stdout)["devices"]
    assert {told["designator"] for told in devices.values()} <= {"gpu:1", "npu"}
    assert run(*arguments, "--designator", "cpu").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split", "--dim", "N=1", "--dim", "N=2"], "--dim 'N=2': N is given twice"),
        (["split", "--option", "a=1", "--option", "a=2"], "--option 'a=2': a is given twice"),
        (["split", "--models", "exits.onnx", "--models", "pc.yaml"], "pc.yaml: has the file of no model"),
        (["export", "--to", "csv", "--models", "exits.onnx"], "--models names files to annotate"),
        (
            ["export", "--to", "onnxruntime", "--designator", "cpu=gpu", "--designator", "cpu=npu"],
            "--designator 'cpu=npu': cpu is given twice",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(run, planned, tmp_path, arguments, message):
    command, *options = arguments
    done = run(command, planned, "--output", "out", *options)
    assert (done.exit_code, message in " ".join(done.stderr.split())) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_name(run, planned):
    done = run("split", planned, "--output", "")
    assert (done.exit_code, "expected the name of a folder" in done.stderr) == (2, True)


def test_bad_arguments(run, planned, tmp_path):
    assert run("split", "nowhere.json", "--output", "parts").exit_code == 2
    assert run("split", planned).exit_code == 2
    assert run("export", planned, "--to", "tensorrt", "--output", "x").exit_code == 2
    assert run("split", planned, "--output", "plan.json").exit_code == 2
    assert run("split", planned, "--output", "parts", "--dim", "N=2").exit_code == 2
    (tmp_path / "bad.json").write_text("{")
    assert run("split", "bad.json", "--output", "parts").exit_code == 2
