"""What `split` refuses: plans, files and layers that do not fit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import helper

from dnnplan.deploy.network import read_network
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import verify
from dnnplan.instances import InputError, Instance, PlanError, UnsupportedError
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from tests.support.deploy_networks import (
    Builder,
    mobilenet,
    platform,
    random_plan,
    saved,
)


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
