"""Splitting: parts that are valid, and that together compute what the models compute."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from benchmarks.networks import build_early_exit_resnet, build_mobilenet_v2, build_recurrent, build_vit
from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy import split as splitting
from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.manifest import Manifest, read_manifest
from dnnplan.deploy.network import read_network
from dnnplan.deploy.run import Seat, open_folder, run_folder
from dnnplan.deploy.sources import model_files, whole_model
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import TOLERANCE, check_parts, verify
from dnnplan.deploy.writing import whole_folder
from dnnplan.instances import FormatError, InputError, Instance, Plan, PlanError, Task, UnsupportedError
from dnnplan.instances.files import read_instance, read_plan, write_instance, write_plan
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.instances.task import Precedence
from tests.support.deploy_networks import (
    SMALL,
    Builder,
    early_exit,
    instance_of,
    lstm,
    mobilenet,
    platform,
    random_plan,
    saved,
    vision_transformer,
)

NARROW = 64
"""Width of the hidden layers of AlexNet, VGG-19 and ZFNet here, not 4096: they have most of the weights."""
WIDE = ("alexnet", "vgg19", "zfnet512")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("split")


def placed(instance: Instance, devices: str) -> Plan:
    """The plan in which layer k of the instance runs on the device of that number; "0" for what follows the text."""
    problem = mapping_problem(instance)
    where = ([int(d) for d in devices] + [0] * problem.n)[: problem.n]
    return encode(problem, where, [[i for i in range(problem.n) if where[i] == d] for d in range(problem.m)])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("seed", range(4))
def test_parts_compute_what_the_model_computes(name, seed, place):
    """Bitwise where the runtime leaves the graph as it is; its fusions do not cross cuts, and then round otherwise."""
    path = saved(SMALL[name](seed), place, name)
    instance = instance_of([path], 2 + seed % 2)
    manifest = split(
        random_plan(instance, seed, 0.3), instance, {name: path}, place / "parts", overwrite=True
    )
    assert read_manifest(place / "parts") == manifest
    found = verify(place / "parts", {name: path}, seed=seed)
    assert found.bitwise
    assert found.outputs == len(onnx.load(path).graph.output)
    assert verify(place / "parts", {name: path}, seed=seed, optimise=True).worst <= TOLERANCE
    covered = sorted(layer for segment in manifest.segments for layer in segment.layers)
    assert covered == sorted(layer.name for layer in instance.models[0].layers)


def narrowed(path: Path) -> onnx.ModelProto:
    """A light network whose hidden layers of 4096 are 64 wide."""
    model = onnx.load(path)
    sizes = {node.input[0] for node in model.graph.node if node.op_type == "ConstantOfShape"}
    for tensor in model.graph.initializer:
        if tensor.name in sizes:
            dims = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.where(dims == 4096, NARROW, dims), tensor.name))
    del model.graph.value_info[:]
    return model


@pytest.mark.parametrize("name", sorted(light_network_paths()))
def test_the_bundled_networks(name, place):
    """All nine, with seeded weights, cut at random."""
    path = light_network_paths()[name]
    if name in WIDE:
        path = saved(narrowed(path), place, name)
    instance = Instance(models=(read_onnx(path, name=name)[0],), platform=platform(3))
    files = {name: path}
    plan = random_plan(instance, len(name), 0.8)
    manifest = split(plan, instance, files, place / "parts", seed=1, overwrite=True)
    assert manifest.models[0].seed == 1
    assert len(manifest.segments) >= 2
    found = verify(place / "parts", files)
    assert found.bitwise
    assert found.outputs == 1


BUILT = {
    "mobilenet-v2": lambda: build_mobilenet_v2(image=64),
    "vit": lambda: build_vit(image=32, patch=8, width=24, depth=3, classes=10, batch="N"),
    "recurrent": lambda: build_recurrent(length=12),
    "early-exit": build_early_exit_resnet,
}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("seed", range(2))
def test_the_built_networks(name, seed, place):
    """MobileNetV2, DeiT with fewer blocks, LSTM and GRU, ResNet-20 with exits."""
    path = saved(BUILT[name](), place, name)
    instance = instance_of([path], 2 + seed)
    plan = random_plan(instance, seed, 0.4) if seed else placed(instance, "01" * 500)
    manifest = split(plan, instance, {name: path}, place / "parts", overwrite=True)
    assert len(manifest.segments) >= 2
    assert verify(place / "parts", {name: path}, seed=seed).bitwise
    assert verify(place / "parts", {name: path}, seed=seed, optimise=True).worst <= TOLERANCE


def test_the_whole_on_one_device_is_one_part(place):
    path = saved(mobilenet(), place, "net")
    instance = instance_of([path], 1)
    manifest = split(placed(instance, ""), instance, {"net": path}, place / "one", overwrite=True)
    assert len(manifest.segments) == 1
    assert manifest.transfers == ()
    assert manifest.segments[0].inputs == ("net/0/image",)
    names = {node.name for node in onnx.load(path).graph.node}
    assert set(manifest.segments[0].nodes) == names


def test_the_folder_is_a_plan_of_its_instance(place):
    """With the segments as calls, and the predicted times of the manifest."""
    path = saved(vision_transformer(), place, "net")
    instance = instance_of([path], 2)
    plan = random_plan(instance, 2, 0.5)
    manifest = split(plan, instance, {"net": path}, place / "own", overwrite=True)
    written = read_instance(place / "own" / "instance.json")
    called = read_plan(place / "own" / "plan.json")
    assert written == instance
    assert manifest.instance_hash == instance.hash()
    assert check(written, called) == ()
    found = evaluate(written, called)
    assert (
        found.cost.latency == manifest.predicted.latency <= evaluate(instance, plan).cost.latency * (1 + 1e-9)
    )
    assert {n: (found.starts[n], found.ends[n]) for n in found.starts} == manifest.predicted.segments
    assert tuple(called.calls) == tuple(manifest.segment_of)
    moved = [t for t in found.transfers if t.kind == "send"]
    assert sorted(t.bytes for t in manifest.transfers) == sorted(t.bytes for t in moved)
    assert model_files(called, written) == {"net": path.resolve()}
    assert whole_model(manifest.models[0], path) == path


def test_values_carry_types_and_shapes(place):
    path = saved(SMALL["float16"](0), place, "net")
    instance = instance_of([path], 2)
    manifest = split(placed(instance, "0101"), instance, {"net": path}, place / "typed", overwrite=True)
    kinds = {(value.dtype, value.shape) for value in manifest.values}
    assert ("float32", (2, 8)) in kinds
    assert ("int64", (2,)) in kinds or ("float32", (2, 4)) in kinds
    for segment in manifest.segments:
        model = onnx.load(place / "typed" / segment.file)
        onnx.checker.check_model(model, full_check=True)
        assert [v.name for v in model.graph.output] == [manifest.value_of[i].name for i in segment.outputs]


# Symbolic dimensions


@pytest.mark.parametrize("batch", [1, 3])
def test_symbolic_dimensions_stay_symbolic(place, batch):
    path = saved(vision_transformer(batch="N"), place, "net")
    instance = instance_of([path], 2)
    manifest = split(random_plan(instance, 1, 0.4), instance, {"net": path}, place / "sym", overwrite=True)
    assert all(value.shape[0] == "N" for value in manifest.values if value.planned)
    assert verify(place / "sym", {"net": path}, dims={"N": batch}).bitwise


@pytest.mark.parametrize("value", [0, True, 2.5, 2**31 + 1, 10**30])
def test_numbers_that_are_no_dimension(place, value):
    path = saved(vision_transformer(batch="N"), place, "vit")
    with pytest.raises(InputError, match="dimension 'N'"):
        read_network(path, dims={"N": value})


def test_symbolic_dimensions_with_numbers(place):
    path = saved(vision_transformer(batch="N"), place, "net")
    instance = instance_of([path], 2)
    plan = random_plan(instance, 1, 0.4)
    manifest = split(plan, instance, {"net": path}, place / "num", dims={"N": 2}, overwrite=True)
    assert all(value.shape[0] == 2 for value in manifest.values)
    assert verify(place / "num", {"net": path}).bitwise
    with pytest.raises(InputError, match="no input has a symbolic dimension 'M'"):
        split(plan, instance, {"net": path}, place / "num", dims={"M": 2}, overwrite=True)


def shaped_by_another(batch: int | str) -> onnx.ModelProto:
    """y takes its shape from x, which is made in parallel: no tensor of the plan goes from x to y."""
    b = Builder()
    image = b.input("image", (batch, 8))
    x = b.node("Tanh", b.node("MatMul", image, b.weight(8, 6)))
    other = b.node("MatMul", image, b.weight(8, 6))
    y = b.node("Reshape", b.node("Sigmoid", other), b.node("Shape", x))
    z = b.node("MatMul", y, b.weight(6, 2))
    return b.model([(z, (batch, 2)), (x, (batch, 6))])


def test_a_shape_that_is_not_known_crosses_as_a_value(place):
    path = saved(shaped_by_another("N"), place, "net")
    instance = instance_of([path], 2)
    names = [layer.name for layer in instance.models[0].layers]
    on = {name: str(int("MatMul_0" not in name)) for name in names}
    plan = placed(instance, "".join(on[name] for name in names))
    manifest = split(plan, instance, {"net": path}, place / "shape", overwrite=True)
    extra = [value for value in manifest.values if not value.planned]
    assert [(value.dtype, value.shape) for value in extra] == [("int64", (2,))]
    assert [t.bytes for t in manifest.transfers if t.value == extra[0].id] == [16]
    assert verify(place / "shape", {"net": path}, dims={"N": 3}).bitwise


def test_a_shape_that_is_known_does_not(place):
    path = saved(shaped_by_another(4), place, "net")
    instance = instance_of([path], 2)
    manifest = split(random_plan(instance, 3, 0.1), instance, {"net": path}, place / "shape", overwrite=True)
    assert all(value.planned for value in manifest.values)
    assert verify(place / "shape", {"net": path}).bitwise


def test_a_part_that_nobody_needs_makes_something(place):
    """What only a known shape read is a dead end; the runtime takes no part without outputs."""
    b = Builder()
    x = b.input("x", (2, 4))
    y = b.node("Reshape", x, b.node("Shape", b.node("MatMul", x, b.weight(4, 4))))
    path = saved(b.model([(y, (2, 4))]), place, "dead-end")
    instance = instance_of([path], 2)
    manifest = split(placed(instance, "01"), instance, {"dead-end": path}, place / "dead", overwrite=True)
    assert [len(segment.outputs) for segment in manifest.segments] == [1, 1]
    assert [(v.targets, v.output) for v in manifest.values if v.source and not v.output] == [((), False)]
    assert verify(place / "dead", {"dead-end": path}).bitwise
    opened = open_folder(place / "dead")
    seat = Seat(tuple(available_cores()[:1]))
    outcome = run_folder(opened, {"cpu": seat, "gpu": seat}, repeats=1, shared=True)
    assert outcome.report.difference == 0
    values = tuple(replace(v, output=False) for v in manifest.values)
    dumps_manifest(replace(manifest, values=values, jobs=()))  # both are dead ends then
    segments = (replace(manifest.segments[0], outputs=()), *manifest.segments[1:])
    with pytest.raises(FormatError, match="no reader and is no output"):
        dumps_manifest(replace(manifest, segments=segments))


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.UINT64, TensorProto.BOOL, TensorProto.INT32])
def test_whole_numbers_can_cross_where_parts_run(place, kind):
    """The runtime's arrays of 64 bits are of another type of numpy's than np.int64, though their dtype is equal."""
    b = Builder()
    x = b.node("Cast", b.node("Relu", b.input("x", (2, 4))), to=kind)
    y = b.node("Sin", b.node("Cast", x, to=TensorProto.FLOAT))
    path = saved(b.model([(y, (2, 4))]), place, "casts")
    instance = Instance(models=(read_onnx(path, fuse=False)[0],), platform=platform(2))
    split(placed(instance, "0011"), instance, {"casts": path}, place / "ints", overwrite=True)
    opened = open_folder(place / "ints")
    assert [value.dtype for value in opened.manifest.values if value.targets and value.source] != ["float32"]
    seat = Seat(tuple(available_cores()[:1]))
    outcome = run_folder(opened, {"cpu": seat, "gpu": seat}, repeats=1, shared=True)
    assert outcome.report.difference == 0


def test_a_dead_end_is_fused_once(place):
    """Two readers of a value close, and one of them is a dead end that what follows would take again."""
    b = Builder()
    x = b.node("Relu", b.input("x", (2, 4)))
    y = b.node("Add", x, b.weight(1, 4))
    b.node("Add", x, b.weight(1, 4))
    b.node("Neg", y)
    b.node("Mul", x, b.weight(1, 4))
    z = b.node("Tanh", b.node("Clip", y, b.constant(np.float32(0))))
    path = saved(b.model([(z, (2, 4))]), place, "fused")
    instance = instance_of([path], 2)
    nodes = [name for layer in instance.models[0].layers for name in layer.attributes["onnx_nodes"]]
    assert sorted(nodes) == sorted(node.name for node in onnx.load(path).graph.node)
    split(random_plan(instance, 1), instance, {"fused": path}, place / "once", overwrite=True)
    assert verify(place / "once", {"fused": path}).bitwise


def test_a_shape_that_is_needed_before_it_is_known_is_refused(place):
    """On one device with y before x, which the plan can have, since it knows of no tensor between them."""
    path = saved(shaped_by_another("N"), place, "net")
    instance = instance_of([path], 2)
    problem = mapping_problem(instance)
    names = [key.rsplit("/", 1)[1] for key in problem.layers]
    first = [i for i, name in enumerate(names) if "MatMul_0" not in name]
    last = [i for i in range(problem.n) if i not in first]
    plan = encode(problem, [0] * problem.n, [[*first, *last], []])
    called = replace(
        plan,
        calls={"y": tuple(problem.layers[i] for i in first), "x": tuple(problem.layers[i] for i in last)},
        order={problem.devices[0]: ("y", "x")},
    )
    with pytest.raises(UnsupportedError, match="--dim"):
        split(called, instance, {"net": path}, place / "shape", overwrite=True)
    assert split(called, instance, {"net": path}, place / "shape", dims={"N": 2}, overwrite=True)
    assert verify(place / "shape", {"net": path}).bitwise


# Several networks, tasks and jobs


def test_jobs_of_one_task_share_their_files(place):
    path = saved(early_exit(), place, "net")
    base = instance_of([path], 2)
    tasks = (Task(name="a", model="net", period=0.5), Task(name="b", model="net", period=1))
    instance = replace(base, tasks=tasks)
    manifest = split(placed(instance, "0011" * 8), instance, {"net": path}, place / "jobs", overwrite=True)
    files = {segment.file for segment in manifest.segments}
    assert len(files) < len(manifest.segments)
    assert {(job.task, job.job) for job in manifest.jobs} == {("a", 0), ("a", 1), ("b", 0)}
    assert {path.name for path in (place / "jobs").glob("*.onnx")} == files
    assert verify(place / "jobs", {"net": path}).bitwise


def test_files_that_are_shared_are_stated_alike(place):
    """The size of a data file too: the file is checked once, by what the first of its segments says."""
    path = saved(early_exit(), place, "net")
    instance = replace(instance_of([path], 2), tasks=(Task(name="a", model="net", period=0.5),))
    instance = replace(instance, tasks=(*instance.tasks, Task(name="b", model="net", period=1)))
    plan = placed(instance, "0011" * 8)
    manifest = split(plan, instance, {"net": path}, place / "alike", overwrite=True, inline_limit=0)
    files = [segment.file for segment in manifest.segments]
    again = next(at for at, file in enumerate(files) if file in files[:at])
    other = replace(manifest.segments[again], data_bytes=manifest.segments[again].data_bytes + 1)
    segments = (*manifest.segments[:again], other, *manifest.segments[again + 1 :])
    with pytest.raises(FormatError, match="stated differently elsewhere"):
        dumps_manifest(replace(manifest, segments=segments))


def test_several_networks_and_precedences(place):
    paths = {"one": saved(mobilenet(1), place, "one"), "two": saved(lstm(2), place, "two")}
    instance = replace(
        instance_of(list(paths.values()), 2),
        tasks=(Task(name="first", model="two"), Task(name="second", model="one")),
        precedences=(Precedence(before="first", after="second"),),
    )
    manifest = split(random_plan(instance, 5, 0.5), instance, paths, place / "two", overwrite=True)
    firsts = {segment.name for segment in manifest.segments if segment.task == "first"}
    assert all(set(s.after) == firsts for s in manifest.segments if s.task == "second")
    assert all(not s.after for s in manifest.segments if s.task == "first")
    assert verify(place / "two", paths).bitwise


# What is caught


@pytest.fixture
def parts(place, tmp_path):
    """A split chain whose parts could be swapped: they read and make tensors of one shape."""
    b = Builder()
    x = b.input("x", (4, 8))
    for _ in range(4):
        x = b.node("Tanh", b.node("MatMul", x, b.weight(8, 8)))
    path = saved(b.model([(x, (4, 8))]), place, "chain")
    instance = instance_of([path], 2)
    split(placed(instance, "0101"), instance, {"chain": path}, tmp_path / "parts")
    return tmp_path / "parts", {"chain": path}


def rewritten(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_text(dumps_manifest(manifest))


def test_swapped_parts_are_caught(parts):
    """First by their digests; with a manifest that was made to fit, by the names of their tensors."""
    folder, files = parts
    manifest = read_manifest(folder)
    a, b = manifest.segments[1:3]
    data = [(folder / s.file).read_bytes() for s in (a, b)]
    (folder / a.file).write_bytes(data[1])
    (folder / b.file).write_bytes(data[0])
    with pytest.raises(FormatError, match=r"SHA-256|bytes"):
        verify(folder, files)
    swapped = {
        a.name: replace(a, sha256=b.sha256, bytes=b.bytes),
        b.name: replace(b, sha256=a.sha256, bytes=a.bytes),
    }
    rewritten(folder, replace(manifest, segments=tuple(swapped.get(s.name, s) for s in manifest.segments)))
    with pytest.raises(FormatError, match="by the manifest"):
        verify(folder, files)


def test_swapped_weights_are_caught(parts):
    """Everything fits, names, shapes and digests; only the numbers say so."""
    folder, files = parts
    manifest = read_manifest(folder)
    a, b = manifest.segments[1:3]
    models = [onnx.load(folder / s.file) for s in (a, b)]
    weights = [numpy_helper.to_array(m.graph.initializer[0]) for m in models]
    entries = {}
    for segment, model, array in zip((a, b), models, reversed(weights), strict=True):
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, model.graph.initializer[0].name))
        data = model.SerializeToString()
        (folder / segment.file).write_bytes(data)
        entries[segment.name] = replace(segment, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    rewritten(folder, replace(manifest, segments=tuple(entries.get(s.name, s) for s in manifest.segments)))
    found = verify(folder, files)
    assert not found.bitwise
    assert not found.equal


def test_a_dropped_tensor_is_caught(parts):
    """In the manifest by its rules; in a part, with a manifest that fits, by the ONNX checker."""
    folder, files = parts
    manifest = read_manifest(folder)
    last = manifest.segments[-1]
    tree = json.loads((folder / "manifest.json").read_text())
    tree["segments"][-1]["inputs"] = []
    (folder / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(FormatError, match="not among the inputs"):
        read_manifest(folder)
    rewritten(folder, manifest)
    model = onnx.load(folder / last.file)
    del model.graph.input[:]
    (folder / last.file).write_bytes(model.SerializeToString())
    with pytest.raises(FormatError):
        verify(folder, files)
    with pytest.raises(FormatError, match="inputs"):
        check_parts(folder, manifest)


def test_an_output_of_no_job_is_caught(parts):
    folder, files = parts
    manifest = read_manifest(folder)
    jobs = tuple(replace(job, outputs={}) for job in manifest.jobs)
    rewritten(folder, replace(manifest, jobs=jobs))
    with pytest.raises(FormatError, match="no job of the manifest says"):
        verify(folder, files)


def test_weights_in_another_file_are_caught(parts):
    """As long as it lies in the folder, readers of ONNX files would take it."""
    folder, _ = parts
    manifest = read_manifest(folder)
    model = onnx.load(folder / manifest.segments[0].file)
    tensor = model.graph.initializer[0]
    (folder / "other").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="other")
    (folder / manifest.segments[0].file).write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=r"has its numbers in .other., expected in the part itself"):
        check_parts(folder, manifest)


@pytest.mark.parametrize("shape", [(1,) * 70, (0, 2**62)])
def test_inputs_that_numpy_does_not_take(parts, shape):
    folder, files = parts
    manifest = read_manifest(folder)
    values = tuple(replace(v, shape=shape) if v.source is None else v for v in manifest.values)
    rewritten(folder, replace(manifest, values=values))
    with pytest.raises(UnsupportedError, match="too large"):
        verify(folder, files)


def test_an_output_that_is_stored_keeps_its_name(place):
    """Its constant needs another one, which may be taken."""
    b = Builder()
    inputs = [b.input("x", (1, 8)), b.weight(1, 8, name="bias")]
    b.nodes.append(helper.make_node("Add", inputs, ["bias/stored"], name="add"))
    y = b.node("Tanh", "bias/stored")
    path = saved(b.model([(y, (1, 8)), ("bias", (1, 8))]), place, "stored")
    instance = instance_of([path], 2)
    split(placed(instance, "00"), instance, {"stored": path}, place / "stored-parts", overwrite=True)
    assert verify(place / "stored-parts", {"stored": path}).bitwise


def test_a_wrong_wire_is_caught(place):
    """Two values of one shape exchanged in the manifest alone."""
    path = saved(early_exit(), place, "exits")
    instance = instance_of([path], 2)
    split(random_plan(instance, 1, 0.3), instance, {"exits": path}, place / "wire", overwrite=True)
    manifest = read_manifest(place / "wire")
    a, b = [v for v in manifest.outputs if v.shape == (1, 10)][:2]
    values = {a.id: replace(a, name=b.name), b.id: replace(b, name=a.name)}
    rewritten(place / "wire", replace(manifest, values=tuple(values.get(v.id, v) for v in manifest.values)))
    with pytest.raises(FormatError, match="by the manifest"):
        verify(place / "wire", {"exits": path})


# Weights beside the file


def test_large_weights_go_into_a_file_beside_the_part(place):
    """The limit of protocol buffers is 2 GiB; here it is lowered."""
    path = saved(mobilenet(), place, "net")
    instance = instance_of([path], 2)
    plan = placed(instance, "0" * 8 + "1" * 20)
    manifest = split(plan, instance, {"net": path}, place / "large", inline_limit=4000, overwrite=True)
    beside = [s for s in manifest.segments if s.data is not None]
    assert beside
    for segment in beside:
        model = onnx.load(place / "large" / segment.file, load_external_data=False)
        locations = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        assert locations == {segment.data}
        assert (place / "large" / segment.data).stat().st_size == segment.data_bytes
    assert verify(place / "large", {"net": path}).bitwise
    data = place / "large" / beside[0].data
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    with pytest.raises(FormatError, match="data"):
        read_manifest(place / "large")


def external(model: onnx.ModelProto, folder: Path, name: str) -> Path:
    """The same model with its weights in a file beside it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=f"{name}.bin",
        size_threshold=64,
        convert_attribute=True,
    )
    return path


