"""Plans for other runtimes: annotated models in real sessions, and tables."""

from __future__ import annotations

import csv
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs import encode, mapping_problem
from dnnplan.deploy.annotate import annotated_copy
from dnnplan.deploy.export import CONFIG_KEY, export_csv, export_onnxruntime
from dnnplan.instances import InputError, PlanError, Task
from dnnplan.instances.formats.onnx import read_onnx
from dnnplan.instances.formats.onnx.structure import unique_node_names
from tests.support.deploy_networks import (
    SMALL,
    branch,
    early_exit,
    instance_of,
    joint_plan,
    random_plan,
    saved,
    sharing_tasks,
)

CPU = ["CPUExecutionProvider"]


def session(path, settings: str | None = None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if settings is not None:
        options.add_session_config_entry(CONFIG_KEY, settings)
    return onnxruntime.InferenceSession(str(path), options, providers=CPU)


def outputs(opened) -> list:
    random = np.random.default_rng(0)
    feeds = {i.name: random.standard_normal(i.shape).astype(np.float32) for i in opened.get_inputs()}
    return [array.tobytes() for array in opened.run(None, feeds)]


def annotations(path) -> dict[str, str]:
    """Annotation by node, as the reader names nodes."""
    graph = onnx.load(path, load_external_data=False).graph
    return {
        name: entry.value
        for name, node in zip(unique_node_names(graph), graph.node, strict=True)
        for entry in node.metadata_props
        if entry.key == "layer_ann"
    }


@pytest.mark.parametrize("name", SMALL)
def test_annotated_copies_run_as_before(name, tmp_path):
    """In a real session, with the settings that go with them."""
    path = saved(SMALL[name](1), tmp_path, name)
    instance = instance_of([path], 3)
    plan = random_plan(instance, 1, 0.4)
    tree = export_onnxruntime(plan, instance, {name: path}, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "annotations.json").read_text()) == tree
    entry = tree["models"][0]
    copy = tmp_path / "out" / entry["file"]
    onnx.checker.check_model(onnx.load(copy))
    assert outputs(session(copy, entry["settings"])) == outputs(session(path))
    expected = {
        node: f"dnnplan_{plan.placement[f'{name}/0/{layer.name}']}"
        for layer in instance.models[0].layers
        for node in layer.attributes["onnx_nodes"]
    }
    found = annotations(copy)
    assert expected.items() <= found.items()
    for device, told in tree["devices"].items():
        assert told == {"annotation": f"dnnplan_{device}", "designator": device}
        assert f"{device}(=dnnplan_{device})" in entry["settings"]


