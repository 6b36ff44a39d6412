"""Joint plans: shared layers become one part where they are bit-identical; otherwise the plan is refused."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import helper, numpy_helper

from dnnplan.deploy.cut import Part
from dnnplan.deploy.extract import part_model
from dnnplan.deploy.identical import WeightsDifferError
from dnnplan.deploy.manifest import read_manifest
from dnnplan.deploy.retraining import retraining
from dnnplan.deploy.split import deploy, split
from dnnplan.deploy.verify import verify
from dnnplan.deploy.work import NodeRef
from dnnplan.instances import Instance, Plan, PlanError, Sharing, UnsupportedError
from dnnplan.instances.errors import FormatError
from dnnplan.instances.sections import Block
from tests.support.deploy_networks import branch, joint_plan, random_plan, saved, sharing_tasks

NAMES = ("seg", "depth", "cls")
TASKS = tuple(f"t-{name}" for name in NAMES)
ALL = (TASKS,)
TOGETHER = (ALL, ALL)
PARTED = (ALL, (TASKS[:2], TASKS[2:]))
APART = ((TASKS[:1], TASKS[1:]), tuple((task,) for task in TASKS))
CONV = "Conv_0"


@pytest.fixture
def case(tmp_path):
    """Three networks with one trunk."""
    files = {name: saved(branch(at, image=name[0]), tmp_path, name) for at, name in enumerate(NAMES)}
    return sharing_tasks(list(files.values())), files


def changed(path, change) -> None:
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("groups", [TOGETHER, PARTED, APART])
@pytest.mark.parametrize("seed", range(3))
def test_shared_layers_become_one_part(case, tmp_path, groups, seed):
    instance, files = case
    manifest = split(joint_plan(instance, groups, seed), instance, files, tmp_path / "parts")
    nodes = [(s.model, node) for s in manifest.segments for node in s.nodes]
    assert len(set(nodes)) == len(nodes), "each node is in one part"
    copies = {TOGETHER: 1, PARTED: 2, APART: 3}[groups]
    assert sum(node == "Conv_5" for _, node in nodes) == copies
    assert sum(node == "Conv_0" for _, node in nodes) == 1, "all tasks share the stem"
    assert len(manifest.inputs) == 1, "and read one and the same input"
    assert {job.task for job in manifest.jobs} == set(TASKS)
    assert {name for job in manifest.jobs for name in job.inputs} == {"s", "d", "c"}
    found = verify(tmp_path / "parts", files)
    assert found.bitwise
    assert found.outputs == 3


def test_a_joint_plan_without_a_task_graph(case, tmp_path):
    """Nothing can be shared: each network is split as it is."""
    instance, files = case
    bare = replace(instance, sharing=None)
    plan = replace(random_plan(bare, 1), problem="joint")
    split(plan, bare, files, tmp_path / "parts")
    assert verify(tmp_path / "parts", files).bitwise
    assert len(read_manifest(tmp_path / "parts").inputs) == 3


def one_bit(model) -> None:
    """One bit of one weight of the second convolution."""
    tensor = next(t for t in model.graph.initializer if t.name == "w2")
    values = numpy_helper.to_array(tensor).copy()
    values.view(np.uint32).flat[5] ^= 1
    tensor.CopyFrom(numpy_helper.from_array(values, "w2"))


def other_stride(model) -> None:
    node = next(n for n in model.graph.node if n.name == "Conv_2")
    node.attribute.append(helper.make_attribute("dilations", [1, 1]))


def other_operator(model) -> None:
    next(n for n in model.graph.node if n.name == "Relu_3").op_type = "Sigmoid"


def other_wire(model) -> None:
    node = next(n for n in model.graph.node if n.name == "Add_4")
    node.input[0], node.input[1] = node.input[1], node.input[0]


def other_opset(model) -> None:
    model.opset_import[0].version = 16


def other_bound(model, input_: int = 2) -> None:
    """Relu as Clip with an upper bound, and with a lower one of the same number: both have one input left out."""
    node = next(n for n in model.graph.node if n.name == "Relu_3")
    node.op_type = "Clip"
    node.input.extend(["", "one"] if input_ == 2 else ["one", ""])
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))


def unfitting(model) -> None:
    """A constant whose numbers are too few for its shape."""
    tensor = next(t for t in model.graph.initializer if t.name == "w2")
    values = numpy_helper.to_array(tensor)
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values.ravel()[:-1].tolist())


def other_input(model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (one_bit, "'w2' and 'w2' have other numbers"),
        (other_stride, "attributes of node 'Conv_2'"),
        (other_operator, "nodes Conv, Sigmoid against Conv, Relu"),
        (other_wire, "come from elsewhere"),
        (other_opset, "operator sets of versions 16 and 17"),
        (other_input, "inputs 'd' and 's' are of other types or shapes"),
    ],
)
def test_layers_that_differ_are_refused(case, tmp_path, change, told):
    instance, files = case
    plan = joint_plan(instance, TOGETHER, 1)
    changed(files["depth"], change)
    with pytest.raises(WeightsDifferError, match=re.escape(told)) as error:
        split(plan, instance, files, tmp_path / "parts")
    assert "task t-depth" in str(error.value)
    assert "--retraining" in str(error.value)
    assert error.value.differences[0].other_task == "t-seg"
    assert not (tmp_path / "parts").exists()


def read_again(files) -> Instance:
    return sharing_tasks(list(files.values()))


def test_inputs_that_are_left_out_count(case, tmp_path):
    """An upper bound is no lower bound, though both nodes read the same values."""
    _, files = case
    for name, path in files.items():
        changed(path, lambda model, name=name: other_bound(model, 1 if name == "depth" else 2))
    instance = read_again(files)
    with pytest.raises(WeightsDifferError, match="node 'Relu_3' leaves out other inputs than node 'Relu_3'"):
        split(joint_plan(instance, TOGETHER, 1), instance, files, tmp_path / "parts")


def test_both_names_of_the_standard_operators_are_one(case, tmp_path):
    """Versions are compared, and told, whichever name a file has."""
    instance, files = case
    for name, path in files.items():
        changed(path, lambda model, name=name: operator_set(model, 16 if name == "depth" else 17))
    with pytest.raises(WeightsDifferError, match="operator sets of versions 16 and 17"):
        split(joint_plan(instance, TOGETHER, 1), instance, files, tmp_path / "parts")
    changed(files["depth"], lambda model: operator_set(model, 17, ""))
    split(joint_plan(instance, TOGETHER, 1), instance, files, tmp_path / "parts")


def operator_set(model, version: int, domain: str = "ai.onnx") -> None:
    model.opset_import[0].domain, model.opset_import[0].version = domain, version


def test_nodes_of_different_operator_sets_in_one_part(case, tmp_path):
    """Blocks of different tasks are never joined; a plan's own call may."""
    instance, files = case
    works = deploy(joint_plan(instance, APART, 1), instance, files).works["shared"]
    for member, version in zip(works.members, (16, 17, 18), strict=True):
        object.__setattr__(member.network, "opsets", {"": version})
    nodes = [NodeRef(m, 0) for m in range(2)]
    part = Part(segment=SimpleNamespace(name="s"), nodes=nodes)
    with pytest.raises(UnsupportedError, match=r"versions 16 and 17 of the operator set 'ai\.onnx'"):
        part_model(works, part)