@pytest.mark.parametrize("name", ["mobilenet", "functions", "sub-graphs"])
@pytest.mark.parametrize("limit", [500, 2**30])
def test_models_with_external_data(place, name, limit):
    plain = saved(SMALL[name](0), place, name)
    path = external(SMALL[name](0), place / "external", name)
    instance = instance_of([plain], 2)
    plan = random_plan(instance, 1, 0.3)
    split(plan, instance, {name: path}, place / "ext", inline_limit=limit, overwrite=True)
    assert verify(place / "ext", {name: path}).bitwise
    files = {
        s.name: s.sha256 for s in split(plan, instance, {name: plain}, place / "p", overwrite=True).segments
    }
    if limit > 500:
        again = split(plan, instance, {name: path}, place / "ext", overwrite=True)
        assert {s.name: s.sha256 for s in again.segments} == files, (
            "the same parts, wherever the weights were"
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("location", "../outside.bin"),
        ("location", "/etc/passwd"),
        ("location", "link.bin"),
        ("location", "missing.bin"),
        ("location", ""),
        ("offset", "-1"),
        ("offset", "9" * 30),
        ("offset", "1000000"),
        ("length", "3"),
        ("length", str(2**40)),
    ],
)
def test_hostile_external_data(place, key, value):
    path = external(mobilenet(), place / "hostile", "net")
    (place / "outside.bin").write_bytes(bytes(10_000_000))
    link = place / "hostile" / "link.bin"
    link.unlink(missing_ok=True)
    link.symlink_to(place / "outside.bin")
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    kept = {entry.key: entry.value for entry in tensor.external_data} | {key: value}
    del tensor.external_data[:]
    for name, text in kept.items():
        tensor.external_data.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())
    plain = saved(mobilenet(), place, "net")
    instance = instance_of([plain], 2)
    with pytest.raises(FormatError):
        split(placed(instance, "01"), instance, {"net": path}, place / "no", overwrite=True)
    assert not (place / "no").exists()


