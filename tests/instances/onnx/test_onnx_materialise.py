"""Seeded weights: files stay valid, outputs stay finite and depend on the input."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.networks import build_early_exit_resnet, build_mobilenet_v2, build_recurrent, build_vit
from dnnplan.instances import FormatError, InputError, UnsupportedError
from dnnplan.instances.formats.onnx import light_network_paths, materialise, read_onnx
from tests.instances.onnx.onnx_graphs import make_model, node, onnx, save
from tests.support.deploy_networks import saved
from tests.support.light_networks import narrowed

LARGE = {"alexnet", "resnet50"}
NARROWED = {"vgg19", "zfnet512"}
"""They would be 575 and 350 MB; `make bench SUITE=deploy` has them whole."""


def outputs(path, *seeds):
    """All outputs of a network for a random input of each seed, in one array each."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        feeds = {}
        for value in session.get_inputs():
            shape = [size if isinstance(size, int) else 1 for size in value.shape]
            floats = value.type == "tensor(float)"
            feeds[value.name] = (
                random.standard_normal(shape).astype(np.float32) if floats else random.integers(0, 100, shape)
            )
        found.append(np.concatenate([np.ravel(array) for array in session.run(None, feeds)]))
    return found


def assert_outputs_depend_on_the_input(path):
    first, second = outputs(path, 1, 2)
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()
    # Far above rounding: the difference is that of the inputs.
    assert np.abs(first - second).max() > 1e-2 * np.abs(first).max()
    # Softmax outputs that are all 0 and 1 would hide what happens inside.
    assert len(np.unique(first)) > len(first) / 2


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in sorted(light_network_paths())],
)
def test_light_networks_come_alive(tmp_path, name):
    source = light_network_paths()[name]
    if name in NARROWED:
        source = saved(narrowed(source), tmp_path, f"light-{name}")
    target = materialise(source, tmp_path / f"{name}.onnx", seed=3)
    try:
        if name not in LARGE:
            onnx.checker.check_model(str(target), full_check=True)
        assert_outputs_depend_on_the_input(target)
        light, full = read_onnx(source)[0], read_onnx(target, name=source.stem)[0]
        assert full.layers == light.layers
        assert full.tensors == light.tensors
    finally:
        target.unlink()  # up to 244 MB, which pytest would keep for three runs


def test_outputs_of_light_weights_do_not_depend_on_the_input():
    # Why materialise exists: as the file is, all outputs are one number, whatever the input.
    path = light_network_paths()["squeezenet"]
    first, second = outputs(path, 1, 2)
    assert np.array_equal(first, second)
    assert len(np.unique(first)) == 1


@pytest.mark.parametrize(
    "build",
    [build_early_exit_resnet, build_recurrent, lambda: build_vit(image=64, depth=2), build_mobilenet_v2],
    ids=["early-exit", "recurrent", "vit", "mobilenet"],
)
def test_built_networks_are_alive(tmp_path, build):
    assert_outputs_depend_on_the_input(save(build(), tmp_path))


def constants(path):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_values_are_he_normal_and_statistics_sane(tmp_path):
    values = constants(materialise(light_network_paths()["resnet50"], tmp_path / "r.onnx"))
    filters = values["gpu_0/res2_0_branch2b_w_0"]
    assert filters.shape == (64, 64, 3, 3)
    assert filters.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert abs(filters.mean()) < 0.001
    variances = [array for name, array in values.items() if name.endswith("_riv_0")]
    scales = [array for name, array in values.items() if name.endswith("bn_s_0")]
    assert len(variances) == len(scales) == 53
    assert all((array > 0.1).all() and (array < 50).all() for array in variances)
    assert all(np.abs(array - 1).max() < 0.5 for array in scales)


