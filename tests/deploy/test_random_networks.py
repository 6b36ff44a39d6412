"""Random networks, cut at random: the parts compute what the whole does."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto

from dnnplan.deploy.differences import HALF, TOLERANCE
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import verify
from dnnplan.instances import Instance, UnsupportedError
from dnnplan.instances.formats.onnx import read_onnx
from tests.support.deploy_networks import FLOAT, Builder, placed, platform, random_plan, saved
from tests.support.random_networks import random_network

ROWS = 3


@pytest.mark.parametrize("seed", range(30))
def test_parts_of_random_networks_compute_what_they_do(seed: int, place) -> None:
    """Every third one has a dimension that is not known: a shape may then be needed before it is there."""
    symbolic = seed % 3 == 0
    model = random_network(seed, rows="N" if symbolic else ROWS)
    onnx.checker.check_model(model)
    path = saved(model, place, "net")
    dims = {"N": ROWS} if symbolic else {}
    instance = Instance(
        models=(read_onnx(path, fuse=bool(seed % 2), dims=dims)[0],), platform=platform(2 + seed % 2)
    )
    plan, files = random_plan(instance, seed, (0.0, 0.3, 0.7)[seed // 3 % 3]), {"net": path}
    try:
        split(plan, instance, files, place / "parts", overwrite=True)
    except UnsupportedError:
        if not symbolic:
            raise
        split(plan, instance, files, place / "parts", overwrite=True, dims=dims)
    found = verify(place / "parts", files, seed=seed)
    assert found.equal
    types = {TensorProto.FLOAT16} & {value.i for node in model.graph.node for value in node.attribute}
    assert found.bitwise or types, "only half precision is rounded where it is cut"


def test_half_precision_is_rounded_where_it_is_cut(place) -> None:
    """The runtime has no such kernels here: whole, it computes all of it in single precision."""
    b = Builder()
    x = b.node("Cast", b.node("MatMul", b.input("x", (4, 8)), b.weight(8, 8)), to=TensorProto.FLOAT16)
    y = b.node("Cast", b.node("Tanh", b.node("Sigmoid", x)), to=FLOAT)
    path = saved(b.model([(y, (4, 8))]), place, "half")
    instance = Instance(models=(read_onnx(path, fuse=False)[0],), platform=platform(2))
    for devices, tolerance in (("00000", TOLERANCE), ("00010", HALF["float16"])):
        split(placed(instance, devices), instance, {"half": path}, place / "half", overwrite=True)
        found = verify(place / "half", {"half": path})
        assert found.tolerance == tolerance
        assert found.equal
        assert found.bitwise == (tolerance == TOLERANCE)