# Bad input


@pytest.fixture
def case(place):
    path = saved(early_exit(), place, "net")
    instance = instance_of([path], 2)
    return path, instance, random_plan(instance, 1, 0.5)


def test_a_plan_for_another_instance(case, tmp_path):
    path, instance, plan = case
    other = replace(instance, name="other")
    with pytest.raises(PlanError, match="made for"):
        split(plan, other, {"net": path}, tmp_path / "parts")
    with pytest.raises(PlanError, match="no placement"):
        split(replace(plan, placement={}), instance, {"net": path}, tmp_path / "parts")
    with pytest.raises(UnsupportedError, match="'ordering'"):
        split(replace(plan, problem="ordering"), instance, {"net": path}, tmp_path / "parts")
    with pytest.raises(PlanError, match="unknown"):
        split(
            replace(plan, placement={**plan.placement, "net/0/nothing": "cpu"}),
            instance,
            {"net": path},
            tmp_path / "p",
        )
    assert list(tmp_path.iterdir()) == []


def test_another_file(case, tmp_path):
    _, instance, plan = case
    other = saved(mobilenet(), tmp_path, "other")
    with pytest.raises(InputError, match="is it the file that was planned"):
        split(plan, instance, {"net": other}, tmp_path / "parts")


def test_a_file_with_more_nodes(case, tmp_path):
    path, instance, plan = case
    model = onnx.load(path)
    model.graph.node.add(op_type="Neg", name="more", input=[model.graph.output[0].name], output=["extra"])
    model.graph.output.append(helper.make_tensor_value_info("extra", 1, (1, 10)))
    with pytest.raises(InputError, match="'more' depends on an input and is in no layer"):
        split(plan, instance, {"net": saved(model, tmp_path, "net")}, tmp_path / "parts")


