"""Calibration: kernels to layers, fits of made-up passes, and what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.profile.setting import available_cores
from dnnplan.costs.profile.trace import KernelTimes
from dnnplan.deploy.calibrate import calibrate
from dnnplan.deploy.calibrate.attribution import attribute
from dnnplan.deploy.calibrate.fit import (
    Cuts,
    Fit,
    SegmentSample,
    busy_shares,
    fit,
    link_factor,
    near,
    wake_times,
)
from dnnplan.deploy.calibrate.gather import _inner_bytes
from dnnplan.deploy.calibrate.gathered import _doubts
from dnnplan.deploy.calibrate.layers import LayerTimes, layer_times, run_scale
from dnnplan.deploy.calibrate.networks import Network, named, nodes_of_layers
from dnnplan.deploy.calibrate.platform import calibrated_instance, devices_for_all, first_layer
from dnnplan.deploy.calibrate.replan import plan_shares, replan, whole_networks
from dnnplan.deploy.calibrate.timing import Round, Timing, Timings, check_seats, time_networks
from dnnplan.deploy.run import Pass, RunError, Seat, open_folder, run
from dnnplan.deploy.run.program import Program, Step
from dnnplan.deploy.run.report import quantiles
from dnnplan.deploy.split import split
from dnnplan.instances import InputError, Instance, Layer, Model, Tensor
from dnnplan.instances.sections import Costs
from tests.deploy.hand_manifests import TIMES, instance, plan, write_folder
from tests.support.deploy_networks import branch, joint_plan, saved, sharing_tasks


def convolutions() -> Network:
    """Two convolutions with activations and a sum: the runtime changes its layout and fuses it."""
    random = np.random.default_rng(0)
    stored = [
        numpy_helper.from_array(random.standard_normal((16, c, 3, 3)).astype(np.float32), f"w{i}")
        for i, c in enumerate((3, 16, 16))
    ]
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="one", **pads),
        helper.make_node("Relu", ["a"], ["b"], name=""),
        helper.make_node("Conv", ["b", "w1"], ["c"], name="two", **pads),
        helper.make_node("Conv", ["b", "w2"], ["d"], name="three", **pads),
        helper.make_node("Add", ["c", "d"], ["e"], name="sum"),
        helper.make_node("HardSwish", ["e"], ["y"], name="gate"),
    ]
    info = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 12, 12]),
    ]
    graph = helper.make_graph(nodes, "net", info[:1], info[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    layers = {"one": "L1", "Relu_b": "L1", "two": "L2", "three": "L3", "sum": "L4", "gate": "L4"}
    return named("net", model, "net", layers)


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """The network of convolutions, timed on two devices."""
    cores = available_cores()
    if len(cores) < 2:
        pytest.skip("needs two cores")
    places = {"p": Seat((cores[0],)), "q": Seat((cores[1],))}
    return time_networks([convolutions()], places, tmp_path_factory.mktemp("traces"), seconds=0.3)


def test_every_kernel_goes_to_a_layer_or_an_edge(timed):
    network, found = convolutions(), timed["net", "p"].rounds[0]
    where = attribute(network, found.optimised, [kernel.node for kernel in found.alone.kernels])
    assert not where.unknown
    assert set(where.layer.values()) >= {"L1", "L2", "L3"}
    assert set(where.layer) | where.edge == {kernel.node for kernel in found.alone.kernels}


def test_layers_take_all_that_the_runs_take_but_for_the_edges(timed):
    tables = layer_times([convolutions()], timed, {"net": ["L1", "L2", "L3", "L4"]})
    for device in ("p", "q"):
        total, expected = sum(row[device] for row in tables.alone["net"].values()), []
        for one in timed["net", device].rounds:
            kernels = one.alone.kernels
            where = attribute(convolutions(), one.optimised, [kernel.node for kernel in kernels])
            inside = sum(np.median(kernel.seconds) for kernel in kernels if kernel.node not in where.edge)
            expected.append(run_scale(one.alone) * inside)
        assert total == pytest.approx(np.mean(expected), rel=1e-6)
        assert tables.alone["net"]["L2"][device] > 0


def test_both_conditions_have_the_same_number_of_counted_runs(timed):
    for found in (one for timings in timed.values() for one in timings.rounds):
        assert len(found.alone.whole) == len(found.together.whole) >= 2
        assert all(len(k.seconds) == len(found.alone.whole) for k in found.alone.kernels)
        assert {k.node for k in found.alone.kernels} == {k.node for k in found.together.kernels}


def kernel(node: str, *seconds: float) -> KernelTimes:
    return KernelTimes(node, "Conv", [], [[1, 2, 5]], np.array(seconds))


def test_what_cannot_be_attributed_is_spread_by_time(tmp_path, monkeypatch):
    from dnnplan.deploy.calibrate import layers
    from dnnplan.deploy.calibrate.attribution import Attribution

    where = Attribution({"a": "L1", "b": "L2"}, frozenset({"in"}), frozenset({"?"}))
    monkeypatch.setattr(layers, "attribute", lambda *_: where)
    kernels = (kernel("a", 1.0), kernel("b", 3.0), kernel("?", 0.4), kernel("in", 0.5))
    timing = Timing(np.array([4.9]), kernels)
    network = Network("net", "net", b"", {}, {})
    twice = Timing(2 * np.array([4.9]), tuple(replace(k, seconds=2 * k.seconds) for k in kernels))
    rounds = (Round(timing, timing, 5.0, tmp_path), Round(twice, timing, 5.0, tmp_path))
    timings = {("net", "p"): Timings("net", "p", rounds)}
    found = layers.layer_times([network], timings, {"net": ["L1", "L2", "L3"]})
    assert found.together["net"] == {
        "L1": {"p": pytest.approx(1.1)},
        "L2": {"p": pytest.approx(3.3)},
        "L3": {"p": 0},
    }
    # The mean over sessions of which one takes twice as long as the other.
    assert found.alone["net"]["L2"]["p"] == pytest.approx(1.5 * 3.3)


def test_layers_slow_down_with_the_share_of_busy_time():
    times = LayerTimes({"m": {"l": {"p": 1.0, "q": 2.0}}}, {"m": {"l": {"p": 1.5, "q": 1.9}}})
    # Faster while others work is noise.
    assert times.at({"p": 0.5, "q": 1.0}) == {"m": {"l": {"p": 1.25, "q": 2.0}}}


def test_a_scale_from_disturbed_runs_stays_near_one():
    quiet = Timing(np.array([1.1] * 10), (kernel("a", *[1.0] * 10),))
    loud = Timing(np.array([9.0] * 10), (kernel("a", *[1.0] * 10),))
    assert run_scale(quiet) == pytest.approx(1.1)
    assert run_scale(loud) == 1.3


def test_the_fit_finds_what_made_up_segments_were_made_with():
    random = np.random.default_rng(1)
    segments = [
        SegmentSample(layers, size, 2 * other, 1.02 * layers + 60e-6 + size / 1e9 + 2 * other / 4e9)
        for layers, size, other in random.uniform([1e-5, 0, 0], [1e-3, 1e5, 1e5], (60, 3)).tolist()
    ]
    copies = [(float(size), 4e-6 + size / 8e9) for size in random.uniform(1e2, 1e5, 30)]
    found = fit(segments, copies, [30e-6, 31e-6, 500e-6], jobs=2, waits=15)
    assert found.scale == pytest.approx(1.02, rel=0.01)
    assert found.call == pytest.approx(60e-6, rel=0.1)
    assert 1 / found.layout_in == pytest.approx(1e9, rel=0.05)
    assert 1 / found.layout_out == pytest.approx(4e9, rel=0.05)
    assert 1 / found.copy == pytest.approx(8e9, rel=0.05)
    assert found.copy_overhead == pytest.approx(4e-6, rel=0.3)
    assert found.wake == 31e-6
    # Two calls are there without any transfer; the others, and the borders, are there because of transfers.
    moved = sum(size for size, _ in copies)
    read, left = sum(s.read for s in segments) / moved, sum(s.left for s in segments) / moved
    assert found.cuts == Cuts(58 / 30, 0.5, pytest.approx(read), pytest.approx(left))
    assert found.link_latency == pytest.approx(31e-6 / 2 + found.copy_overhead + found.call * 58 / 30)
    assert found.link_bandwidth == pytest.approx(1 / (1 / 8e9 + read / 1e9 + left / 4e9), rel=0.1)


def test_the_fit_of_nothing_is_what_was_known():
    assert fit([], [], []) == Fit()


def test_a_busy_machine_does_not_make_layers_fast():
    disturbed = [
        SegmentSample(layers, 0.0, 0.0, layers / 3) for layers in np.linspace(1e-3, 1e-2, 20).tolist()
    ]
    assert fit(disturbed, [], []).scale == pytest.approx(0.8)


def test_passes_that_vary_are_doubted():
    assert _doubts(quantiles([1.0] * 20)) == []
    assert "quiet" in _doubts(quantiles([1.0, 1.4] * 10))[0]


@pytest.mark.parametrize(
    ("slope", "measured", "factor"),
    [(2.0, 12.0, 1.0), (2.0, 11.0, 0.5), (2.0, 5.0, 0.4), (2.0, 50.0, 1.6), (0.01, 11.0, 1.0)],
)
def test_transfers_are_scaled_to_the_plan_that_was_run(slope, measured, factor):
    assert link_factor(lambda x: 10 + slope * x, measured) == pytest.approx(factor, abs=2e-3)


def test_the_factor_is_on_latency_and_bytes():
    one, half = Fit(), Fit(link=0.5)
    assert half.link_latency == pytest.approx(one.link_latency / 2)
    assert half.link_bandwidth == pytest.approx(2 * one.link_bandwidth)


def test_fitted_figures_never_get_negative():
    rows, target = np.array([[1.0, 1.0], [2.0, 1.0]]), np.array([1.0, 3.0])
    slope, offset = near(rows, target, np.array([1e-3, 1e-3]), (1.0, 0.0), (10.0, 10.0))
    assert offset == pytest.approx(0.0, abs=1e-12)
    assert slope == pytest.approx(1.4, rel=1e-3)


def two_devices() -> Program:
    def step(name: str, device: str, **more):
        return Step(name=name, device=device, inputs=(), outputs=(), **more)

    steps = {
        "p": (step("a", "p"), step("c", "p", waits=frozenset({"b"}))),
        "q": (step("b", "q", waits=frozenset({"a"})),),
    }
    return Program(steps, {}, (), (*steps["p"], *steps["q"]))


def test_wakes_are_waits_of_idle_workers():
    idle = Pass(6.0, {"a": (0.0, 0.0, 1.0), "b": (1.5, 1.5, 3.0), "c": (3.2, 3.2, 6.0)}, {})
    found = wake_times(two_devices(), [idle, idle])
    assert found == {"b": pytest.approx([0.5, 0.5]), "c": pytest.approx([0.2, 0.2])}
    # A device that is busy when the message comes does not wait for it.
    steps = {**two_devices().steps, "q": (Step(name="b", device="q", inputs=(), outputs=()),)}
    busy = Pass(6.0, {"a": (0.0, 0.0, 4.0), "b": (1.5, 1.5, 3.0), "c": (4.2, 4.2, 6.0)}, {})
    assert wake_times(Program(steps, {}, (), ()), [busy]) == {}


def test_waiting_for_a_release_is_no_wake():
    """The worker of b is told at 1, and starts at 5, before which it may not."""
    late = Step(name="b", device="q", inputs=(), outputs=(), waits=frozenset({"a"}), earliest=5.0)
    program = Program({**two_devices().steps, "q": (late,)}, {}, (), ())
    one = Pass(9.0, {"a": (0.0, 0.0, 1.0), "b": (5.0, 5.0, 6.0), "c": (6.2, 6.2, 9.0)}, {})
    assert wake_times(program, [one]) == {"c": pytest.approx([0.2])}


def test_shares_of_time_in_which_others_work():
    spans = {"a": (0.0, 4.0), "b": (3.0, 5.0), "c": (6.0, 8.0)}
    assert busy_shares(two_devices(), spans) == {"p": pytest.approx(1 / 6), "q": pytest.approx(0.5)}


def test_shares_of_a_plan():
    whole = instance()
    found = plan_shares(evaluate(whole, plan(whole)))
    # b runs while a has ended and c has not begun.
    assert found == {"one": 0.0, "two": 0.0}


def measured(share=1.0):
    return {"net": {name: {"one": seconds, "two": 2 * seconds * share} for name, seconds in TIMES.items()}}


def test_the_calibrated_instance_has_measured_times_and_links_of_copies():
    whole = instance(overlap=True)
    found = Fit(scale=1.1, call=1e-3, layout_in=0.0, layout_out=0.0, copy=1e-9, copy_overhead=2e-3, wake=3e-3)
    new = calibrated_instance(mapping_problem(whole), measured(), found, {"call": 1e-3})
    problem = mapping_problem(new)
    at = {key: i for i, key in enumerate(problem.layers)}
    assert problem.duration[at["net/0/left"]].tolist() == pytest.approx([1.1e-5, 2.2e-5])
    # The first layer pays for the call that every network needs.
    assert problem.duration[at["net/0/stem"]].tolist() == pytest.approx([1.1e-5 + 1e-3, 2.2e-5 + 1e-3])
    assert problem.move_seconds(problem.tensors.index("net/0/r"), 0, 1) == pytest.approx(6e-3 + 32e-9)
    assert not problem.execution.overlap
    assert not problem.host
    assert new.extensions["calibration"] == {"call": 1e-3}
    decided = plan(new)
    assert check(new, decided) == ()
    assert evaluate(new, decided).cost.latency == pytest.approx(
        1.1 * (1e-5 + 2e-6 + 1e-5 + 2e-5 + 2e-6) + 1e-3 + 2 * (6e-3 + 32e-9)
    )


def test_a_platform_alone_reproduces_the_times_as_a_whole():
    whole = instance()
    new = calibrated_instance(mapping_problem(whole), measured(), Fit(call=0.0), {})
    bare = Instance(models=new.models, platform=new.platform)
    problem = mapping_problem(bare)
    expected = sum(TIMES.values())
    assert problem.duration.sum(axis=0).tolist() == pytest.approx([expected, 2 * expected])


def test_layers_that_a_device_cannot_run_still_cannot():
    whole = instance()
    latency = {"net": {**whole.costs.latency["net"], "join": {"one": 1e-6}}}
    from msgspec.structs import replace

    new = calibrated_instance(
        mapping_problem(replace(whole, costs=Costs(latency=latency))), measured(), Fit(), {}
    )
    assert list(new.costs.latency["net"]["join"]) == ["one"]


def test_a_device_that_cannot_run_everything_is_nothing_to_beat():
    """A core that stands in for it can, and may be the fastest."""
    from msgspec.structs import replace as changed

    whole = instance()
    assert devices_for_all(mapping_problem(whole)) == ["one", "two"]
    table = {layer: dict(row) for layer, row in whole.costs.latency["net"].items()}
    del table["join"]["two"]
    partly = changed(whole, costs=Costs(latency={"net": table}))
    assert devices_for_all(mapping_problem(partly)) == ["one"]
    del table["stem"]["one"]
    assert devices_for_all(mapping_problem(changed(whole, costs=Costs(latency={"net": table})))) == [
        "one",
        "two",
    ]


def test_the_first_layer_reads_an_input():
    layers = tuple(Layer(name=name) for name in ("constant", "stem"))
    model = Model(name="m", layers=layers, tensors=(Tensor(name="x", targets=("stem",)),))
    assert first_layer(model) == "stem"


def test_layers_without_nodes_are_refused():
    bare = Instance(models=(Model(name="m", layers=(Layer(name="l"),)),))
    with pytest.raises(InputError, match=r"layer 'l' does not say which ONNX nodes"):
        nodes_of_layers(bare, "m")


def test_devices_that_share_a_core_are_refused():
    with pytest.raises(InputError, match="share core 1"):
        check_seats({"p": Seat((0, 1)), "q": Seat((1,))})


def test_planning_again_settles_on_shares_that_the_plan_has():
    asked = []

    def build(share):
        asked.append(dict(share))
        return calibrated_instance(mapping_problem(instance()), measured(), Fit(), {})

    new, found, share = replan(build, {"one": 1.0, "two": 1.0}, time_limit=6.0)
    assert found.instance == new.hash()
    assert share == asked[-1]
    # Everything on one device: nothing works while it does.
    assert share["one"] == 0.0


def test_planning_starts_from_whole_networks():
    from msgspec.structs import replace

    whole = instance()
    model = whole.models[0]
    latency = whole.costs.latency["net"]
    double = {"net": latency, "net-2": latency}
    both = replace(whole, models=(model, replace(model, name="net-2")), costs=Costs(latency=double))
    found = whole_networks(both)
    assert check(both, found) == ()
    homes = {key.split("/")[0]: device for key, device in found.placement.items()}
    assert sorted(homes) == ["net", "net-2"]
    assert sorted(homes.values()) == ["one", "two"]
    assert evaluate(both, found).cost.latency == pytest.approx(sum(TIMES.values()))


@pytest.mark.parametrize("originals", [True, False])
def test_calibrating_a_folder(tmp_path, originals):
    if len(available_cores()) < 2:
        pytest.skip("needs two cores")
    folder = write_folder(tmp_path / "parts")
    models = {"net": folder / "original.onnx"} if originals else None
    found = calibrate(folder, models=models, repeats=6, seconds=0.2, plan=True, time_limit=3)
    report = found.report
    assert report.networks_from == ("original models" if originals else "parts")
    assert {row.network for row in report.networks} == (
        {"net"} if originals else {"net/0/a", "net/0/b", "net/0/c"}
    )
    assert report.best_alone == min(d.alone for d in report.devices)
    assert report.fit["call"] > 0
    assert found.plan is not None
    assert check(found.instance, found.plan) == ()
    assert report.replanned == pytest.approx(evaluate(found.instance, found.plan).cost.latency)
    # Three tiny parts are run as three calls; a plan that knows what calls take does not cut them.
    assert len(set(found.plan.placement.values())) == 1


def test_what_calibration_refuses(tmp_path):
    folder = write_folder(tmp_path / "parts")
    with pytest.raises(InputError, match="original of model 'net' is not given"):
        calibrate(folder, models={"other": Path("x")}, repeats=2, seconds=0.1)
    with pytest.raises(InputError, match="at least 2"):
        calibrate(folder, repeats=1)
    (folder / "plan.json").unlink()
    with pytest.raises(InputError, match="nothing to calibrate"):
        calibrate(folder)


def test_an_error_on_one_device_ends_the_others(tmp_path, monkeypatch):
    from dnnplan.deploy.calibrate import timing

    cores = available_cores()
    if len(cores) < 2:
        pytest.skip("needs two cores")
    places = {"p": Seat((cores[0],)), "q": Seat((cores[1],))}
    run = timing._Trial.run

    def failing(self, *, profiled, condition):
        if condition == "together" and self.device == "q":
            raise RunError("no more")
        run(self, profiled=profiled, condition=condition)

    monkeypatch.setattr(timing._Trial, "run", failing)
    with pytest.raises(RunError, match="no more"):
        time_networks([convolutions()], places, tmp_path, seconds=0.1)


def test_border_bytes_count_what_crosses_inside_the_network(tmp_path):
    opened = open_folder(write_folder(tmp_path / "parts"))
    sizes = {f"net/0/{name}": 10**at for at, name in enumerate("xrlmy")}
    assert _inner_bytes(opened, ["net/0/x", "net/0/r", "net/0/l"], sizes) == 10 + 100
    assert _inner_bytes(opened, ["net/0/m", "net/0/y"], sizes) == 1000


NAMES = ("seg", "depth")


@pytest.mark.parametrize("groups", [(("t-seg", "t-depth"),), (("t-seg",), ("t-depth",))])
def test_task_graphs_are_calibrated_by_their_parts(tmp_path, groups):
    """Layers of the one network that a task graph makes are found in the parts, under the names of their tasks."""
    if len(available_cores()) < 2:
        pytest.skip("needs two cores")
    files = {name: saved(branch(at, image=name[0]), tmp_path, name) for at, name in enumerate(NAMES)}
    whole = sharing_tasks(list(files.values()))
    split(joint_plan(whole, (groups, groups), 1), whole, files, tmp_path / "parts")
    found = calibrate(tmp_path / "parts", models=files, repeats=4, seconds=0.2)
    assert found.report.networks_from == "parts"
    (rows,) = found.instance.costs.latency.values()
    assert len(rows) == len(found.instance.models[0].layers)
    assert {layer.split("/")[0] for layer, row in rows.items() if max(row.values()) > 0} == {
        "t-seg",
        "t-depth",
    }


def test_original_models_of_task_graphs_are_compared(tmp_path):
    files = {name: saved(branch(at, image=name[0]), tmp_path, name) for at, name in enumerate(NAMES)}
    whole = sharing_tasks(list(files.values()))
    groups = (("t-seg", "t-depth"),)
    split(joint_plan(whole, (groups, groups), 1), whole, files, tmp_path / "parts")
    report = run(tmp_path / "parts", repeats=2, models=files, share_cores=True)
    assert report.outputs_equal
    assert report.reference == "original models"
