"""The bundled instances are what the catalogue says they are."""

import doctest
import subprocess
import sys
from itertools import permutations, product
from pathlib import Path

import pytest

from dnnplan.instances import InputError, Model, catalogue
from dnnplan.instances.catalogue import (
    NETWORK_LAYERS,
    bundled_names,
    combine,
    describe,
    load_bundled,
    load_platform,
)
from dnnplan.instances.validation import ensure_valid

ROWS = {row.name: row for row in describe()}
SOURCE = Path(__file__).parents[2] / "src"


def check_row(row):
    instance = load_bundled(row.name)
    ensure_valid(instance)
    assert instance.name == row.name
    assert sum(len(m.layers) for m in instance.models) == row.layers
    assert sum(d.count for d in instance.platform.devices) == row.devices


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if not row.needs_onnx])
def test_generated_instance_is_valid_and_as_described(name):
    check_row(ROWS[name])


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row.needs_onnx])
def test_real_network_instance_is_valid_and_as_described(name):
    pytest.importorskip("onnx")
    check_row(ROWS[name])


def test_names_are_those_of_the_rows():
    assert bundled_names() == tuple(ROWS)
    assert {"tiny/hand", "phone/resnet50+inception-v1", "phone/all-nine"} <= set(ROWS)


def test_two_loads_are_equal():
    assert load_bundled("erdos/50x4-ccr1").hash() == load_bundled("erdos/50x4-ccr1").hash()


def test_listing_reads_no_network_and_generates_nothing():
    code = (
        "import sys; from dnnplan.instances.catalogue import describe; assert describe();"
        "print([m for m in ('onnx', 'numpy', 'dnnplan.instances.generators') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_networks_combine_freely_and_repeat():
    pytest.importorskip("onnx")
    instance = load_bundled("jetson/squeezenet+squeezenet+zfnet512")
    assert [m.name for m in instance.models] == ["squeezenet", "squeezenet-2", "zfnet512"]
    assert instance.platform == load_platform("jetson-soc")


def test_all_nine_are_the_light_networks():
    pytest.importorskip("onnx")
    from dnnplan.instances.formats.onnx import light_network_paths

    assert tuple(NETWORK_LAYERS) == tuple(light_network_paths())
    assert sum(NETWORK_LAYERS.values()) == 657  # the study that phone-soc is from counts the same layers


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layred/50x4-ccr1", "did you mean layered/50x4-ccr1"),
        ("phone", "no such bundled instance"),
        ("phone/", "no such bundled instance"),
        ("qqq/zzz", "no name is close"),
    ],
)
def test_unknown_instance_names_the_closest(name, message):
    with pytest.raises(InputError, match=message):
        load_bundled(name)


def test_unknown_network_names_the_closest():
    pytest.importorskip("onnx")
    with pytest.raises(InputError, match=r"no network 'resnet5'; did you mean resnet50"):
        load_bundled("phone/resnet5")


def test_combine_tells_networks_of_one_name_apart():
    models = [Model(name=n) for n in ("a", "a-2", "a", "b", "a")]
    combined = combine(models, load_platform("mcu"))
    assert [m.name for m in combined.models] == ["a", "a-2", "a-3", "b", "a-4"]
    assert combined.name == "a+a-2+a-3+b+a-4"
    assert combine(models, load_platform("mcu"), name="x").name == "x"


def test_combine_needs_a_network():
    with pytest.raises(InputError, match="none given"):
        combine([], load_platform("mcu"))


def makespan(order, placement, instance):
    """End of the last layer in seconds when layers start in `order` as soon as they can (overlap)."""
    times = instance.costs.latency["hand"]
    inputs = {layer: set() for layer in times}
    for tensor in instance.models[0].tensors:
        for target in tensor.targets:
            if tensor.source:
                inputs[target].add(tensor.source)
    end, free = {}, {"cpu": 0.0, "npu": 0.0}
    for layer in order:
        if not inputs[layer] <= end.keys():
            return None
        device = placement[layer]
        ready = max((end[p] + (0.001 if placement[p] != device else 0.0) for p in inputs[layer]), default=0.0)
        end[layer] = free[device] = max(ready, free[device]) + times[layer][device]
    return max(end.values())


def test_the_figures_that_the_hand_made_instance_states():
    instance = load_bundled("tiny/hand")
    times = instance.costs.latency["hand"]
    best = {}
    for devices in product(*(tuple(times[n]) for n in times)):
        placement = dict(zip(times, devices, strict=True))
        spans = [makespan(order, placement, instance) for order in permutations(times)]
        best[devices] = min(s for s in spans if s is not None)
    assert min(best.values()) == pytest.approx(0.013)
    assert best["npu", "npu", "cpu", "cpu", "cpu", "cpu"] == pytest.approx(0.013)
    assert best["npu", "npu", "npu", "npu", "npu", "cpu"] == pytest.approx(0.014)
    assert best[("cpu",) * 6] == pytest.approx(0.020)


def test_doctests():
    assert doctest.testmod(catalogue).failed == 0