def test_layers_without_nodes(case, tmp_path):
    path, instance, _ = case
    layers = tuple(replace(layer, attributes={}) for layer in instance.models[0].layers)
    bare = replace(instance, models=(replace(instance.models[0], layers=layers),))
    with pytest.raises(UnsupportedError, match="onnx_nodes"):
        split(random_plan(bare, 1), bare, {"net": path}, tmp_path / "parts")


def test_light_files_are_refused(tmp_path):
    path = light_network_paths()["squeezenet"]
    instance = Instance(models=(read_onnx(path, name="squeezenet")[0],), platform=platform(2))
    plan = random_plan(instance, 1)
    with pytest.raises(InputError, match="materialise"):
        split(plan, instance, {"squeezenet": path}, tmp_path / "parts")
    split(plan, instance, {"squeezenet": path}, tmp_path / "parts", light=True)
    assert verify(tmp_path / "parts", {"squeezenet": path}).bitwise


def test_constant_initialisers_are_light_too(tmp_path):
    b = Builder()
    y = b.node("MatMul", b.input("x", (1, 100)), b.constant(np.full((100, 100), 0.5, np.float32)))
    path = saved(b.model([(y, (1, 100))]), tmp_path, "net")
    with pytest.raises(InputError, match="one number throughout"):
        read_network(path)


