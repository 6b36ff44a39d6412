"""Splitting: parts that are valid, and that together compute what the models compute."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto

from benchmarks.networks import build_early_exit_resnet, build_mobilenet_v2, build_recurrent, build_vit
from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.manifest import read_manifest
from dnnplan.deploy.network import read_network
from dnnplan.deploy.run import Seat, open_folder, run_folder
from dnnplan.deploy.sources import model_files, whole_model
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import verify
from dnnplan.instances import FormatError, InputError, Instance, Task, UnsupportedError
from dnnplan.instances.files import read_instance, read_plan
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.instances.task import Precedence
from tests.support.deploy_networks import (
    SMALL,
    Builder,
    early_exit,
    instance_of,
    lstm,
    mobilenet,
    placed,
    platform,
    random_plan,
    saved,
    vision_transformer,
)
from tests.support.light_networks import WIDE, narrowed


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
    assert verify(place / "parts", {name: path}, seed=seed, optimise=True).equal
    covered = sorted(layer for segment in manifest.segments for layer in segment.layers)
    assert covered == sorted(layer.name for layer in instance.models[0].layers)


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
    assert verify(place / "parts", {name: path}, seed=seed, optimise=True).equal


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
