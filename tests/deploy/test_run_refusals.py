"""What running refuses before it measures, and what it gives up: limits, folders that lie, inputs that do not fit."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from msgspec.structs import replace as changed
from onnx import TensorProto, helper, numpy_helper

from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.calibrate import calibrate, gather
from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.manifest import JobEntry, Manifest, ModelEntry, Value
from dnnplan.deploy.run import Executor, RunError, Seat, guard, open_folder, run_folder, workers
from dnnplan.deploy.run import executor as executing
from dnnplan.deploy.run import originals as whole
from dnnplan.deploy.run.api import checked_pass
from dnnplan.deploy.run.inputs import input_arrays
from dnnplan.deploy.run.measured import measured_evaluation
from dnnplan.deploy.run.program import Program, Step
from dnnplan.instances import InputError
from dnnplan.instances.errors import FormatError, UnsupportedError
from tests.deploy.hand_manifests import SIZE, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "parts")


@pytest.fixture
def two():
    core = available_cores()
    return {"one": Seat((core[0],)), "two": Seat((core[-1],))}


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf, 2 * threading.TIMEOUT_MAX])
def test_a_time_limit_that_threads_cannot_wait_for(folder, two, timeout):
    opened = open_folder(folder)
    with pytest.raises(InputError, match="timeout"):
        run_folder(opened, two, repeats=1, timeout=timeout)
    with pytest.raises(InputError, match="timeout"):
        Executor(opened.program, opened.files, two, input_arrays(opened.manifest), timeout=timeout)
    with pytest.raises(InputError, match="timeout"):
        gather(folder, timeout=timeout)


def test_calibrating_refuses_numbers_before_it_measures(folder, monkeypatch):
    monkeypatch.setattr(executing.Executor, "__init__", lambda *_, **__: pytest.fail("it measures"))
    for numbers in ({"seconds": math.inf}, {"seconds": math.nan}, {"repeats": 1}):
        with pytest.raises(InputError, match="expected"):
            gather(folder, **numbers)
    for limit in (math.nan, math.inf, -1.0):
        with pytest.raises(InputError, match="time limit"):
            calibrate(folder, plan=True, time_limit=limit)


# Originals


def test_an_original_that_hangs_is_given_up(folder, two, monkeypatch):
    release = threading.Event()

    class Hanging:
        def get_inputs(self):
            return []

        def run(self, *_):
            release.wait(20)

    monkeypatch.setattr(whole, "open_session", lambda *_: Hanging())
    monkeypatch.setattr(guard, "GRACE", 0.1)
    with pytest.raises(RunError, match=r"model 'net' takes longer than 0\.2 s"):
        whole.original_outputs(
            open_folder(folder).manifest,
            {"net": folder / "original.onnx"},
            {"net/0/x": np.zeros((1, SIZE), np.float32)},
            timeout=0.2,
        )
    release.set()


def test_inputs_that_no_part_reads_are_of_the_batch_of_the_task(tmp_path):
    """The runtime refuses two inputs whose first size has one name and is not one number."""
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("x", "unused", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:2], info[2:])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    values = tuple(
        Value(id=f"shared/0/{name}", name=name, task="shared", dtype="float32", shape=("n", 2))
        for name in "xy"
    )
    manifest = Manifest(
        models=(ModelEntry(name="net", sha256=hashlib.sha256(path.read_bytes()).hexdigest()),),
        values=values,
        jobs=(JobEntry(task="a", model="net", inputs={"x": "shared/0/x"}, outputs={"y": "shared/0/y"}),),
    )
    asked = []
    made_up = whole.made_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "made_up", lambda *given: asked.append(given[-1]) or made_up(*given))
        found = whole.original_outputs(
            manifest, {"net": path}, {"shared/0/x": np.ones((3, 2), np.float32)}, batch={"shared": 3}
        )
    assert (asked, found["shared/0/y"].shape) == ([3], (3, 2))
    bare = changed(manifest, jobs=(changed(manifest.jobs[0], outputs={}),))
    assert whole.original_outputs(bare, {"net": path}, {"shared/0/x": np.ones((3, 2), np.float32)}) == {}


def test_no_more_sessions_are_opened_after_the_time_limit(folder, two, monkeypatch):
    """A process that ends while one is being opened is aborted by the runtime."""
    opened, asked = open_folder(folder), []
    open_session, late = executing.open_session, threading.Event()

    def slow(*given, **more):
        asked.append(given[0])
        late.wait(0.5)
        return open_session(*given, **more)

    monkeypatch.setattr(executing, "open_session", slow)
    with pytest.raises(RunError, match=r"opening segment 'net/0/a' of device 'one' takes longer than 0\.1 s"):
        Executor(opened.program, opened.files, two, input_arrays(opened.manifest), timeout=0.1)
    assert not any(thread.name == "dnnplan-guarded" for thread in threading.enumerate())
    assert len(asked) == 1


# Workers


def test_a_worker_that_waits_for_a_moment_can_be_stopped(folder, two, monkeypatch):
    """It used to sleep: the thread outlived the executor by as long as the release was away."""
    monkeypatch.setattr(executing, "GRACE", 10.0)
    opened = open_folder(folder)
    steps = {
        device: tuple(replace(step, earliest=1e300 if step.name == "net/0/b" else 0.0) for step in own)
        for device, own in opened.program.steps.items()
    }
    program = replace(opened.program, steps=steps)
    with Executor(program, opened.files, two, input_arrays(opened.manifest), timeout=20) as executor:
        executor.timeout = 0.2
        threads = list(executor._workers)
        with pytest.raises(RunError, match="device 'two' is in segment 'net/0/b'"):
            executor.run()
        assert not any(thread.is_alive() for thread in threads)


def test_a_worker_that_cannot_be_pinned_says_so_whatever_the_reason(folder, two, monkeypatch):
    opened = open_folder(folder)
    with Executor(opened.program, opened.files, two, input_arrays(opened.manifest)):
        pass

    def refuse(_):
        raise ValueError("no such processor")

    monkeypatch.setattr(workers, "pin", refuse)
    with (
        Executor(opened.program, opened.files, two, input_arrays(opened.manifest), timeout=20) as executor,
        pytest.raises(RunError, match="no such processor"),
    ):
        executor.run()


def test_values_without_dimensions_are_overwritten_before_a_checked_pass(tmp_path):
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", info[:1], info[1:])
    path = tmp_path / "part.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    step = Step("s", "one", (("x", "n/0/x"),), (("y", "n/0/y"),))
    program = Program({"one": (step,)}, {"n/0/x": None, "n/0/y": "one"}, ("n/0/y",), (step,))
    given = {"n/0/x": np.array(3, np.float32)}
    with Executor(program, {"s": path}, {"one": Seat(tuple(available_cores()[:1]))}, given) as executor:
        assert checked_pass(executor, executor.reference) == 0
        assert executor.outputs()["n/0/y"] == -3


# Folders that lie


def with_external(folder, locations, *, data=None):
    """The first part with its weights in another file, which the manifest names or does not."""
    path = folder / "part0.onnx"
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    numbers = numpy_helper.to_array(tensor).tobytes()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for location in locations:
        (folder / location).write_bytes(numbers)
        tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    manifest = open_manifest(folder)
    part = path.read_bytes()
    first = changed(
        manifest.segments[0],
        bytes=len(part),
        sha256=hashlib.sha256(part).hexdigest(),
        data=data,
        data_sha256=data and hashlib.sha256(numbers).hexdigest(),
        data_bytes=len(numbers) if data else 0,
    )
    manifest = changed(manifest, segments=(first, *manifest.segments[1:]))
    (folder / "manifest.json").write_text(dumps_manifest(manifest))


def open_manifest(folder):
    from dnnplan.deploy.folder import read_manifest

    return read_manifest(folder, files=False)


@pytest.mark.parametrize(
    ("locations", "data"),
    [
        (["secret.bin"], None),
        (["secret.bin"], "part0.weights"),
        (["part0.weights", "secret.bin"], "part0.weights"),
        (["secret.bin", "part0.weights"], "part0.weights"),
    ],
)
def test_a_part_has_no_file_read_but_its_own(folder, locations, data):
    (folder / "part0.weights").write_bytes(bytes(4 * SIZE * SIZE))
    with_external(folder, locations, data=data)
    numbers = numpy_helper.to_array(onnx.load(folder / "original.onnx").graph.initializer[0]).tobytes()
    (folder / "part0.weights").write_bytes(numbers)
    with pytest.raises(FormatError, match=r"part0\.onnx: tensor .w1. has its numbers in .*, expected in"):
        open_folder(folder)


def test_a_part_reads_its_own_file(folder, two):
    with_external(folder, ["part0.weights"], data="part0.weights")
    outcome = run_folder(open_folder(folder), two, repeats=1, models={"net": folder / "original.onnx"})
    assert outcome.report.difference == 0


def retold(folder, change):
    tree = json.loads((folder / "manifest.json").read_text())
    change(tree)
    (folder / "manifest.json").write_text(json.dumps(tree))


def other_task(tree):
    for segment in tree["segments"]:
        segment["task"] = "nobody"


def other_layers(tree):
    tree["segments"][0]["layers"] = ["stem", "act", "right"]


def other_names(tree):
    text = json.dumps(tree).replace('"two"', '"three"')
    tree.clear()
    tree.update(json.loads(text))


def other_places(tree):
    """The devices of all segments exchanged: the manifest alone is sound."""
    text = json.dumps(tree).replace('"two"', '"?"').replace('"one"', '"two"').replace('"?"', '"one"')
    tree.clear()
    tree.update(json.loads(text))
    tree["devices"] = ["one", "two"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_task, "other layers in call"),
        (other_layers, "other layers in call 'net/0/a'"),
        (other_names, "the devices one, two, the manifest one, three"),
        (other_places, "other calls on device 'one'"),
    ],
)
def test_a_plan_that_is_not_that_of_the_manifest(folder, change, told):
    """Calibrating and charts look layers and devices up in both."""
    retold(folder, change)
    with pytest.raises(FormatError, match=told):
        open_folder(folder)


def test_a_copy_that_the_plan_does_not_know_is_not_drawn(folder, two):
    """Two values exchanged their ids: what the plan moves is not what the parts move."""

    def exchange(tree):
        text = json.dumps(tree).replace("net/0/r", "net/0/?").replace("net/0/h", "net/0/r")
        tree.clear()
        tree.update(json.loads(text.replace("net/0/?", "net/0/h")))

    retold(folder, exchange)
    opened = open_folder(folder)
    with Executor(opened.program, opened.files, two, input_arrays(opened.manifest)) as executor:
        measured_evaluation(opened.evaluation, executor.run(), opened.program)


# Inputs


def manifest_of(**value):
    return Manifest(values=(Value(id="net/0/x", name="x", task="net", **{"dtype": "float32", **value}),))


def test_an_input_without_dimensions_stays_one():
    manifest = manifest_of(shape=())
    assert input_arrays(manifest)["net/0/x"].shape == ()
    assert input_arrays(manifest, {"x": np.float32([5])[0]})["net/0/x"].shape == ()
    with pytest.raises(InputError, match=r"has shape \[3\], expected \[\]"):
        input_arrays(manifest, {"x": np.ones(3, np.float32)})


def test_an_input_of_unknown_shape_has_to_be_given():
    manifest = manifest_of(shape=None)
    with pytest.raises(UnsupportedError, match=r"shape is not known.*--inputs"):
        input_arrays(manifest)
    assert input_arrays(manifest, {"x": np.ones((2, 3), np.float32)})["net/0/x"].shape == (2, 3)
    with pytest.raises(UnsupportedError, match=r"type tensor\(string\).*--inputs"):
        input_arrays(manifest_of(shape=(1,), dtype="string"))


def test_an_input_that_is_given_twice():
    ones = np.ones(1, np.float32)
    with pytest.raises(InputError, match="'x' is given twice, as 'net/0/x' too"):
        input_arrays(manifest_of(shape=(1,)), {"x": ones, "net/0/x": ones})


@pytest.mark.parametrize("shape", [(1,) * 100, (0, 2**62), (2**40,)])
def test_shapes_that_numpy_does_not_take(shape):
    with pytest.raises(InputError, match="expected at most"):
        input_arrays(manifest_of(shape=shape))