def test_folders_that_are_not_free(case, tmp_path):
    path, instance, plan = case
    files, target = {"net": path}, tmp_path / "parts"
    split(plan, instance, files, target)
    with pytest.raises(InputError, match="not empty"):
        split(plan, instance, files, target)
    split(plan, instance, files, target, overwrite=True)
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        split(plan, instance, files, target, overwrite=True)
    assert (target / "thesis.tex").exists()
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "no" / "where"):
        with pytest.raises(InputError):
            split(plan, instance, files, bad, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError):
        split(plan, instance, files, tmp_path / "link", overwrite=True)
    (tmp_path / "empty").mkdir()
    split(plan, instance, files, tmp_path / "empty")


def test_two_threads_write_into_folders_of_their_own(tmp_path):
    """One process may write the same folder twice at once: the last one stays, and it is whole."""
    refused = []

    def other() -> None:
        try:
            with whole_folder(tmp_path / "parts") as theirs:
                (theirs / "theirs").write_text("2")
        except OSError as error:
            refused.append(error)

    with whole_folder(tmp_path / "parts", overwrite=True) as mine:
        (mine / "mine").write_text("1")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert [path.name for path in (tmp_path / "parts").glob("t*")] == ["theirs"]
    assert refused == []
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [".written-by-dnnplan", "mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def test_nothing_is_left_after_an_error(case, tmp_path, monkeypatch):
    path, instance, plan = case
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("no space left")
        return written(*arguments)

    written = splitting.write_model
    monkeypatch.setattr(splitting, "write_model", fail)
    with pytest.raises(OSError, match="no space"):
        split(plan, instance, {"net": path}, tmp_path / "parts")
    assert list(tmp_path.iterdir()) == []


SLOW_SPLIT = """
import sys, time
from dnnplan.deploy import split as splitting
from dnnplan.instances.files import read_instance, read_plan
real = splitting.write_model
def slow(*arguments):
    found = real(*arguments)
    print("part", flush=True)
    time.sleep(30)
    return found
splitting.write_model = slow
folder = sys.argv[1]
instance, plan = read_instance(folder + "/instance.json"), read_plan(folder + "/plan.json")
splitting.split(plan, instance, {"net": sys.argv[2]}, folder + "/parts")
"""


def test_a_killed_split_leaves_no_half_folder(case, tmp_path):
    """Not under its name, even when it had no chance to clean up."""
    path, instance, plan = case
    write_instance(instance, tmp_path / "instance.json")
    write_plan(plan, tmp_path / "plan.json")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SPLIT, str(tmp_path), str(path)],
        stdout=subprocess.PIPE,
        env=os.environ.copy(),
    )
    assert process.stdout.readline() == b"part\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "parts").exists()
    split(plan, instance, {"net": path}, tmp_path / "parts")