def test_numbers_that_do_not_fit_their_shape(case, tmp_path):
    instance, files = case
    changed(files["depth"], unfitting)
    with pytest.raises(FormatError, match=r"'w2': its numbers do not fit"):
        split(joint_plan(instance, TOGETHER, 1), instance, files, tmp_path / "parts")


def test_only_what_is_shared_is_compared(case, tmp_path):
    """The last block of the trunk differs, and is not shared."""
    instance, files = case
    plan = joint_plan(instance, APART, 1)

    def change(model) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "w4")
        tensor.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(tensor), "w4"))

    changed(files["depth"], change)
    split(plan, instance, files, tmp_path / "parts")
    assert verify(tmp_path / "parts", files).bitwise


def test_names_and_storage_do_not_matter(case, tmp_path):
    """The same network with other names, order of attributes and external data is the same."""
    instance, files = case

    def change(model) -> None:
        names = {t.name: f"other/{t.name}" for t in model.graph.initializer}
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            del tensor.dims[:]
            tensor.CopyFrom(
                helper.make_tensor(names[tensor.name], tensor.data_type, values.shape, values.ravel())
            )
        for node in model.graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            attributes = list(node.attribute)[::-1]
            del node.attribute[:]
            node.attribute.extend(attributes)

    changed(files["depth"], change)
    split(joint_plan(instance, TOGETHER, 2), instance, files, tmp_path / "parts")
    assert verify(tmp_path / "parts", files).bitwise


def test_the_retraining_manifest(case):
    instance, files = case
    plan = replace(joint_plan(instance, PARTED, 1), placement={}, order={})
    unknown = retraining(instance, plan)
    same = retraining(instance, plan, files)
    changed(files["cls"], one_bit)
    differs = retraining(instance, plan, files)
    assert (unknown["retrain"], same["retrain"], differs["retrain"]) == (None, False, True)
    assert json.loads(json.dumps(differs)) == differs
    assert [branch["groups"] for branch in differs["branches"]] == [
        [list(TASKS)],
        [list(TASKS[:2]), [TASKS[2]]],
    ]
    assert [branch["branch_point"] for branch in differs["branches"]] == ["early", "late"]
    blocks = {(block["block"], *block["tasks"]): block for block in differs["blocks"]}
    assert set(blocks) == {
        (0, *TASKS),
        (1, *TASKS),
        (2, *TASKS[:2]),
        (2, TASKS[2]),
        *((3, task) for task in TASKS),
    }
    assert [key for key, block in blocks.items() if block["identical"] is False] == [(1, *TASKS)]
    found = blocks[1, *TASKS]
    assert found["layers"]["t-cls"] == ["Conv_2", "Add_4"]
    assert found["differs"] == [
        {
            "task": "t-cls",
            "layer": "Conv_2",
            "other_task": "t-seg",
            "other_layer": "Conv_2",
            "reason": "'w2' and 'w2' have other numbers",
            "weights": [["w2", "w2"]],
        }
    ]


def test_a_retraining_manifest_needs_a_task_graph(case):
    instance, _ = case
    with pytest.raises(PlanError, match="task graph"):
        retraining(instance, Plan())


def test_blocks_of_figures_have_no_parts(case, tmp_path):
    instance, files = case
    tasks = tuple(replace(task, blocks=()) for task in instance.tasks)
    sharing = Sharing(branch_points=("a",), stem=Block(flops=5), blocks=(Block(flops=7),))
    figures: Instance = replace(instance, tasks=tasks, sharing=sharing)
    plan = joint_plan(figures, (ALL,), 1)
    with pytest.raises(UnsupportedError, match="figures"):
        split(plan, figures, files, tmp_path / "parts")
    found = retraining(figures, plan, files)
    assert found["retrain"] is None
    assert found["blocks"][0]["tasks"] == list(TASKS)
