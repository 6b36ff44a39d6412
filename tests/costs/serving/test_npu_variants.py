"""Plain, fluid and stackable arrays: what each changes, and that none is worse than the one before."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from dnnplan.costs.analytic import ComposedArray, SystolicArray, model_from, to_record
from dnnplan.costs.serving import capacity, serving_problem, with_npu
from dnnplan.costs.serving.npu import VARIANTS, fluid, plain, stackable
from dnnplan.instances import Device, InputError, Instance, Platform
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.validation import validate

ARRAY = SystolicArray(32, 32, "ws", 2e9, bandwidth=1e9, overhead=1e-6, buffer=4096)


def test_variants_of_one_array() -> None:
    assert plain(ARRAY) == msgspec.structs.replace(ARRAY, fold_batch=False)
    assert fluid(plain(ARRAY)) == ARRAY
    stacked = stackable(plain(ARRAY))
    assert stacked.shapes == ((16, 64), (32, 32), (64, 16))
    # As many vector units as the array has columns, in every shape.
    assert {(a.lanes, a.fold_batch, a.bandwidth, a.overhead, a.buffer) for a in stacked.arrays()} == {
        (32, True, 1e9, 1e-6, 4096)
    }


def platform(*devices: Device) -> Instance:
    return Instance(platform=Platform(devices=devices))


def test_all_arrays_of_an_instance_change_and_others_stay() -> None:
    other = {"kind": "roofline", "peak": 1e9}
    both = platform(
        Device(name="npu", analytic=to_record(ARRAY)),
        Device(name="gpu", analytic=other),
        Device(name="cpu", peak_flops={"*": 1}),
    )
    changed = with_npu(both, "plain").platform
    assert changed is not None
    assert [device.analytic for device in changed.devices] == [to_record(plain(ARRAY)), other, None]
    # There and back.
    assert with_npu(with_npu(both, "stackable"), "fluid") == with_npu(
        platform(
            Device(name="npu", analytic=to_record(msgspec.structs.replace(ARRAY, lanes=32))),
            *both.platform.devices[1:],  # type: ignore[union-attr]
        ),
        "fluid",
    )
    free = with_npu(both, "stackable", bandwidth=False).platform
    assert free is not None
    assert model_from(free.devices[0].analytic or {}).bandwidth is None  # type: ignore[union-attr]
    assert isinstance(model_from(free.devices[0].analytic or {}), ComposedArray)


def test_what_cannot_be_changed() -> None:
    with pytest.raises(InputError, match='"fluidd" is not a variant, did you mean "fluid"'):
        with_npu(platform(), "fluidd")
    for instance in (platform(Device(name="cpu")), Instance()):
        with pytest.raises(InputError, match="no analytic model of a systolic array"):
            with_npu(instance, "plain")


@pytest.mark.parametrize("name", ["resnet50-os32", "resnet50-ws128", "inception-os32", "inception-ws128"])
@pytest.mark.parametrize("bandwidth", [True, False])
def test_each_variant_of_a_bundled_array_is_at_least_as_fast(name: str, bandwidth: bool) -> None:
    pytest.importorskip("onnx")
    instance = load_bundled(f"serving/{name}")
    found = [serving_problem(with_npu(instance, variant, bandwidth=bandwidth)) for variant in VARIANTS]
    assert all(validate(problem.instance) == () for problem in found)
    first, second, third = (problem.latency for problem in found)
    np.testing.assert_array_equal(first[:, 1], second[:, 1])  # one sample: nothing to fold
    assert (second <= first * (1 + 1e-12)).all()
    assert (third <= second * (1 + 1e-12)).all()
    rates = [capacity(problem) for problem in found]
    assert rates[0] < rates[1] < rates[2]
    if name == "resnet50-ws128" and not bandwidth:
        # Folding on a large weight-stationary array is worth 1.5 to 3 times the rate (2.5 at 8 samples without exits).
        share = [table[:, 8].sum() for table in (first, second)]
        assert 1.9 < share[0] / share[1] < 2.6
