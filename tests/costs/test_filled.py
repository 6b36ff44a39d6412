"""Cost tables filled from sources: tables, quantiles, draws, and what rules and tables of the instance keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs import mapping_problem
from dnnplan.costs.analytic import Roofline, cost_tables, to_record
from dnnplan.costs.filled import CostSource, LayerCosts, analytic_source, fill_costs
from dnnplan.instances import (
    Device,
    Instance,
    InstanceError,
    Layer,
    Model,
    Platform,
    Task,
    Tensor,
    UnsupportedError,
)
from dnnplan.instances.errors import InputError
from dnnplan.instances.model import DeviceRule
from dnnplan.instances.platform import Power
from dnnplan.instances.sections import Costs
from dnnplan.instances.validation import validate


class Fixed:
    """The same seconds and errors for every layer; counts how often it is asked."""

    def __init__(self, seconds: float, spread: float = 0.0, common: float = 0.0, flags: Any = ()) -> None:
        self.seconds, self.spread, self.common, self.flags = seconds, spread, common, flags
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
        self.asked.append((model.name, tuple(batch)))
        shape = (len(model.layers), len(batch))
        return LayerCosts(
            seconds=np.full(shape, self.seconds),
            spread=np.full(shape, self.spread),
            common=self.common,
            flags=self.flags,
        )


def net(name: str = "net", rules: Sequence[DeviceRule | None] = (None, None)) -> Model:
    """A chain of layers that do 1, 2, ... MFLOP."""
    layers = tuple(
        Layer(name=f"l{i}", op="Conv", flops=1e6 * (i + 1), devices=rule) for i, rule in enumerate(rules)
    )
    tensors = tuple(
        Tensor(name=f"t{i}", source=f"l{i}", targets=(f"l{i + 1}",), bytes=1000)
        for i in range(len(rules) - 1)
    )
    return Model(name=name, layers=layers, tensors=tensors)


def instance_of(*devices: Device, model: Model | None = None, **more: Any) -> Instance:
    return Instance(models=(model or net(),), platform=Platform(devices=devices), **more)


CPU = Device(name="cpu", peak_flops={"*": 1e9})
NPU = Device(name="npu", count=2, peak_flops={"*": 4e9})


@settings(max_examples=30, deadline=None)
@given(
    peak=st.floats(1e6, 1e12),
    bandwidth=st.none() | st.floats(1e6, 1e12),
    overhead=st.floats(0, 1e-3),
    batch=st.integers(1, 64),
    flops=st.lists(st.floats(0, 1e12), min_size=1, max_size=5),
    error=st.floats(0, 1),
)
def test_tables_of_analytic_sources_are_those_of_cost_tables(peak, bandwidth, overhead, batch, flops, error):
    model = Model(name="net", layers=tuple(Layer(name=f"l{i}", flops=f) for i, f in enumerate(flops)))
    roofline = Roofline(peak, bandwidth, overhead)
    instance = instance_of(CPU, NPU, model=model, tasks=(Task(name="t", model="net", batch=batch),))
    source = analytic_source(to_record(roofline), error=error)
    wanted = {"net": cost_tables(model, {"cpu": roofline, "npu": roofline}, batch)}
    for quantile in (None, 0.5):
        filled = fill_costs(instance, {"*": source}, quantile)
        assert filled.instance.costs.latency == wanted
    assert validate(filled.instance) == ()


def test_a_quantile_is_that_of_both_factors_together():
    """0.4 of each layer and 0.3 of all together are 0.5: at z = 1, a factor of exp(0.5)."""
    q = 0.8413447460685429
    filled = fill_costs(instance_of(CPU), {"cpu": Fixed(2.0, 0.4, 0.3)}, q)
    assert filled.instance.costs.latency["net"]["l0"]["cpu"] == pytest.approx(2 * math.exp(0.5), rel=1e-9)
    assert filled.at(None).costs.latency["net"]["l0"]["cpu"] == 2.0
    assert filled.at(1 - q).costs.latency["net"]["l0"]["cpu"] == pytest.approx(2 * math.exp(-0.5), rel=1e-9)


@pytest.mark.parametrize("quantile", [0, 1, -0.1, math.nan])
def test_quantiles_that_are_none(quantile):
    with pytest.raises(InputError, match="quantile"):
        fill_costs(instance_of(CPU), {"cpu": Fixed(1.0)}, quantile)


def test_draws_have_the_quantile_that_is_stated():
    filled = fill_costs(instance_of(CPU), {"cpu": Fixed(2.0, 0.4, 0.3)})
    random = np.random.default_rng(1)
    drawn = np.array([filled.models["net"].drawn(random)[:, 0] for _ in range(4000)])
    assert np.mean(drawn[:, 0] <= filled.models["net"].at(0.9)[0, 0]) == pytest.approx(0.9, abs=0.02)
    logs = np.log(drawn / 2)
    assert logs.std(axis=0) == pytest.approx([0.5, 0.5], rel=0.05)
    # Only the common factor binds two layers: 0.3^2 / 0.5^2.
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.36, abs=0.05)


def test_draws_depend_on_seed_and_number_alone_and_copies_err_alike():
    filled = fill_costs(instance_of(CPU, NPU), {"*": Fixed(1.0, 0.3, 0.2)}, 0.9)
    assert filled.drawn(1, 2).costs == filled.drawn(1, 2).costs
    assert filled.drawn(1, 2).costs != filled.drawn(1, 3).costs != filled.drawn(2, 2).costs
    row = filled.drawn(1, 2).costs.latency["net"]["l0"]
    assert set(row) == {"cpu", "npu"}
    assert row["cpu"] != row["npu"]


def test_a_copy_wins_over_its_device_and_that_over_all():
    sources = {"npu.1": Fixed(1.0), "npu": Fixed(2.0), "*": Fixed(3.0)}
    filled = fill_costs(instance_of(CPU, NPU), sources)
    assert filled.instance.costs.latency["net"]["l0"] == {"cpu": 3.0, "npu.0": 2.0, "npu.1": 1.0}
    assert all(source.asked == [("net", (1,))] for source in sources.values())


def test_a_device_without_a_source_keeps_its_own_cost_model_without_error():
    instance = instance_of(CPU, NPU)
    filled = fill_costs(instance, {"npu": Fixed(1.0, 0.5)}, 0.9)
    own = mapping_problem(instance).duration[:, 0]
    assert mapping_problem(filled.instance).duration[:, 0] == pytest.approx(own, rel=1e-15)
    assert mapping_problem(filled.drawn(0, 0)).duration[:, 0] == pytest.approx(own, rel=1e-15)
    assert (filled.sourced, filled.kept) == (4, 0)


def test_what_is_ruled_out_stays_ruled_out_and_entries_of_tables_win():
    rules = (DeviceRule(forbid=("npu.0",)), None, None)
    picky = Device(name="dsp", operators=("Pool",), peak_flops={"*": 1e9})
    latency = {"net": {"l1": {"cpu": 0.25}}}
    instance = instance_of(CPU, NPU, picky, model=net(rules=rules), costs=Costs(latency=latency))
    before = mapping_problem(instance).duration
    filled = fill_costs(instance, {"*": Fixed(1.0, 0.5)}, 0.9)
    after = mapping_problem(filled.instance).duration
    assert (np.isfinite(after) == np.isfinite(before)).all()
    assert filled.instance.costs.latency["net"]["l1"] == {"cpu": 0.25}
    assert filled.drawn(0, 0).costs.latency["net"]["l1"] == {"cpu": 0.25}
    assert filled.kept == 1
    doubtful = Fixed(1.0, flags=[(f"l{i}", "a guess") for i in range(3)])
    flags = fill_costs(instance, {"*": doubtful}).flags
    found = sorted((f.layer, f.device) for f in flags)
    assert found == [("l0", "cpu"), ("l0", "npu"), ("l2", "cpu"), ("l2", "npu")]


def test_a_source_can_rule_out_too_and_energy_follows_the_seconds():
    device = Device(name="cpu", peak_flops={"*": 1e9}, power=Power(active=3))
    instance = instance_of(device, NPU)
    filled = fill_costs(instance, {"cpu": Fixed(2.0), "npu": Fixed(math.inf, math.nan)})
    assert filled.instance.costs.latency["net"] == {"l0": {"cpu": 2.0}, "l1": {"cpu": 2.0}}
    assert mapping_problem(filled.instance).energy[:, 0].tolist() == [6.0, 6.0]


def test_batches_are_those_of_tasks():
    source = Fixed(1.0)
    tasks = (Task(name="a", model="net", batch=8), Task(name="b", model="net", batch=8))
    fill_costs(instance_of(CPU, NPU, tasks=tasks), {"*": source})
    assert source.asked == [("net", (8,))]
    mixed = (Task(name="a", model="net", batch=8), Task(name="b", model="net"))
    with pytest.raises(UnsupportedError, match="batches 8 and 1"):
        fill_costs(instance_of(CPU, tasks=mixed), {"*": source})


def test_flags_name_model_layer_and_device_once_for_copies():
    filled = fill_costs(instance_of(CPU, NPU), {"npu": Fixed(1.0, flags=(("l1", "a guess"),))})
    assert [(f.model, f.layer, f.device, f.reason) for f in filled.flags] == [("net", "l1", "npu", "a guess")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Fixed(-1.0), "takes -1.0 s"),
        (Fixed(math.nan), "takes nan s"),
        (Fixed(1.0, math.nan), "errors of logarithms"),
        (Fixed(1.0, 9.0), "expected numbers from 0 to 3"),
        (Fixed(1.0, 0.1, -0.1), "errors of logarithms"),
    ],
)
def test_costs_that_cannot_be_are_refused(source: CostSource, message: str):
    with pytest.raises(InputError, match=message):
        fill_costs(instance_of(CPU), {"cpu": source})


def test_arrays_of_a_wrong_shape_are_refused():
    class Flat:
        def layer_costs(self, model: Model, batch: Sequence[int]) -> LayerCosts:
            return LayerCosts(seconds=np.ones(2), spread=np.ones(2))

    with pytest.raises(InputError, match=r"seconds of shape \(2,\), expected \(2, 1\)"):
        fill_costs(instance_of(CPU), {"cpu": Flat()})


def test_unknown_devices_and_instances_without_hardware():
    with pytest.raises(InputError, match=r'devices\.gpu: "gpu" is not a device'):
        fill_costs(instance_of(CPU), {"gpu": Fixed(1.0)})
    with pytest.raises(InputError, match=r"npu\.2"):
        fill_costs(instance_of(NPU), {"npu.2": Fixed(1.0)})
    with pytest.raises(InstanceError, match="platform: missing"):
        fill_costs(Instance(models=(net(),)), {})
