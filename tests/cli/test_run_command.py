"""`dnnplan run` and `dnnplan calibrate` on the command line."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from dnnplan.costs.check import check
from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.run import executor as executing
from dnnplan.instances.files import read_instance, read_plan, read_platform
from tests.deploy.hand_manifests import SIZE, write_folder

pytestmark = pytest.mark.skipif(len(available_cores()) < 2, reason="needs two cores")


@pytest.fixture
def parts(tmp_path):
    folder = write_folder(tmp_path / "parts")
    (folder / "original.onnx").rename(tmp_path / "net.onnx")
    return folder


def test_run_prints_what_people_want_to_know(run, parts):
    done = run("run", str(parts), "--repeats", "3", "--models", "net.onnx", "--trace", "trace.json")
    assert done.exit_code == 0
    for word in (
        "net/0/a",
        "predicted",
        "measured",
        "outputs equal those of the original models, bit by bit",
        "idle",
    ):
        assert word in done.stdout
    events = json.loads((parts.parent / "trace.json").read_text())["traceEvents"]
    assert {event["name"] for event in events if event["ph"] == "X"} == {"a", "b", "c", "r", "m"}


def test_run_prints_json(run, parts):
    cores = available_cores()
    done = run(
        "run",
        str(parts),
        "--repeats",
        "3",
        "--json",
        "--cores",
        f"one={cores[1]}",
        "--cores",
        f"two={cores[0]}",
    )
    tree = json.loads(done.stdout)
    assert tree["predicted"] == pytest.approx(4.4064e-5)
    assert tree["measured"] > 0
    assert tree["outputs_equal"] is True
    assert tree["reference"] == "parts run one after the other"
    assert [segment["name"] for segment in tree["segments"]] == ["net/0/a", "net/0/c", "net/0/b"]
    assert [device["cores"] for device in tree["devices"]] == [[cores[1]], [cores[0]]]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins to cores")
def test_fewer_cores_than_devices_are_shared_with_a_warning(run, parts):
    os.sched_setaffinity(0, available_cores()[:1])
    done = run("run", str(parts), "--repeats", "3", "--json")
    assert done.exit_code == 0
    tree = json.loads(done.stdout)
    assert tree["outputs_equal"] is True
    assert any("devices share cores" in warning for warning in tree["warnings"])


def test_run_with_inputs_of_a_file(run, parts):
    np.savez(parts.parent / "in.npz", x=np.ones((1, SIZE), np.float32))
    assert run("run", str(parts), "--repeats", "1", "--inputs", "in.npz").exit_code == 0
    np.savez(parts.parent / "in.npz", x=np.ones((2, SIZE), np.float32))
    done = run("run", str(parts), "--repeats", "1", "--inputs", "in.npz")
    assert done.exit_code == 2
    assert "shape [2, 8], expected [1, 8]" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "is not a folder"),
        (["parts", "--cores", "one=0,99999"], "no core 99999"),
        (["parts", "--cores", "three=0"], "'three' is not in the manifest"),
        (["parts", "--cores", "one=0", "--cores", "two=0"], "--share-cores"),
        (["parts", "--cores", "one"], "expected DEVICE=0,1"),
        (["parts", "--provider", "one=Nobody"], "provider 'Nobody' is not in this onnxruntime"),
        (["parts", "--models", "nowhere.onnx"], "no such file or folder"),
        (["parts", "--trace", "trace.txt"], "ends in .json"),
        (["parts", "--timeout", "0"], "timeout 0"),
        (["parts", "--timeout", "inf"], "timeout inf: expected seconds above 0"),
        (["parts", "--timeout", "1e18"], "timeout 1e+18"),
        (["parts", "--cores", "one=0", "--cores", "one=1"], "--cores 'one=1': one is given twice"),
        (["parts", "--provider", "one=A", "--provider", "one=B"], "'one=B': one is given twice"),
    ],
)
def test_bad_input_says_what_to_do(run, parts, arguments, message):
    done = run("run", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_trace_needs_a_plan_which_is_said_before_anything_runs(run, parts, monkeypatch):
    monkeypatch.setattr(executing.Executor, "__init__", lambda *_, **__: pytest.fail("it measures"))
    (parts / "plan.json").unlink()
    done = run("run", str(parts), "--trace", "trace.json")
    assert done.exit_code == 2
    assert "--trace needs instance.json and plan.json" in " ".join(done.stderr.split())


def test_originals_that_are_given_need_no_plan(run, parts):
    (parts / "plan.json").unlink()
    done = run("run", str(parts), "--repeats", "3", "--models", "net.onnx", "--json")
    assert json.loads(done.stdout)["reference"] == "original models"
    without = run("run", str(parts), "--repeats", "3", "--json")
    assert json.loads(without.stdout)["reference"] == "parts run one after the other"


@pytest.mark.parametrize("name", ["plan.json", "instance.json"])
def test_links_and_pipes_beside_the_manifest_are_refused(run, parts, name):
    """They used to be taken for no file, and the run for one without a plan."""
    (parts / name).rename(parts.parent / name)
    (parts / name).symlink_to(parts.parent / name)
    done = run("run", str(parts))
    assert (done.exit_code, f"{name} is a link" in done.stderr) == (2, True)
    (parts / name).unlink()
    os.mkfifo(parts / name)
    done = run("run", str(parts))
    assert (done.exit_code, f"{name} is a link, or no regular file" in done.stderr) == (2, True)


def test_a_changed_part_is_refused(run, parts):
    part = parts / "part1.onnx"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    done = run("run", str(parts))
    assert done.exit_code == 2
    assert "was changed" in done.stderr
    part.unlink()
    assert "is not in the folder" in run("run", str(parts)).stderr


def test_a_broken_manifest_is_refused(run, parts):
    (parts / "manifest.json").write_text('{"format_version": "1.0", "segments": [')
    done = run("run", str(parts))
    assert done.exit_code == 2
    assert "manifest.json" in done.stderr


def test_a_part_that_fails_while_it_runs_is_a_failure(run, parts, monkeypatch):
    def failing(self, step):
        action = build(self, step)
        return (
            action
            if step.name != "net/0/b"
            else executing.Action(action.name, action.waits, action.copies, lambda: 1 / 0, action.tells, 0.0)
        )

    build = executing.Executor._action
    monkeypatch.setattr(executing.Executor, "_action", failing)
    done = run("run", str(parts))
    assert done.exit_code == 1
    assert "segment 'net/0/b' of device 'two' fails" in done.stderr


def test_outputs_that_differ_are_a_failure(run, parts, monkeypatch):
    from dnnplan.deploy.run import api

    monkeypatch.setattr(api, "checked_pass", lambda *_: 0.5)
    done = run("run", str(parts), "--repeats", "1")
    assert done.exit_code == 1
    assert "outputs DIFFER" in done.stdout


def test_calibrate_writes_an_instance_and_a_plan_that_carries_it(run, parts):
    options = ["--repeats", "4", "--seconds", "0.2", "--time-limit", "2", "--models", "net.onnx"]
    done = run("calibrate", str(parts), "--output", "new.json", "--plan", "plan.json", "--json", *options)
    assert done.exit_code == 0
    tree = json.loads(done.stdout)
    assert tree["networks_from"] == "original models"
    assert tree["predicted_before"] == pytest.approx(4.4064e-5)
    instance, plan = read_instance("new.json"), read_plan("plan.json")
    assert plan.instance == instance.hash()
    assert check(instance, plan) == ()
    assert plan.extensions["models"]["net"]["path"].endswith("net.onnx")
    assert run("check", "plan.json").exit_code == 0
    # Nothing is overwritten unless asked.
    done = run("calibrate", str(parts), "--output", "new.json")
    assert done.exit_code == 2
    assert "--force" in done.stderr


def test_calibrate_writes_a_platform_alone(run, parts):
    done = run("calibrate", str(parts), "--output", "new.yaml", "--repeats", "2", "--seconds", "0.1")
    assert done.exit_code == 0
    assert "slow-down" in done.stdout
    platform = read_platform("new.yaml")
    assert [link.name for link in platform.links] == ["copy one two"]
    assert not platform.execution.overlap


def test_calibrate_refuses_other_files(run, parts):
    assert run("calibrate", str(parts), "--output", "new.txt").exit_code == 2
    assert run("calibrate", "nothing", "--output", "new.json").exit_code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timeout", "inf"], "timeout inf"),
        (["--timeout", "nan"], "timeout nan"),
        (["--plan", "new.json"], "another file than that of --output"),
        (["--plan", "../new.json"], "another file than that of --output"),
        (["--plan", "plan.json", "--time-limit", "inf"], "time limit inf"),
        (["--seconds", "inf"], "seconds inf"),
        (["--cores", "one=0", "--cores", "one=1"], "one is given twice"),
        (["--provider", "one=A", "--provider", "one=B"], "one is given twice"),
    ],
)
def test_calibrate_refuses_before_it_measures(run, parts, monkeypatch, options, message):
    monkeypatch.setattr(executing.Executor, "__init__", lambda *_, **__: pytest.fail("it measures"))
    options = [option.replace("..", f"../{parts.parent.name}") for option in options]
    done = run("calibrate", str(parts), "--output", "new.json", *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