def test_names_and_interface_are_kept(tmp_path):
    source = light_network_paths()["inception-v1"]
    before, after = onnx.load(source), onnx.load(materialise(source, tmp_path / "i.onnx"))
    kept = [n.name for n in before.graph.node if n.op_type != "ConstantOfShape"]
    assert [n.name for n in after.graph.node] == kept
    assert after.graph.output == before.graph.output
    stored = {t.name for t in after.graph.initializer}
    assert [value.name for value in after.graph.input if value.name not in stored] == ["data_0"]
    assert {"conv1/7x7_s2_w_0", "conv1/7x7_s2_b_0"} <= stored
    assert not any(name.endswith("__SHAPE") for name in stored)


def test_seed_decides_the_values(tmp_path):
    source = light_network_paths()["squeezenet"]
    first = materialise(source, tmp_path / "a.onnx", seed=1).read_bytes()
    assert materialise(source, tmp_path / "b.onnx", seed=1).read_bytes() == first
    assert materialise(source, tmp_path / "c.onnx", seed=2).read_bytes() != first


def test_nothing_is_overwritten_by_accident(tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(light_network_paths()["squeezenet"].read_bytes())
    content = source.read_bytes()
    for target in (source, tmp_path / "." / "source.onnx"):
        with pytest.raises(InputError, match="would overwrite the file it reads"):
            materialise(source, target, overwrite=True)
    (tmp_path / "link.onnx").symlink_to(source)
    with pytest.raises(InputError, match="would overwrite the file it reads"):
        materialise(source, tmp_path / "link.onnx", overwrite=True)
    assert source.read_bytes() == content
    taken = tmp_path / "taken.onnx"
    taken.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        materialise(source, taken)
    assert taken.read_text() == "precious"
    materialise(source, taken, overwrite=True)
    assert read_onnx(taken)[0].layers
    with pytest.raises(InputError, match="existing folder"):
        materialise(source, tmp_path / "no" / "where.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.onnx", "source.onnx", "taken.onnx"]


def test_damaged_sources_leave_no_target(tmp_path):
    source = tmp_path / "source.onnx"
    source.write_bytes(light_network_paths()["squeezenet"].read_bytes()[:5000])
    with pytest.raises(FormatError):
        materialise(source, tmp_path / "target.onnx")
    assert not (tmp_path / "target.onnx").exists()


def test_trained_networks_are_left_alone(tmp_path):
    weight = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    model = make_model([node("MatMul", "x w", "y")], {"x": [1, 4]}, {"y": [1, 4]}, {"w": weight})
    with pytest.raises(InputError, match="no weight is one constant"):
        materialise(save(model, tmp_path), tmp_path / "target.onnx")


def test_constants_that_are_no_weights_keep_their_values(tmp_path):
    nodes = [
        node("MatMul", "x w", "a"),
        node("Div", "a root", "b"),
        node("Add", "b mask", "c"),
        node("Clip", "c low", "y"),
    ]
    given = {
        "w": np.full((4, 4), 0.02, np.float32),
        "root": np.full((4,), 8, np.float32),
        "mask": np.zeros((4,), np.float32),
        "low": np.float32(0),
    }
    model = make_model(nodes, {"x": [1, 4]}, {"y": [1, 4]}, given)
    after = constants(materialise(save(model, tmp_path), tmp_path / "target.onnx"))
    assert not np.array_equal(after["w"], given["w"])
    assert all(np.array_equal(after[name], given[name]) for name in ("root", "mask", "low"))


def test_external_data_and_files_beyond_the_limit_are_refused(tmp_path):
    shape = np.array([2**15, 2**15])
    fill = onnx.helper.make_tensor("", 1, [1], [0.02])
    nodes = [node("ConstantOfShape", "s", "w", value=fill), node("MatMul", "x w", "y")]
    model = make_model(nodes, {"x": [1, 2**15]}, {"y": [1, 2**15]}, {"s": shape})
    with pytest.raises(UnsupportedError, match="4294967296 bytes of weights"):
        materialise(save(model, tmp_path), tmp_path / "target.onnx")
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(UnsupportedError, match="external data"):
        materialise(save(model, tmp_path), tmp_path / "target.onnx")