def test_what_a_plan_carries_is_only_taken_as_it_was(case, tmp_path):
    """The path in a plan leads to nothing but the very file that was planned."""
    path, instance, plan = case
    file = tmp_path / "net.onnx"
    shutil.copy(path, file)
    entry = {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    carrying = replace(plan, extensions={"models": {"net": entry}})
    assert model_files(carrying, instance) == {"net": file}
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"changed since it was planned.*--models"):
        model_files(carrying, instance)
    file.unlink()
    with pytest.raises(InputError, match="no longer there"):
        model_files(carrying, instance)
    os.mkfifo(file)
    began = time.monotonic()
    with pytest.raises(InputError, match="no longer there"):
        model_files(carrying, instance)
    assert time.monotonic() - began < 20, "it did not wait for a writer"
    for damaged in (
        {},
        {"net": 3},
        {"net": {"path": 3, "sha256": "x"}},
        {"net": {"path": "a\0b", "sha256": "x"}},
        [],
    ):
        with pytest.raises(InputError, match="--models"):
            model_files(replace(plan, extensions={"models": damaged}), instance)


def test_files_that_are_given_for_nothing(place, tmp_path):
    """What is named and not taken is a mistake: the file that the plan carries would be split in its place."""
    paths = [saved(early_exit(), tmp_path, "one"), saved(mobilenet(), tmp_path, "two")]
    instance = instance_of(paths, 2)
    carried = {
        path.stem: {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in paths
    }
    plan = replace(random_plan(instance, 1), extensions={"models": carried})
    for folder in ("a", "b", "empty"):
        (tmp_path / folder).mkdir()
    odd = saved(early_exit(), tmp_path / "a", "tow")
    for given in ([odd], [odd, paths[0]], [tmp_path / "empty"], [tmp_path / "empty", tmp_path]):
        with pytest.raises(InputError, match=r"has the file of no model; expected one\.onnx, two\.onnx"):
            model_files(plan, instance, given)
    first, second = (
        saved(early_exit(seed), tmp_path / folder, "one") for seed, folder in ((1, "a"), (2, "b"))
    )
    for given in ([first, second], [tmp_path / "a", second], [tmp_path / "b", tmp_path]):
        with pytest.raises(InputError, match=r"one\.onnx and .*one\.onnx are both of model one"):
            model_files(plan, instance, given)
    # One file that is named twice is one.
    assert model_files(plan, instance, [first, tmp_path / "a"]) == {"one": first, "two": paths[1]}
    models = [
        replace(model, source=f"{name}.onnx") for model, name in zip(instance.models, "xy", strict=True)
    ]
    both = [saved(early_exit(), tmp_path / "b", "x"), saved(early_exit(), tmp_path / "empty", "x")]
    with pytest.raises(InputError, match="are both of model one"):
        model_files(plan, replace(instance, models=tuple(models)), both)


def test_given_files_are_found_by_name(case, tmp_path):
    path, instance, plan = case
    for name in ("net.onnx", "other.onnx"):
        shutil.copy(path, tmp_path / name)
    assert model_files(plan, instance, [tmp_path]) == {"net": tmp_path / "net.onnx"}
    assert model_files(plan, instance, [tmp_path / "other.onnx"]) == {"net": tmp_path / "other.onnx"}
    with pytest.raises(InputError, match="no such file"):
        model_files(plan, instance, [tmp_path / "nowhere.onnx"])
    with pytest.raises(InputError, match="--models"):
        model_files(plan, instance, [tmp_path / "other.onnx", tmp_path / "other.onnx"])