def test_constants_follow_their_readers(tmp_path):
    """The bias that both devices read has none of them; what one device reads has that."""
    model = early_exit()
    constants = []
    for k, tensor in enumerate(list(model.graph.initializer)):
        constants.append(onnx.helper.make_node("Constant", [], [tensor.name], name=f"c{k}", value=tensor))
    del model.graph.initializer[:]
    nodes = [*constants, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    path = saved(model, tmp_path, "net")
    instance = instance_of([path], 2)
    plan = random_plan(instance, 1, 0.2)
    tree = export_onnxruntime(plan, instance, {"net": path}, tmp_path / "out")
    found = annotations(tmp_path / "out" / "net.onnx")
    graph = onnx.load(path).graph
    for node in graph.node:
        if node.op_type == "Constant":
            readers = {found[r.name] for r in graph.node if node.output[0] in r.input}
            assert found.get(node.name) == (readers.pop() if len(readers) == 1 else None)
    assert outputs(session(tmp_path / "out" / "net.onnx", tree["models"][0]["settings"])) == outputs(
        session(path)
    )


def test_a_file_with_more_nodes_is_refused(tmp_path):
    """Names such as n0, n1, ... are in every file of some exporters."""
    path = saved(early_exit(), tmp_path, "net")
    instance = instance_of([path], 2)
    model = onnx.load(path)
    model.graph.node.add(op_type="Shape", input=[model.graph.node[0].output[0]], output=["fine"])
    model.graph.node.add(op_type="Neg", name="more", input=[model.graph.node[-2].output[0]], output=["extra"])
    model.graph.output.append(onnx.helper.make_tensor_value_info("extra", 1, (1, 10)))
    other = saved(model, tmp_path, "other")
    with pytest.raises(InputError, match="'more' depends on an input and is in no layer of the plan"):
        export_onnxruntime(random_plan(instance, 1), instance, {"net": other}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_annotations_of_another_plan_are_dropped(tmp_path):
    """The runtime would take one of two entries of the same key."""
    path = saved(early_exit(), tmp_path, "net")
    first = unique_node_names(onnx.load(path).graph)[0]
    annotated_copy(path, tmp_path / "one.onnx", {first: "gpu"})
    annotated_copy(tmp_path / "one.onnx", tmp_path / "two.onnx", {first: "cpu"})
    annotated_copy(tmp_path / "one.onnx", tmp_path / "none.onnx", {})
    entries = [entry for node in onnx.load(tmp_path / "two.onnx").graph.node for entry in node.metadata_props]
    assert [(entry.key, entry.value) for entry in entries] == [("layer_ann", "cpu")]
    assert annotations(tmp_path / "none.onnx") == {}


@pytest.mark.parametrize("text", ["cpu(", "cpu)a(", "(=a)", "cpu(=a); npu(=a)"])
def test_the_runtime_looks_at_the_settings(text, tmp_path):
    """It refuses malformed ones: so that ours are taken says something."""
    path = saved(early_exit(), tmp_path, "net")
    with pytest.raises(Exception, match="layering config"):
        session(path, text)


def test_weights_beside_the_model_stay_beside_it(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "net.onnx"
    onnx.save_model(early_exit(), path, save_as_external_data=True, location="net.bin", size_threshold=64)
    instance = instance_of([path], 2)
    tree = export_onnxruntime(random_plan(instance, 1), instance, {"net": path}, tmp_path / "out")
    copy = tmp_path / "out" / "net.onnx"
    assert outputs(session(copy, tree["models"][0]["settings"])) == outputs(session(path))
    annotated_copy(path, tmp_path / "small.onnx", {}, inline_limit=100)
    assert (tmp_path / "small.weights").stat().st_size > 100
    assert outputs(session(tmp_path / "small.onnx")) == outputs(session(path))


def test_designators(tmp_path):
    path = saved(early_exit(), tmp_path, "net")
    base = instance_of([path], 2)
    devices = tuple(
        replace(device, kind=kind) for device, kind in zip(base.platform.devices, ("dsp", "gpu"), strict=True)
    )
    instance = replace(base, platform=replace(base.platform, devices=devices))
    plan = random_plan(instance, 1, 0.3)
    names = [device.name for device in devices]
    files = {"net": path}
    with pytest.raises(InputError, match=r"kind 'dsp'.*--designator"):
        export_onnxruntime(plan, instance, files, tmp_path / "out")
    for bad in ("cpu(", "tpu", "gpu:", "a); cpu(b", "gpu:1;2"):
        with pytest.raises(InputError, match="expected cpu"):
            export_onnxruntime(plan, instance, files, tmp_path / "out", designators={names[0]: bad})
    with pytest.raises(InputError, match="no such device"):
        export_onnxruntime(plan, instance, files, tmp_path / "out", designators={"tpu": "cpu"})
    tree = export_onnxruntime(plan, instance, files, tmp_path / "out", designators={names[0]: "gpu:1"})
    settings = tree["models"][0]["settings"]
    assert f"gpu:1(=dnnplan_{names[0]})" in settings
    assert session(tmp_path / "out" / "net.onnx", settings)


def test_two_devices_of_one_designator_are_in_one_entry(tmp_path):
    path = saved(early_exit(), tmp_path, "net")
    base = instance_of([path], 2)
    devices = tuple(replace(device, kind="cpu") for device in base.platform.devices)
    instance = replace(base, platform=replace(base.platform, devices=devices))
    tree = export_onnxruntime(random_plan(instance, 1, 0.3), instance, {"net": path}, tmp_path / "out")
    assert tree["models"][0]["settings"] == "cpu(=dnnplan_cpu, =dnnplan_gpu)"
    assert session(tmp_path / "out" / "net.onnx", tree["models"][0]["settings"])


def test_one_copy_unless_jobs_run_elsewhere(tmp_path):
    path = saved(early_exit(), tmp_path, "net")
    tasks = (Task(name="a", model="net"), Task(name="b", model="net"))
    instance = replace(instance_of([path], 2), tasks=tasks)
    problem = mapping_problem(instance)
    n = problem.n // 2
    for places, count in (([0] * n + [1] * (n - 3), 2), ([0] * n * 2, 1)):
        place = (places + [1] * 3)[: 2 * n] if count == 2 else places
        order = [[i for i in range(2 * n) if place[i] == d] for d in range(2)]
        tree = export_onnxruntime(
            encode(problem, place, order), instance, {"net": path}, tmp_path / "out", overwrite=True
        )
        assert len(tree["models"]) == count
        assert sum(len(entry["tasks"]) for entry in tree["models"]) == 2


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_every_node(tmp_path):
    path = saved(early_exit(), tmp_path, "net")
    instance = instance_of([path], 2)
    plan = random_plan(instance, 2, 0.4)
    assert export_csv(plan, instance, tmp_path / "out") == ["net.csv"]
    found = rows(tmp_path / "out" / "net.csv")
    assert list(found[0]) == ["task", "job", "model", "node", "layer", "segment", "device", "start", "end"]
    model, _ = read_onnx(path)
    assert {(r["layer"], r["node"]) for r in found} == {
        (layer.name, node) for layer in model.layers for node in layer.attributes["onnx_nodes"]
    }
    assert all(plan.placement[f"net/0/{r['layer']}"] == r["device"] for r in found)
    assert max(float(r["end"]) for r in found) == pytest.approx(dnnplan.evaluate(instance, plan).cost.latency)


def test_tables_need_no_onnx(tmp_path):
    instance = dnnplan.load("tiny/hand")
    plan = dnnplan.solve(instance, time_limit=5).plan
    export_csv(plan, instance, tmp_path / "out")
    found = rows(tmp_path / "out" / "hand.csv")
    assert [r["node"] for r in found] == [""] * 6
    assert {r["layer"]: r["device"] for r in found}["stem"] == plan.placement["hand/0/stem"]


def test_tasks_that_share_layers_each_have_them(tmp_path):
    files = {name: saved(branch(at), tmp_path, name) for at, name in enumerate(("one", "two"))}
    instance = sharing_tasks(list(files.values()))
    both = tuple(task.name for task in instance.tasks)
    plan = joint_plan(instance, ((both,), (both,)), 1)
    export_csv(plan, instance, tmp_path / "out")
    tables = [{r["node"]: r for r in rows(tmp_path / "out" / f"{name}.csv")} for name in files]
    shared = ["Conv_0", "Conv_2", "Add_4", "Conv_5"]
    for node in shared:
        assert tables[0][node]["segment"] == tables[1][node]["segment"]
    tree = export_onnxruntime(plan, instance, files, tmp_path / "ann")
    for entry in tree["models"]:
        copy = tmp_path / "ann" / entry["file"]
        assert outputs(session(copy, entry["settings"])) == outputs(session(files[entry["model"]]))


def test_bad_plans_and_files(tmp_path):
    path = saved(early_exit(), tmp_path, "net")
    other = saved(SMALL["lstm"](0), tmp_path, "other")
    instance = instance_of([path], 2)
    plan = random_plan(instance, 1)
    with pytest.raises(PlanError, match="made for"):
        export_csv(plan, replace(instance, name="x"), tmp_path / "out")
    with pytest.raises(InputError, match="is this the file that was planned"):
        export_onnxruntime(plan, instance, {"net": other}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_csv(plan, instance, tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        export_csv(plan, instance, tmp_path / "out")
